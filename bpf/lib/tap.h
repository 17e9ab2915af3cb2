// SPDX-License-Identifier: GPL-2.0
/* The tap: every packet of every socket in scope passes here. */
#ifndef UM_LIB_TAP_H
#define UM_LIB_TAP_H

#include "lib/streams.h"
#include "lib/udp.h"

static __always_inline void um_tap_tcp(struct __sk_buff *skb, struct um_socket *s, bool sent)
{
	struct um_packet p = {};

	/* No role: a listener, or a handshake. Shadow: the client's end reads the same bytes. */
	if (s->role != UM_ROLE_CLIENT && s->role != UM_ROLE_SERVER)
		return;
	if ((sent ? s->sent.phase : s->received.phase) == UM_PHASE_OPAQUE)
		return;
	if (um_parse_tcp(skb, &p)) {
		UM_COUNT(malformed);
		return;
	}
	if (p.len && s->opened_ns)
		um_judge(skb, s, &p, sent);
}

/* Not inlined: its stack must not add to what the TCP path needs. */
static __noinline int um_tap_udp(struct __sk_buff *skb, struct um_socket *s, bool sent)
{
	struct um_udp_key key = {};
	struct um_packet p = {};
	struct um_udp *u;
	u64 now;

	if (!s)
		return 0;
	if (um_parse_udp(skb, &p) || um_udp_key_of(skb, s, &p, sent, &key)) {
		UM_COUNT(malformed);
		return 0;
	}
	now = bpf_ktime_get_ns();
	u = um_udp_of(s, &key, sent, now);
	if (!u)
		return 0;
	__sync_fetch_and_add(sent ? &u->sent_bytes : &u->received_bytes, (u64)p.len);
	__sync_fetch_and_add(sent ? &u->sent_packets : &u->received_packets, 1);
	u->last_ns = now;
	if (u->l7 == UM_L7_DNS && u->role != UM_ROLE_SHADOW)
		um_on_dns(skb, u, key.remote, &p, sent, now);
	return 0;
}

static __always_inline void um_tap(struct __sk_buff *skb, bool sent)
{
	struct bpf_sock *sk = skb->sk;
	struct um_socket *s;

	if (!sk)
		return;
	/* Answers nothing for request and time-wait sockets: they have no storage. */
	s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	if (!s)
		return;
	if (s->l4 == IPPROTO_TCP)
		um_tap_tcp(skb, s, sent);
	else if (s->l4 == IPPROTO_UDP)
		um_tap_udp(skb, s, sent);
}

#endif
