// SPDX-License-Identifier: GPL-2.0
/* Services and who answers for them: written by user space, read at connect() and sendto(). */
#ifndef UM_LIB_MAPS_SERVICES_H
#define UM_LIB_MAPS_SERVICES_H

#include "lib/kernel.h"
#include "abi/service.h"

/*
 * Purpose: what an address and port stands for.
 * Inserts, deletes: user space, one entry in one update. Reads: connect and sendmsg.
 * Size: each port of each service has an entry an address, and one more for every network namespace
 * with backends of its own: 100,000 services of one port and one address fit.
 * Full: user space is told, and the service keeps what it had.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct um_service_key);
	__type(value, struct um_service);
} um_services SEC(".maps");

/*
 * Purpose: the columns backends are drawn from; each service has a range of its own.
 * Writes: user space, through memory: only ranges no service refers to. Reads: connect and sendmsg.
 * Size: one a backend, and 100 a backend for services that balance by Maglev.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct um_slot);
} um_slots SEC(".maps");

/*
 * Purpose: where a backend is, by its number.
 * Writes: user space, through memory: a row no slot refers to, or the flags of one (a single byte).
 * Reads: connect, sendmsg, and the cut.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct um_backend);
} um_backends SEC(".maps");

/*
 * Purpose: what became of connections, by backend: a cache line each.
 * Writes: whatever sees a connection open, answer, fail or end; user space zeroes the row of a number
 * before it is used again. Reads: the balancing; user space.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct um_load);
} um_loads SEC(".maps");

/*
 * Purpose: who stays with which backend of services with affinity.
 * Inserts: connect and sendmsg. Deletes: the kernel, the least recently used one.
 * Full: who has been away longest is balanced anew.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct um_affinity_key);
	__type(value, struct um_affinity);
} um_affinity SEC(".maps");

/*
 * Purpose: conversations of UDP sockets that sent to a service without being connected.
 * Inserts: sendmsg. Deletes: the kernel, the least recently used one. Reads: sendmsg, recvmsg.
 * Full: an answer that comes later than 16,384 other conversations shows the backend's address.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct um_meant_key);
	__type(value, struct um_meant);
} um_meant SEC(".maps");

#endif
