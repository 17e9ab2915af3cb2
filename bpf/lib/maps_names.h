// SPDX-License-Identifier: GPL-2.0
/* Which resolver stands behind which address of the responder, and where a responder lives. */
#ifndef UM_LIB_MAPS_NAMES_H
#define UM_LIB_MAPS_NAMES_H

#include "lib/kernel.h"
#include "abi/names.h"

/*
 * Purpose: the slot of each resolver that was ever asked. Key: its address.
 * Inserts: the first query to it. Deletes: nobody: a socket may go on using a slot for as long as it
 * lives. Reads: the same. Full: names_full counts it, and the query goes where it was sent.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UM_NAMES_SLOTS + UM_NAMES_SLOTS6);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_resolver_key);
	__type(value, u32);
} um_dns_slots SEC(".maps");

/* Purpose: the resolver of each slot. Inserts: the first query to it. Reads: programs, user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, UM_NAMES_SLOTS + UM_NAMES_SLOTS6);
	__type(key, u32);
	__type(value, struct um_resolver);
} um_resolvers SEC(".maps");

/* Purpose: how many slots were given. Key: 0 for IPv4, 1 for IPv6. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} um_dns_used SEC(".maps");

/*
 * Purpose: network namespaces with a responder. Key: netns cookie.
 * Inserts: user space, once every socket is bound and `lo` is up. Deletes: user space; sock_release
 * of any of those sockets, so that not one query is sent to a responder that was killed.
 * Full: user space is told, and that namespace's queries go where they were sent.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct um_name_server);
} um_name_servers SEC(".maps");

/* Purpose: how the responder is, and its port. Key: 0. Writes: user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct um_names_state);
} um_names_state SEC(".maps");

/*
 * Purpose: cgroups whose queries are left alone: resolvers themselves.
 * Key: cgroup id. Inserts, deletes: user space. Full: user space is told.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, u32);
} um_names_exempt SEC(".maps");

/* Purpose: sockets of the responder. Inserts: user space, by descriptor. Deletes: the kernel. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct um_name_tag);
} um_name_tags SEC(".maps");

#endif
