/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Configuration, set between open and load, and what the data path could not do. */
#ifndef UM_ABI_CONFIG_H
#define UM_ABI_CONFIG_H

#include "base.h"

struct um_config {
	__u64 scope_cgroup_id;  /* 0: the whole host */
	__u32 shards;           /* power of two */
	__u32 scope_level;      /* depth of the scope cgroup below the root */
	__u32 samples_per_s[4]; /* by enum um_sample_kind; index 0 unused */
	__u32 answers_per_s;
	__u32 processes_per_s;
	__u8 keep_query;       /* 1: sampled paths keep what follows '?' */
	__u8 exclusive_shards; /* 1: shards >= CPUs, so that a softirq is alone in its shard */
	__u8 pad[6];
};

/* Every field counts something that was seen but could not be kept. One value per CPU. */
struct um_stats {
	__u64 series_full;
	__u64 edges_full;
	__u64 owners_full;
	__u64 peers_full;
	__u64 pairs_full;
	__u64 listeners_full;
	__u64 udp_full;
	__u64 drops_full;
	__u64 cgroups_full;
	__u64 flows_ring_full;
	__u64 samples_ring_full;
	__u64 answers_ring_full;
	__u64 processes_ring_full;
	__u64 answers_limited;
	__u64 processes_limited;
	__u64 storage_failed;  /* no memory for a socket's state: that socket is not seen */
	__u64 desyncs;         /* connections on which HTTP framing was lost */
	__u64 pipeline_merged; /* pipelined requests whose start time was taken from a neighbour */
	__u64 held_overflow;   /* out-of-order segments that could not be held */
	__u64 unowned;         /* kept for sockets nobody has named; nothing counts them yet */
	__u64 malformed;       /* packets whose headers did not parse */
	__u64 answers_malformed;
	__u64 samples_limited; /* failed or slow requests not sampled: rate limit; not a loss */
	__u64 names_full;      /* resolvers without a slot: their queries are not captured */
	__u64 names_stale;    /* queries not captured: the responder had been silent for too long */
	__u64 names_unopened; /* queries not captured: no port on ::1 for their resolver yet */
	__u64 priority_refused; /* a socket's priority, DSCP or congestion control could not be set */
};

#endif
