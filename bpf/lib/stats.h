// SPDX-License-Identifier: GPL-2.0
/* What the data path could not do, counted by name. */
#ifndef UM_LIB_STATS_H
#define UM_LIB_STATS_H

#include "lib/kernel.h"
#include "abi/config.h"

/*
 * Purpose: every helper failure and every full map, counted.
 * Key: 0. Value: struct um_stats, one per CPU.
 * Inserts: the kernel (array). Deletes: nobody. Reads: user space, summed over CPUs.
 * Full: cannot be.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct um_stats);
} um_stats SEC(".maps");

/* Set between open and load; the verifier then knows the values. */
const volatile struct um_config um_config = {};

static __always_inline struct um_stats *um_stats_here(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&um_stats, &zero);
}

/* Atomic: a softirq may come between a task's read and write of the same CPU's value. */
#define UM_COUNT(field)                                                                            \
	do {                                                                                       \
		struct um_stats *um_here = um_stats_here();                                        \
		if (um_here)                                                                       \
			__sync_fetch_and_add(&um_here->field, 1);                                  \
	} while (0)

#endif
