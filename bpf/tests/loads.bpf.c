// SPDX-License-Identifier: GPL-2.0
/* What is made of durations: peak EWMA and the cost of a connection, at any time a test likes. */
#include "lib/loads.h"

char LICENSE[] SEC("license") = "GPL";

/* One sample: what was known, when, and what came of it. */
struct load_step {
	u64 ewma_ns;
	u64 at_ns;
	u64 duration_ns;
	u64 now_ns;
	u64 open;
	u64 cost; /* before the sample */
};

/* Purpose: the step, before and after. Key: 0. Inserts: the test. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct load_step);
} load_step_taken SEC(".maps");

SEC("tc")
int load_took(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct load_step *step = bpf_map_lookup_elem(&load_step_taken, &zero);
	struct um_load load = {};

	if (!step)
		return -1;
	load.ewma_ns = step->ewma_ns;
	load.ewma_at_ns = step->at_ns;
	load.open = step->open;
	step->cost = um_load_cost(&load, step->now_ns);
	um_load_took(&load, step->duration_ns, step->now_ns);
	step->ewma_ns = load.ewma_ns;
	step->at_ns = load.ewma_at_ns;
	return 0;
}
