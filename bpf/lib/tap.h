// SPDX-License-Identifier: GPL-2.0
/* The tap: every packet of every socket in scope passes here. */
#ifndef UM_LIB_TAP_H
#define UM_LIB_TAP_H

#include "lib/streams.h"
#include "lib/udp.h"

/* A listener's segment with data, about to make a connection: where to keep what is read in it. */
static __always_inline struct um_socket *um_early_of(struct __sk_buff *skb,
						     const struct um_socket *listener)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	u32 zero = 0, at = um_transport(skb, IPPROTO_TCP);
	struct um_early *early = bpf_map_lookup_elem(&um_early, &zero);
	struct tcphdr *tcp = data + (at & 127);
	struct bpf_sock *sk = skb->sk;
	struct um_pair_key key = {};

	if (!sk || sk->state != BPF_TCP_LISTEN || !early || !at || at > 127 ||
	    (void *)(tcp + 1) > end || tcp->syn || skb->len <= at + tcp->doff * 4)
		return 0;
	key.client_isn = bpf_ntohl(tcp->seq);
	key.server_isn = bpf_ntohl(tcp->ack_seq);
	if (bpf_map_lookup_elem(&um_pairs, &key))
		return 0; /* the client's end reads it */
	__builtin_memset(early, 0, sizeof(*early));
	early->client_isn = key.client_isn;
	early->server_isn = key.server_isn;
	early->socket.client = UM_NUMBER_WORLD;
	early->socket.server = listener->owner;
	early->socket.port = listener->local_port;
	early->socket.role = UM_ROLE_SERVER;
	early->socket.opened_ns = 1;
	return &early->socket;
}

static __always_inline void um_tap_tcp(struct __sk_buff *skb, struct um_socket *s, bool sent)
{
	struct um_packet p = {};

	/* Shadow: the client's end reads the same bytes. No role: a listener, or a handshake. */
	if (s->role != UM_ROLE_CLIENT && s->role != UM_ROLE_SERVER) {
		if (s->role || sent)
			return;
		s = um_early_of(skb, s);
		if (!s)
			return;
	}
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
