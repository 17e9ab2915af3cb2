// SPDX-License-Identifier: GPL-2.0
/* Maps that name the ends of an edge. */
#ifndef UM_LIB_MAPS_ENDS_H
#define UM_LIB_MAPS_ENDS_H

#include "lib/kernel.h"
#include "abi/owner.h"

/*
 * Purpose: the next free number for an end.
 * Key: 0. Value: u64, starts at UM_NUMBER_FIRST.
 * Inserts: user space seeds it once, before anything is attached. Deletes: nobody.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} um_numbers SEC(".maps");

/*
 * Purpose: number of each {cgroup, executable} that ever made a socket.
 * Inserts: sock_create and backfill. Deletes: user space, after the cgroup is gone and its counters
 * are folded. Reads: sock_create; user space.
 * Size: one per executable per workload. Full: the socket's owner is 0, owners_full counts it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_owner_key);
	__type(value, struct um_owner);
} um_owners SEC(".maps");

/*
 * Purpose: number of each external address this host connected to.
 * Inserts: the first connection whose peer is not on this host. Deletes: user space, when idle and
 * folded. Reads: the same; user space.
 * Full: the peer is UM_NUMBER_WORLD, peers_full counts it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_peer_key);
	__type(value, struct um_peer);
} um_peers SEC(".maps");

/*
 * Purpose: path of each cgroup, also of one that lived for a moment while nobody looked.
 * Key: cgroup id (inode number of its directory).
 * Inserts: cgroup_mkdir; user space for those older than the agent. Deletes: user space.
 * Full: the name is not kept, cgroups_full counts it; user space may still find it by scanning.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct um_cgroup);
} um_cgroups SEC(".maps");

/*
 * Purpose: who listens on a TCP port of a network namespace.
 * Inserts: sockops TCP_LISTEN_CB and backfill. Deletes: sock_release of the last listener.
 * Reads: backfill (which end is the server).
 * Full: listeners_full counts it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_listener_key);
	__type(value, struct um_listener);
} um_listeners SEC(".maps");

/*
 * Purpose: the two ends of a same-host TCP connection find each other.
 * Inserts: the client's end, when established. Deletes: the client's end, when closed.
 * Reads: both ends. Size: open same-host connections.
 * Full: the two ends are counted as if each had a remote peer; pairs_full counts it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_pair_key);
	__type(value, struct um_pair);
} um_pairs SEC(".maps");

#endif
