// SPDX-License-Identifier: GPL-2.0
/* One program the verifier accepts and one it refuses, for the message. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} cell SEC(".maps");

SEC("cgroup_skb/egress")
int fine(struct __sk_buff *skb)
{
	return 1;
}

SEC("cgroup_skb/ingress")
int careless(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *value = bpf_map_lookup_elem(&cell, &zero);

	*value = skb->len; /* nobody checked for NULL */
	return 1;
}
