// SPDX-License-Identifier: GPL-2.0
/* A TCP connection's end: what it was is counted, what it left open was cut. */
#ifndef UM_LIB_CLOSE_H
#define UM_LIB_CLOSE_H

#include "lib/conn.h"

static __always_inline u8 um_failure_of(int error)
{
	switch (error) {
	case 0:
		return UM_FAILURE_ABORTED;
	case UM_ECONNREFUSED:
		return UM_FAILURE_REFUSED;
	case UM_ECONNRESET:
		return UM_FAILURE_RESET;
	case UM_ETIMEDOUT:
		return UM_FAILURE_TIMEOUT;
	case UM_EHOSTUNREACH:
	case UM_ENETUNREACH:
		return UM_FAILURE_UNREACHABLE;
	default:
		return UM_FAILURE_OTHER;
	}
}

/* The server's end of a same-host connection: only what the client's end cannot know. */
static __always_inline void um_shadow_retransmits(struct um_socket *s, u32 total, u64 now)
{
	struct um_edge_key key = {};
	struct um_edge *edge;
	u32 more = total - __sync_lock_test_and_set(&s->retransmits, total);

	if (!more)
		return;
	um_edge_key_of(s, &key);
	key.l7 = UM_L7_UNDECIDED;
	edge = um_edge_of(&key);
	if (!edge)
		return;
	__sync_fetch_and_add(&edge->retransmits, (u64)more);
	edge->last_ns = now;
}

static __always_inline void um_flush_retransmits(struct um_socket *s, struct um_edge *edge,
						 u32 total)
{
	u32 more = total - __sync_lock_test_and_set(&s->retransmits, total);

	if (more)
		__sync_fetch_and_add(&edge->retransmits, (u64)more);
}

static __always_inline void um_end_connection(struct sock *sk, struct um_socket *s,
					      struct tcp_sock *tp, u64 now)
{
	struct um_pair_key key = { s->client_isn, s->server_isn };
	struct um_edge *edge;

	if (s->l7 == UM_L7_UNDECIDED)
		s->l7 = UM_L7_TCP;
	edge = um_flush(s, tp, now);
	if (edge) {
		um_flush_retransmits(s, edge, tp->total_retrans);
		__sync_fetch_and_add(&edge->closed, 1);
		if (s->flags & UM_SOCKET_RESET)
			__sync_fetch_and_add(&edge->resets, 1);
	} else {
		um_keep_counters(s, tp);
	}
	if (s->l7 == UM_L7_HTTP1)
		um_requests_over(s, now);
	um_emit_flow(s, bpf_sk_storage_get(&um_tls, sk, 0, 0), UM_FLOW_CLOSED, now);
	if (s->role == UM_ROLE_CLIENT)
		bpf_map_delete_elem(&um_pairs, &key);
}

/* tp_btf/inet_sock_set_state: the socket goes to CLOSE. */
static __always_inline void um_on_close(struct sock *sk, int before)
{
	struct um_socket *s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	struct tcp_sock *tp;
	u64 now;

	if (!s)
		return;
	um_load_close(s);
	if (!s->role)
		return;
	if (__sync_fetch_and_or(&s->flags, UM_SOCKET_CLOSED) & UM_SOCKET_CLOSED)
		return;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return;
	now = bpf_ktime_get_ns();
	if (s->role == UM_ROLE_SHADOW) {
		um_shadow_retransmits(s, tp->total_retrans, now);
	} else if (before == BPF_TCP_SYN_SENT) {
		s->retransmits = tp->total_retrans;
		um_count_failure(s, um_failure_of(sk->sk_err), now);
	} else {
		um_end_connection(sk, s, tp, now);
	}
}

#endif
