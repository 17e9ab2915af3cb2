// SPDX-License-Identifier: GPL-2.0
/* Live connections, read out and brought up to date on their edges once a second. */
#ifndef UM_LIB_SWEEP_H
#define UM_LIB_SWEEP_H

#include "lib/close.h"
#include "lib/udp.h"

#define UM_SECOND 1000000000ULL
#define UM_UDP_IDLE (60 * UM_SECOND)
#define UM_DNS_IDLE (10 * UM_SECOND) /* resolvers give up after 5 s by default */

/*
 * A connection that has not carried anything yet may still turn out to be HTTP, and its server may
 * still have to say who it is.
 */
static __always_inline bool um_too_young(const struct um_socket *s, const struct tcp_sock *tp,
					 u64 now)
{
	return !s->server && !tp->bytes_received && !s->direct.received_bytes &&
		now - s->opened_ns < 5 * UM_SECOND;
}

static __always_inline void um_sweep_open(struct bpf_iter__bpf_sk_storage_map *ctx, struct sock *sk,
					  struct um_socket *s, u64 now)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct um_flow flow = {};
	struct um_edge *edge;

	if (!tp)
		return;
	if (s->role == UM_ROLE_SHADOW) {
		um_shadow_retransmits(s, tp->total_retrans, now);
		return;
	}
	if (um_too_young(s, tp, now))
		return;
	if (s->l7 != UM_L7_UNDECIDED) {
		edge = um_flush(s, tp, now);
		if (edge)
			um_flush_retransmits(s, edge, tp->total_retrans);
	}
	um_flow_of(s, &flow);
	um_flow_tls(bpf_sk_storage_get(&um_tls, sk, 0, 0), &flow);
	flow.state = UM_FLOW_OPEN;
	bpf_seq_write(ctx->meta->seq, &flow, sizeof(flow));
}

static __always_inline void um_sweep_socket(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct um_socket *s;

	if (!sk || !ctx->value)
		return;
	s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	if (!s || !s->role || !s->opened_ns || s->flags & UM_SOCKET_CLOSED)
		return;
	um_sweep_open(ctx, sk, s, bpf_ktime_get_ns());
}

static __always_inline void um_udp_flow(const struct um_udp *u, const struct um_udp_key *key,
					struct um_flow *out)
{
	bool client = u->role == UM_ROLE_CLIENT;

	__builtin_memcpy(out->client_address, client ? key->local : key->remote, UM_ADDRESS_LEN);
	__builtin_memcpy(out->server_address, client ? key->remote : key->local, UM_ADDRESS_LEN);
	out->client_port = client ? key->local_port : key->remote_port;
	out->server_port = client ? key->remote_port : key->local_port;
	out->port = out->server_port;
	out->cookie = u->opened_ns ^ (u64)out->client_port << 48;
	out->cgroup_id = u->cgroup_id;
	out->netns = u->netns;
	out->opened_ns = u->opened_ns;
	out->tx_bytes = client ? u->sent_bytes : u->received_bytes;
	out->rx_bytes = client ? u->received_bytes : u->sent_bytes;
	out->tx_packets = client ? u->sent_packets : u->received_packets;
	out->rx_packets = client ? u->received_packets : u->sent_packets;
	out->client = u->client;
	out->server = u->server;
	out->pid = u->pid;
	out->l4 = IPPROTO_UDP;
	out->l7 = u->l7;
	out->role = u->role;
}

static __always_inline void um_sweep_udp(struct bpf_iter__bpf_map_elem *ctx)
{
	struct um_udp_key key = {};
	struct um_flow flow = {};
	struct um_udp *u;
	u64 now = bpf_ktime_get_ns();
	bool idle;

	if (!ctx->key || !ctx->value || bpf_probe_read_kernel(&key, sizeof(key), ctx->key))
		return;
	u = bpf_map_lookup_elem(&um_udp, &key);
	if (!u || !u->role)
		return;
	if (!u->server && !u->received_packets && now - u->opened_ns < UM_SECOND)
		return;
	idle = now - u->last_ns > (u->l7 == UM_L7_DNS ? UM_DNS_IDLE : UM_UDP_IDLE);
	if (u->role != UM_ROLE_SHADOW) {
		um_udp_resolve(u, key.remote);
		if (idle && u->l7 == UM_L7_DNS)
			um_unanswered(u);
		um_flush_udp(u, &key);
		um_udp_flow(u, &key, &flow);
		flow.state = idle ? UM_FLOW_CLOSED : UM_FLOW_OPEN;
		flow.ended_ns = idle ? u->last_ns : 0;
		bpf_seq_write(ctx->meta->seq, &flow, sizeof(flow));
	}
	if (idle)
		bpf_map_delete_elem(&um_udp, &key);
}

#endif
