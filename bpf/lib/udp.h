// SPDX-License-Identifier: GPL-2.0
/* UDP conversations, and DNS in them. */
#ifndef UM_LIB_UDP_H
#define UM_LIB_UDP_H

#include "lib/dns.h"
#include "lib/edges.h"
#include "lib/owners.h"
#include "lib/packet.h"

const struct um_udp um_no_udp = {};

static __always_inline int um_udp_key_of(struct __sk_buff *skb, const struct um_socket *s,
					 const struct um_packet *p, bool sent,
					 struct um_udp_key *key)
{
	if (um_addresses(skb, sent ? key->local : key->remote, sent ? key->remote : key->local))
		return -1;
	key->local_port = sent ? p->source_port : p->destination_port;
	key->remote_port = sent ? p->destination_port : p->source_port;
	if (um_is_loopback(key->remote))
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
		return; /* the server is named when it answers, or when the counters move */
	}
	u->server = u->owner;
	if (other) {
		u->role = UM_ROLE_SHADOW;
		u->client = other->owner;
		other->server = u->owner;
		return;
	}
	u->role = UM_ROLE_SERVER;
	u->client = um_is_loopback(key->remote) ? UM_NUMBER_HOST : UM_NUMBER_WORLD;
}

static __always_inline struct um_udp *um_udp_of(const struct um_socket *s, struct um_udp_key *key,
						bool sent, u64 now)
{
	struct um_udp *u = bpf_map_lookup_elem(&um_udp, key);

	if (u)
		return u;
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
