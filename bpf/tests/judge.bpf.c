// SPDX-License-Identifier: GPL-2.0
/*
 * The judge, fed by BPF_PROG_TEST_RUN: one connection whose state lives in an array, so that it
 * persists from run to run (storage of a test run's socket does not).
 */
#include "lib/streams.h"

char LICENSE[] SEC("license") = "GPL";

/* Purpose: the connection under test. Key: 0. User space resets it and reads it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct um_socket);
} test_socket SEC(".maps");

static __always_inline int judge(struct __sk_buff *skb, bool sent)
{
	u32 zero = 0;
	struct um_socket *s = bpf_map_lookup_elem(&test_socket, &zero);
	struct um_packet p = {};

	if (!s || um_parse_tcp(skb, &p))
		return 0;
	/* As the tap does: what is opaque is not looked at. */
	if ((sent ? s->sent.phase : s->received.phase) != UM_PHASE_OPAQUE && p.len)
		um_judge(skb, s, &p, sent);
	return 1;
}

SEC("cgroup_skb/ingress")
int judge_received(struct __sk_buff *skb)
{
	return judge(skb, false);
}

SEC("cgroup_skb/egress")
int judge_sent(struct __sk_buff *skb)
{
	return judge(skb, true);
}

/* The connection ends: what was not answered was cut. */
SEC("cgroup_skb/ingress")
int judge_over(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct um_socket *s = bpf_map_lookup_elem(&test_socket, &zero);

	if (!s)
		return 0;
	if (s->l7 == UM_L7_UNDECIDED)
		s->l7 = UM_L7_TCP;
	if (s->l7 == UM_L7_HTTP1)
		um_requests_over(s, bpf_ktime_get_ns());
	return 1;
}
