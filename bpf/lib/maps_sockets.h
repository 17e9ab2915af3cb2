// SPDX-License-Identifier: GPL-2.0
/* What is remembered per socket and per UDP conversation. */
#ifndef UM_LIB_MAPS_SOCKETS_H
#define UM_LIB_MAPS_SOCKETS_H

#include "lib/kernel.h"
#include "abi/socket.h"

/*
 * Purpose: state of one socket; freed with it. CLONE: an accepted socket starts with a copy of its
 * listener's entry, so a listener's entry must hold nothing but its owner.
 * Inserts: sock_create, backfill, the tap for sockets nobody saw. Deletes: the kernel.
 * Full: cannot be; an allocation that fails is counted (storage_failed).
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct um_socket);
} um_sockets SEC(".maps");

/*
 * Purpose: the request in the segment that is about to make its connection.
 * Key: 0. Inserts: the tap, on the listener. Reads: sockops, when the new socket is established: in
 * the same softirq, so one a CPU is enough. Full: cannot be; the next such segment replaces it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct um_early);
} um_early SEC(".maps");

/* Purpose: what a TLS ClientHello said. Inserts: the tap. Reads: the flow record. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct um_tls);
} um_tls SEC(".maps");

/* Purpose: out-of-order segments of an HTTP stream, until the gap before them is filled. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct um_held);
} um_held SEC(".maps");

/*
 * Purpose: counters of one UDP conversation, seen from one end.
 * Inserts: the tap. Deletes: sweep_udp, when idle and flushed. Reads: the tap, sweep_udp.
 * Full: the datagram is not counted; udp_full counts it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_udp_key);
	__type(value, struct um_udp);
} um_udp SEC(".maps");

#endif
