// SPDX-License-Identifier: GPL-2.0
/* Maps that say which traffic is important. */
#ifndef UM_LIB_MAPS_PRIORITY_H
#define UM_LIB_MAPS_PRIORITY_H

#include "lib/kernel.h"
#include "abi/priority.h"

/*
 * Purpose: what a socket is given, by workload or service.
 * Inserts, deletes: user space. Reads: sock_create, sockops, connect, sendmsg, the remarking iterator.
 * Size: one per cgroup or service that a Priority names. Full: user space says which are left out.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_priority_key);
	__type(value, struct um_priority);
} um_priorities SEC(".maps");

/*
 * Purpose: the number of the rules in force, so that a datagram need not look them up again.
 * Key: 0. Value: 0: there are none and never were; else raised after every change of um_priorities.
 * Inserts: user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} um_prio_rev SEC(".maps");

/*
 * Purpose: what a socket was given. Only sockets that a rule names have one. CLONE: an accepted
 * socket inherits what its listener was given, as the kernel hands down DSCP and congestion control.
 * Inserts: whoever applies a rule first. Deletes: the remarking iterator, when no rule is left.
 * Full: cannot be; an allocation that fails is counted (storage_failed).
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct um_marked);
} um_marked SEC(".maps");

#endif
