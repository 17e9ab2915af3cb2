// SPDX-License-Identifier: GPL-2.0
/* Packets the kernel threw away, and connections cut by resets. */
#ifndef UM_LIB_DROPS_H
#define UM_LIB_DROPS_H

#include "lib/edges.h"
#include "lib/maps_counters.h"
#include "lib/maps_sockets.h"

/* Numbers move between kernels: only the name counts, relocated at load time. */
enum skb_drop_reason {
	SKB_DROP_REASON_NOT_SPECIFIED = 2,
	SKB_DROP_REASON_QUEUE_PURGE = 104,
};

const struct um_drop um_no_drop = {};

/* Below it are "not dropped" and "consumed"; at it, drops nobody has given a reason. */
static __always_inline bool um_has_reason(u32 reason)
{
	return reason > bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NOT_SPECIFIED);
}

/* Storage of a full socket; request and time-wait sockets are shorter and have none. */
static __always_inline struct um_socket *um_full_socket(struct sock *sk)
{
	u8 state;

	if (!sk)
		return 0;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state == BPF_TCP_TIME_WAIT || state == BPF_TCP_NEW_SYN_RECV)
		return 0;
	return bpf_sk_storage_get(&um_sockets, sk, 0, 0);
}

/* Every close purges the FIN that nobody reads any more: an empty packet, and no loss to anyone. */
static __always_inline bool um_is_farewell(struct sk_buff *skb, u32 reason)
{
	if (!bpf_core_enum_value_exists(enum skb_drop_reason, SKB_DROP_REASON_QUEUE_PURGE))
		return false;
	return reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_QUEUE_PURGE) &&
		BPF_CORE_READ(skb, len) == 0;
}

struct um_dropped {
	u8 source[UM_ADDRESS_LEN];
	u8 destination[UM_ADDRESS_LEN];
	u16 source_port;
	u16 destination_port;
	u8 l4;
};

static __always_inline void um_dropped_ports(struct um_dropped *d, const unsigned char *l4)
{
	__be16 ports[2] = {};

	if (d->l4 != IPPROTO_TCP && d->l4 != IPPROTO_UDP)
		return;
	bpf_probe_read_kernel(ports, sizeof(ports), l4);
	d->source_port = bpf_ntohs(ports[0]);
	d->destination_port = bpf_ntohs(ports[1]);
}

/* What the packet was, as far as its headers are known where it was dropped. */
static __always_inline void um_dropped_headers(struct sk_buff *skb, struct um_dropped *d)
{
	unsigned char *at = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	__be16 protocol = BPF_CORE_READ(skb, protocol);
	struct ipv6hdr ip6;
	struct iphdr ip;

	if (protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_probe_read_kernel(&ip, sizeof(ip), at) || ip.version != 4)
			return;
		d->l4 = ip.protocol;
		um_map_ipv4(d->source, ip.saddr);
		um_map_ipv4(d->destination, ip.daddr);
		um_dropped_ports(d, at + ip.ihl * 4);
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_probe_read_kernel(&ip6, sizeof(ip6), at) || ip6.version != 6)
			return;
		d->l4 = ip6.nexthdr;
		__builtin_memcpy(d->source, &ip6.saddr, UM_ADDRESS_LEN);
		__builtin_memcpy(d->destination, &ip6.daddr, UM_ADDRESS_LEN);
		um_dropped_ports(d, at + sizeof(ip6));
	}
}

static __always_inline struct um_drop *um_drop_of(struct um_drop_key *key)
{
	struct um_drop *drop = bpf_map_lookup_elem(&um_drops, key);

	if (drop)
		return drop;
	if (bpf_map_update_elem(&um_drops, key, &um_no_drop, BPF_NOEXIST) == -7 /* E2BIG */) {
		UM_COUNT(drops_full);
		key->port = 0; /* a scan of ports must not hide the reason */
		key->owner = 0;
		bpf_map_update_elem(&um_drops, key, &um_no_drop, BPF_NOEXIST);
	}
	return bpf_map_lookup_elem(&um_drops, key);
}

static __always_inline void um_on_drop(struct sk_buff *skb, u32 reason)
{
	struct um_socket *s = um_full_socket(skb->sk);
	struct um_drop_key key = {};
	struct um_dropped d = {};
	struct um_drop *drop;

	if ((um_config.scope_cgroup_id && !s) || um_is_farewell(skb, reason))
		return;
	um_dropped_headers(skb, &d);
	key.owner = s ? s->owner : UM_NUMBER_UNKNOWN;
	key.reason = reason;
	key.port = d.destination_port;
	if (d.source_port < d.destination_port)
		key.port = d.source_port; /* the lower one is the service's: the other changes */
	key.l4 = d.l4;
	drop = um_drop_of(&key);
	if (!drop)
		return;
	__sync_fetch_and_add(&drop->packets, 1);
	__sync_fetch_and_add(&drop->bytes, (u64)BPF_CORE_READ(skb, len));
	drop->last_ns = bpf_ktime_get_ns();
	__builtin_memcpy(drop->source, d.source, UM_ADDRESS_LEN);
	__builtin_memcpy(drop->destination, d.destination, UM_ADDRESS_LEN);
	drop->source_port = d.source_port;
	drop->destination_port = d.destination_port;
	drop->ifindex = BPF_CORE_READ(skb, dev, ifindex);
}

/* A reset was sent or received on this socket. One that comes after the close is added at once. */
static __always_inline void um_on_reset(struct sock *sk)
{
	struct um_socket *s = um_full_socket(sk);
	struct um_edge_key key = {};
	struct um_edge *edge;
	u32 before;

	if (!s || (s->role != UM_ROLE_CLIENT && s->role != UM_ROLE_SERVER) || !s->opened_ns)
		return;
	before = __sync_fetch_and_or(&s->flags, UM_SOCKET_RESET);
	if (before & UM_SOCKET_RESET || !(before & UM_SOCKET_CLOSED))
		return;
	um_edge_key_of(s, &key);
	edge = um_edge_of(&key);
	if (edge)
		__sync_fetch_and_add(&edge->resets, 1);
}

#endif
