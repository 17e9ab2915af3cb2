// SPDX-License-Identifier: GPL-2.0
/* IP, TCP and UDP headers of a packet at a cgroup hook: the packet starts at its IP header. */
#ifndef UM_LIB_PACKET_H
#define UM_LIB_PACKET_H

#include "lib/kernel.h"
#include "lib/ends.h"

struct um_packet {
	u32 payload; /* offset of the first payload byte */
	u32 len;     /* payload bytes */
	u32 seq;     /* TCP: of the first payload byte, host order */
	u16 source_port;
	u16 destination_port;
};

#define UM_IPV6_EXTENSIONS 4

/* Offset of the transport header when the packet carries `protocol`; 0 when it does not. */
static __always_inline u32 um_transport(struct __sk_buff *skb, u8 protocol)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *ip6 = data;
	struct iphdr *ip = data;
	u32 at = sizeof(*ip6);
	u8 next;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if ((void *)(ip + 1) > end || ip->protocol != protocol)
			return 0;
		return (ip->ihl & 15) * 4;
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6) || (void *)(ip6 + 1) > end)
		return 0;
	next = ip6->nexthdr;
#pragma unroll
	for (int i = 0; i < UM_IPV6_EXTENSIONS; i++) {
		u8 extension[2];

		if (next == protocol)
			return at;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			return 0;
		if (bpf_skb_load_bytes(skb, at, extension, sizeof(extension)))
			return 0;
		next = extension[0];
		at += (extension[1] + 1) * 8;
	}
	return next == protocol ? at : 0;
}

/* Source and destination as 16 bytes each. */
static __always_inline int um_addresses(struct __sk_buff *skb, u8 *source, u8 *destination)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *ip6 = data;
	struct iphdr *ip = data;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if ((void *)(ip + 1) > end)
			return -1;
		um_map_ipv4(source, ip->saddr);
		um_map_ipv4(destination, ip->daddr);
		return 0;
	}
	if ((void *)(ip6 + 1) > end)
		return -1;
	__builtin_memcpy(source, &ip6->saddr, UM_ADDRESS_LEN);
	__builtin_memcpy(destination, &ip6->daddr, UM_ADDRESS_LEN);
	return 0;
}

static __always_inline int um_parse_tcp(struct __sk_buff *skb, struct um_packet *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	u32 at = um_transport(skb, IPPROTO_TCP);
	struct tcphdr *tcp = data + (at & 127);

	if (!at || at > 127 || (void *)(tcp + 1) > end)
		return -1;
	p->payload = at + tcp->doff * 4;
	p->len = skb->len > p->payload ? skb->len - p->payload : 0;
	p->seq = bpf_ntohl(tcp->seq) + tcp->syn;
	return 0;
}

static __always_inline int um_parse_udp(struct __sk_buff *skb, struct um_packet *p)
{
	struct udphdr udp;
	u32 at = um_transport(skb, IPPROTO_UDP);

	if (!at || bpf_skb_load_bytes(skb, at, &udp, sizeof(udp)))
		return -1;
	p->payload = at + sizeof(udp);
	p->len = skb->len > p->payload ? skb->len - p->payload : 0;
	p->source_port = bpf_ntohs(udp.source);
	p->destination_port = bpf_ntohs(udp.dest);
	return 0;
}

#endif
