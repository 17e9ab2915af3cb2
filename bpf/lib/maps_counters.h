// SPDX-License-Identifier: GPL-2.0
/* Counters that Python sweeps. Never LRU: what was counted stays until user space has folded it. */
#ifndef UM_LIB_MAPS_COUNTERS_H
#define UM_LIB_MAPS_COUNTERS_H

#include "lib/kernel.h"
#include "abi/drop.h"
#include "abi/edge.h"
#include "abi/series.h"

/*
 * Purpose: requests per series, with their latency histogram (5.8 KB an entry, made on demand).
 * Inserts: the end that measures. Deletes: user space, after folding. Reads: user space.
 * Full: the request is not counted here; series_full counts it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_series_key);
	__type(value, struct um_series);
} um_series SEC(".maps");

/* As um_series, for connections. Full: edges_full. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_edge_key);
	__type(value, struct um_edge);
} um_edges SEC(".maps");

/* Purpose: dropped packets by reason. Deletes: user space. Full: drops_full. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_drop_key);
	__type(value, struct um_drop);
} um_drops SEC(".maps");

#endif
