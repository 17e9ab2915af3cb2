// SPDX-License-Identifier: GPL-2.0
/* Rings to user space: one record size a ring, no wake-ups (the reader polls). */
#ifndef UM_LIB_MAPS_RINGS_H
#define UM_LIB_MAPS_RINGS_H

#include "lib/kernel.h"
#include "abi/dns.h"
#include "abi/flow.h"
#include "abi/process.h"
#include "abi/sample.h"

/* Ended connections. Full: the record is lost (flows_ring_full), its counters are not. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} um_flows SEC(".maps");

/* Sampled requests. Full: samples_ring_full. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 << 10);
} um_samples SEC(".maps");

/* DNS answers. Full: answers_ring_full; a peer may then lack its name. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 << 10);
} um_answers SEC(".maps");

/* Process events. Full: processes_ring_full; user space scans instead. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 << 10);
} um_processes SEC(".maps");

struct um_bucket {
	u64 window_ns;
	u64 used;
};

enum um_bucket_kind {
	UM_BUCKET_SAMPLES = 0, /* + enum um_sample_kind */
	UM_BUCKET_ANSWERS = 8,
	UM_BUCKET_PROCESSES = 9,
	UM_BUCKETS = 16,
};

/* Purpose: how many records of a kind went out in the current second. Key: enum um_bucket_kind. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, UM_BUCKETS);
	__type(key, u32);
	__type(value, struct um_bucket);
} um_budgets SEC(".maps");

/*
 * True when one more record of this kind may go out in the current second. Two CPUs that start a
 * new second at once may both reset it: the limit is then exceeded by what one CPU let through.
 */
static __always_inline bool um_within_budget(u32 kind, u64 now, u32 per_second)
{
	struct um_bucket *bucket = bpf_map_lookup_elem(&um_budgets, &kind);

	if (!bucket)
		return false;
	if (now - bucket->window_ns >= 1000000000ULL) {
		bucket->window_ns = now;
		bucket->used = 0;
	}
	if (bucket->used >= per_second)
		return false;
	__sync_fetch_and_add(&bucket->used, 1);
	return true;
}

#endif
