// SPDX-License-Identifier: GPL-2.0
/* UDP conversations, and DNS in them. */
#ifndef UM_LIB_UDP_H
#define UM_LIB_UDP_H

#include "lib/dns.h"
#include "lib/edges.h"
#include "lib/owners.h"
#include "lib/packet.h"
#include "lib/resolvers.h"

const struct um_udp um_no_udp = {};

static __always_inline int um_udp_key_of(struct __sk_buff *skb, const struct um_socket *s,
					 const struct um_packet *p, bool sent,
					 struct um_udp_key *key)
{
	if (um_addresses(skb, sent ? key->local : key->remote, sent ? key->remote : key->local))
		return -1;
	key->local_port = sent ? p->source_port : p->destination_port;
	key->remote_port = sent ? p->destination_port : p->source_port;
	key->captured = um_as_asked(key->remote, &key->remote_port) ||
		um_as_asked(key->local, &key->local_port);
	if (key->captured || um_is_loopback(key->remote))
		key->netns = s->netns;
	return 0;
}

/* The same conversation seen from the other end, if that end is on this host. */
static __always_inline struct um_udp *um_udp_other_end(const struct um_udp_key *key)
{
	struct um_udp_key other = {};

	__builtin_memcpy(other.local, key->remote, UM_ADDRESS_LEN);
	__builtin_memcpy(other.remote, key->local, UM_ADDRESS_LEN);
	other.local_port = key->remote_port;
	other.remote_port = key->local_port;
	other.captured = key->captured;
	other.netns = key->netns;
	return bpf_map_lookup_elem(&um_udp, &other);
}

/* Who is client and who server: the first datagram tells. */
static __always_inline void um_udp_ends(struct um_udp *u, const struct um_udp_key *key, bool sent)
{
	struct um_udp *other = um_udp_other_end(key);

	u->l7 = key->local_port == 53 || key->remote_port == 53 ? UM_L7_DNS : UM_L7_UDP;
	if (sent) {
		u->role = UM_ROLE_CLIENT;
		u->client = u->owner;
		if (other && other->role == UM_ROLE_SHADOW) {
			if (!key->captured)
				u->server = other->owner; /* it has served at our port before */
			other->client = u->owner;
		}
		return; /* the server is named when it answers, or when the counters move */
	}
	u->server = u->owner;
	if (other) {
		u->role = UM_ROLE_SHADOW;
		u->client = other->owner;
		if (!key->captured) /* else the server is the resolver that was asked */
			other->server = u->owner;
		return;
	}
	u->role = UM_ROLE_SERVER;
	u->client = um_is_loopback(key->remote) ? UM_NUMBER_HOST : UM_NUMBER_WORLD;
}

/* Brings the edge of a conversation up to date. */
static __always_inline void um_flush_udp(struct um_udp *u, const struct um_udp_key *key)
{
	struct um_edge_key at = {};
	struct um_edge *edge;
	bool client = u->role == UM_ROLE_CLIENT;
	u64 sent = u->sent_bytes, received = u->received_bytes;
	u64 out = u->sent_packets, in = u->received_packets;

	at.client = u->client;
	at.server = u->server;
	at.port = client ? key->remote_port : key->local_port;
	at.role = u->role;
	at.l7 = u->l7;
	edge = um_edge_of(&at);
	if (!edge)
		return;
	if (!u->opened)
		__sync_fetch_and_add(&edge->opened, 1);
	u->opened = 1;
	sent -= __sync_lock_test_and_set(&u->sent_bytes_flushed, sent);
	received -= __sync_lock_test_and_set(&u->received_bytes_flushed, received);
	out -= __sync_lock_test_and_set(&u->sent_packets_flushed, out);
	in -= __sync_lock_test_and_set(&u->received_packets_flushed, in);
	__sync_fetch_and_add(client ? &edge->tx_bytes : &edge->rx_bytes, sent);
	__sync_fetch_and_add(client ? &edge->rx_bytes : &edge->tx_bytes, received);
	__sync_fetch_and_add(client ? &edge->tx_packets : &edge->rx_packets, out);
	__sync_fetch_and_add(client ? &edge->rx_packets : &edge->tx_packets, in);
	edge->last_ns = u->last_ns;
}

/* A conversation of somebody who had the same port before: it is over. */
static __always_inline void um_udp_over(struct um_udp *u, const struct um_udp_key *key)
{
	if (u->role != UM_ROLE_SHADOW) {
		um_udp_resolve(u, key->remote);
		if (u->l7 == UM_L7_DNS)
			um_unanswered(u);
		um_flush_udp(u, key);
	}
	bpf_map_delete_elem(&um_udp, key);
}

static __always_inline struct um_udp *um_udp_of(const struct um_socket *s, struct um_udp_key *key,
						bool sent, u64 now)
{
	struct um_udp *u = bpf_map_lookup_elem(&um_udp, key);

	if (u && u->owner == s->owner)
		return u;
	if (u)
		um_udp_over(u, key);
	bpf_map_update_elem(&um_udp, key, &um_no_udp, BPF_NOEXIST);
	u = bpf_map_lookup_elem(&um_udp, key);
	if (!u) {
		UM_COUNT(udp_full);
		return 0;
	}
	u->owner = s->owner;
	u->pid = s->pid;
	u->cgroup_id = s->cgroup_id;
	u->netns = s->netns;
	u->opened_ns = now;
	um_udp_ends(u, key, sent);
	return u;
}

#endif
