// SPDX-License-Identifier: GPL-2.0
/* What the fast path remembers. All of it goes when a socket's own state (um_sockets) is replaced. */
#ifndef UM_LIB_MAPS_FASTPATH_H
#define UM_LIB_MAPS_FASTPATH_H

#include "lib/kernel.h"
#include "abi/fastpath.h"

/*
 * Purpose: sockets that can be redirected to. Key: see struct um_joint_key. Value: the socket.
 * Inserts: sockops, when a connection comes up. Deletes: the kernel, when it ends; sockops, when the
 * other end is elsewhere; user space, draining. Reads: sk_msg, fastpath_queues.
 * Full: the connection stays with TCP; um_fast_stats.unjoined counts it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 131072);
	__type(key, struct um_joint_key);
	__type(value, __u64);
} um_joined SEC(".maps");

/*
 * Purpose: the two ends of a connection find each other. Inserts: sockops, at the client's end.
 * Deletes: sockops. LRU: what nobody came for is of no use to anybody. Full: the oldest goes, and its
 * connection stays with TCP.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct um_meeting_key);
	__type(value, struct um_meeting);
} um_meetings SEC(".maps");

/* Purpose: the other end of a joined socket. Inserts: sockops. Deletes: the kernel. Reads: sk_msg. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct um_joint);
} um_joints SEC(".maps");

/* Purpose: the switch. Key: 0. Writes: user space. Reads: sockops, sk_msg. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct um_fastpath);
} um_fastpath SEC(".maps");

/* Purpose: what was done, and what not and why. Key: 0. Reads: user space, summed over CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct um_fast_stats);
} um_fast_stats SEC(".maps");

/*
 * Purpose: programs that use joined sockets in a way the fast path cannot carry, and how often.
 * Inserts: fastpath_received. Deletes: nobody. Reads: user space. Full: what is new is not told of.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_misuse_key);
	__type(value, __u64);
} um_misuses SEC(".maps");

#define UM_FAST_COUNT(field)                                                                       \
	do {                                                                                       \
		u32 um_zero = 0;                                                                   \
		struct um_fast_stats *um_here = bpf_map_lookup_elem(&um_fast_stats, &um_zero);     \
		if (um_here)                                                                       \
			__sync_fetch_and_add(&um_here->field, 1);                                  \
	} while (0)

#endif
