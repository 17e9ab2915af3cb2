// SPDX-License-Identifier: GPL-2.0
/* The tap: every packet of every socket in scope passes here. */
#ifndef UM_LIB_TAP_H
#define UM_LIB_TAP_H

#include "lib/streams.h"
#include "lib/udp.h"

static __always_inline void um_tap_tcp(struct __sk_buff *skb, struct bpf_sock *sk, bool sent)
{
	struct um_socket *s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	struct um_packet p = {};

	/* No role: a listener, or a handshake. Shadow: the client's end reads the same bytes. */
	if (!s || (s->role != UM_ROLE_CLIENT && s->role != UM_ROLE_SERVER))
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

static __always_inline void um_tap(struct __sk_buff *skb, bool sent)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return;
	if (sk->protocol == IPPROTO_TCP)
		um_tap_tcp(skb, sk, sent);
	else if (sk->protocol == IPPROTO_UDP)
		um_tap_udp(skb, sk, sent);
}

#endif
