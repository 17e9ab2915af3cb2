// SPDX-License-Identifier: GPL-2.0
/* Single functions of the data path, each behind a program that a test can run on given bytes. */
#include "lib/udp.h"
#include "lib/tls.h"

char LICENSE[] SEC("license") = "GPL";

/* Payload: u64 ns, little-endian. Answer: its bin. */
SEC("tc")
int part_bin(struct __sk_buff *skb)
{
	u64 ns = 0;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ns, sizeof(ns)))
		return -1;
	return um_bin(ns);
}

struct part_packet {
	u32 tcp; /* 1 when it parsed as TCP */
	u32 udp;
	struct um_packet as_tcp;
	struct um_packet as_udp;
	u8 source[UM_ADDRESS_LEN];
	u8 destination[UM_ADDRESS_LEN];
};

/* Purpose: what part_packet read. Key: 0. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct part_packet);
} part_packet_read SEC(".maps");

SEC("cgroup_skb/ingress")
int part_packet(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct part_packet *out = bpf_map_lookup_elem(&part_packet_read, &zero);

	if (!out)
		return 0;
	__builtin_memset(out, 0, sizeof(*out));
	out->tcp = !um_parse_tcp(skb, &out->as_tcp);
	out->udp = !um_parse_udp(skb, &out->as_udp);
	um_addresses(skb, out->source, out->destination);
	return 1;
}

struct part_tls {
	u32 client; /* 1 when it is a ClientHello */
	u32 server; /* version of a ServerHello */
	struct um_tls said;
};

/* Purpose: what part_tls read. Key: 0. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct part_tls);
} part_tls_read SEC(".maps");

SEC("cgroup_skb/ingress")
int part_tls(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct part_tls *out = bpf_map_lookup_elem(&part_tls_read, &zero);
	struct um_packet p = {};

	if (!out || um_parse_tcp(skb, &p))
		return 0;
	__builtin_memset(out, 0, sizeof(*out));
	out->client = um_client_hello(skb, p.payload, &out->said);
	out->server = um_server_hello(skb, p.payload);
	return 1;
}

/* Purpose: the conversation part_dns is about. Key: 0. User space sets its role. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct um_udp);
} part_conversation SEC(".maps");

static __always_inline int part_dns(struct __sk_buff *skb, bool sent)
{
	u32 zero = 0;
	struct um_udp *u = bpf_map_lookup_elem(&part_conversation, &zero);
	u8 source[UM_ADDRESS_LEN], destination[UM_ADDRESS_LEN];
	struct um_packet p = {};

	if (!u || um_parse_udp(skb, &p) || um_addresses(skb, source, destination))
		return 0;
	um_on_dns(skb, u, sent ? destination : source, &p, sent, bpf_ktime_get_ns());
	return 1;
}

SEC("cgroup_skb/ingress")
int part_dns_received(struct __sk_buff *skb)
{
	return part_dns(skb, false);
}

SEC("cgroup_skb/egress")
int part_dns_sent(struct __sk_buff *skb)
{
	return part_dns(skb, true);
}
