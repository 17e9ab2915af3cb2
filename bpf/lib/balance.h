// SPDX-License-Identifier: GPL-2.0
/* Which of a service's backends it is to be. */
#ifndef UM_LIB_BALANCE_H
#define UM_LIB_BALANCE_H

#include "lib/loads.h"
#include "lib/services.h"

#define UM_SECOND_NS 1000000000ULL

/*
 * How far to look past a column whose backend may not be used any more. User space lays the columns
 * anew within milliseconds of such a change; until then a service of that many columns always finds
 * who is left, and in a longer one it would take as many unusable ones in a row.
 */
#define UM_COLUMNS_TRIED 64

/* A number in 0 .. `below` - 1 from 32 even bits; uneven by less than below / 2^32. */
static __always_inline u32 um_scaled(u32 bits, u32 below)
{
	return (u64)bits * below >> 32;
}

/*
 * Who the column belongs to: one of its two by its threshold, or with no toss the first. A global
 * function, like those that call it: the verifier checks it once and not once a turn.
 */
__noinline int um_of_column(struct um_call *call, u32 column, u32 toss)
{
	struct um_slot *slot;
	u32 first, other, at;

	if (!call)
		return 0;
	at = call->service.slots_at + column;
	slot = bpf_map_lookup_elem(&um_slots, &at);
	if (!slot)
		return 0;
	first = slot->backend;
	other = slot->other;
	if (toss && bpf_get_prandom_u32() >= slot->threshold) {
		first = slot->other;
		other = slot->backend;
	}
	if (um_usable(call, first))
		return first;
	return toss && um_usable(call, other) ? other : 0;
}

/* The first backend that may be used, from a column on. */
__noinline int um_from_column(struct um_call *call, u32 column, u32 toss)
{
	if (!call)
		return 0;
	for (u32 i = 0; i < UM_COLUMNS_TRIED; i++) {
		int number;

		if (i >= call->service.slots)
			return 0;
		/* not by comparison: the verifier would follow both ways of every turn */
		number = um_of_column(call, (column + i) % call->service.slots, toss);
		if (number)
			return number;
	}
	return 0;
}

/* One drawn by weight (Walker's alias method: a column evenly, then a toss within it). */
static __always_inline u32 um_draw(struct um_call *call)
{
	return um_from_column(call, um_scaled(bpf_get_prandom_u32(), call->service.slots), 1);
}

/* Finalizer of MurmurHash3 (public domain): every bit of the input moves half of the output's. */
static __always_inline u64 um_mixed(u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

/*
 * Maglev: the caller's place in the table. A caller is a workload (cgroup) in a network namespace, as
 * the source address is elsewhere: its sockets, processes and source ports come and go, and connect()
 * knows no source port yet. So all connections of a caller to one service's port go to one backend,
 * and callers spread. The port is not in it: each has a table of its own.
 */
static __always_inline u32 um_caller_column(const struct um_call *call)
{
	u64 hash = um_mixed(um_mixed(call->caller) ^ um_mixed(call->netns + call->service.id));

	return um_scaled(hash >> 32, call->service.slots);
}

/* Of two drawn by weight the better one (Mitzenmacher: the power of two choices). */
static __always_inline u32 um_better_of_two(struct um_call *call, bool latency)
{
	u32 a = um_draw(call), b = um_draw(call);
	struct um_load *of_a = um_load_of(a), *of_b = um_load_of(b);
	u64 now;

	if (a == b || !of_a || !of_b)
		return a;
	if (!latency)
		return um_load_opened(of_b) < um_load_opened(of_a) ? b : a;
	now = bpf_ktime_get_ns();
	return um_load_cost(of_b, now) < um_load_cost(of_a, now) ? b : a;
}

/* Number of a backend that may be used; 0 when there is none. */
static __always_inline u32 um_balance(struct um_call *call)
{
	if (call->service.flags & UM_SERVICE_REFUSED || !call->service.slots)
		return 0;
	switch (call->service.balancing) {
	case UM_BALANCING_MAGLEV:
		return um_from_column(call, um_caller_column(call), 0);
	case UM_BALANCING_LEAST_LOADED:
		return um_better_of_two(call, false);
	case UM_BALANCING_LEAST_LATENCY:
		return um_better_of_two(call, true);
	default:
		return um_draw(call);
	}
}

static __always_inline void um_affinity_key_of(const struct um_call *call,
					       struct um_affinity_key *key)
{
	key->caller = call->caller;
	key->service = call->service.id;
	key->port = call->asked.port;
	key->l4 = call->asked.l4;
	key->family = um_is_mapped(call->asked.address) ? 4 : 6;
}

/* The backend a caller stays with: until it has not asked for longer than the time-out. */
static __always_inline u32 um_keep_or_balance(struct um_call *call)
{
	u64 now = bpf_ktime_get_ns();
	struct um_affinity_key key = {};
	struct um_affinity fresh = {};
	struct um_affinity *held;

	um_affinity_key_of(call, &key);
	held = bpf_map_lookup_elem(&um_affinity, &key);
	if (held && now - held->last_ns < call->service.affinity_s * UM_SECOND_NS &&
	    um_usable(call, held->backend)) {
		held->last_ns = now;
		return held->backend;
	}
	fresh.backend = um_balance(call);
	fresh.last_ns = now;
	if (fresh.backend)
		bpf_map_update_elem(&um_affinity, &key, &fresh, BPF_ANY);
	return fresh.backend;
}

/* Gives the call a backend, its address and its port. 0 when there is none to give. */
__noinline int um_choose(struct um_call *call)
{
	struct um_backend *backend;
	u32 number;

	if (!call)
		return 0;
	number = call->service.affinity_s ? um_keep_or_balance(call) : um_balance(call);
	backend = um_usable(call, number);
	if (!backend)
		return 0;
	call->backend = number;
	__builtin_memcpy(call->address, backend->address, UM_ADDRESS_LEN);
	call->port = backend->port;
	return number;
}

#endif
