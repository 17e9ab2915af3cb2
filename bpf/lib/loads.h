// SPDX-License-Identifier: GPL-2.0
/* What is known of a backend: connections open now, failures, requests and how long they take. */
#ifndef UM_LIB_LOADS_H
#define UM_LIB_LOADS_H

#include "lib/maps_services.h"
#include "lib/maps_sockets.h"

/*
 * Peak EWMA (Finagle, Linkerd): a slower answer is believed at once, a faster one only as time
 * passes. Their time constant of 10 s is a half-life of 6.93 s.
 */
#define UM_HALF_LIFE_NS 6931471806ULL

/* What a backend is taken for that has connections, and has not answered any: slower than all. */
#define UM_UNKNOWN_NS (60 * 1000000000ULL)

static __always_inline struct um_load *um_load_of(u32 backend)
{
	return bpf_map_lookup_elem(&um_loads, &backend);
}

/* `value` after `age`: halved every half-life, in between along a line (at most 6 % too high). */
static __always_inline u64 um_decayed(u64 value, u64 age)
{
	u64 halvings = age / UM_HALF_LIFE_NS;

	if (halvings > 63)
		return 0;
	value >>= halvings;
	/* 1/1024 of a half-life is enough, and keeps the product within 64 bits */
	return value -
		(value >> 11) * ((age - halvings * UM_HALF_LIFE_NS) / (UM_HALF_LIFE_NS / 1024));
}

/*
 * A duration was seen. Two CPUs at once may lose one of the two: one sample of an average; a peak
 * comes again.
 */
static __always_inline void um_load_took(struct um_load *load, u64 duration, u64 now)
{
	u64 at = load->ewma_at_ns, before = load->ewma_ns;
	u64 age = now > at ? now - at : 0;

	load->ewma_at_ns = now;
	if (duration >= before)
		load->ewma_ns = duration;
	else
		load->ewma_ns = um_decayed(before, age) + duration - um_decayed(duration, age);
}

/* Below 0 where a number was given to another backend before the last socket of the first was gone. */
static __always_inline u32 um_load_opened(const struct um_load *load)
{
	s32 open = load->open;

	return open > 0 ? open : 0;
}

/* What one more connection would cost: peak EWMA times those there would be. */
static __always_inline u64 um_load_cost(const struct um_load *load, u64 now)
{
	u64 ewma = load->ewma_ns, at = load->ewma_at_ns;
	u32 open = um_load_opened(load);

	if (ewma)
		return (um_decayed(ewma, now > at ? now - at : 0) + 1) * (open + 1);
	return open ? UM_UNKNOWN_NS + open : 0;
}

/* The socket counts as open with its backend from here on; once, however often it is said. */
static __always_inline void um_load_open(struct um_socket *s)
{
	struct um_load *load;

	if (!(s->flags & UM_SOCKET_STEERED) || __sync_lock_test_and_set(&s->steered.open, 1))
		return;
	load = um_load_of(s->steered.backend);
	if (load)
		__sync_fetch_and_add(&load->open, 1);
}

/* It no longer does. Called from everything that may be the end of it: whoever is first acts. */
static __always_inline void um_load_close(struct um_socket *s)
{
	struct um_load *load;

	if (!(s->flags & UM_SOCKET_STEERED) || !__sync_lock_test_and_set(&s->steered.open, 0))
		return;
	load = um_load_of(s->steered.backend);
	if (load)
		__sync_fetch_and_add(&load->open, -1);
}

static __always_inline void um_load_failed(const struct um_socket *s)
{
	struct um_load *load;

	if (!(s->flags & UM_SOCKET_STEERED))
		return;
	load = um_load_of(s->steered.backend);
	if (load)
		__sync_fetch_and_add(&load->failures, 1);
}

/* The connection is there. How long that took stands in until a request has been answered. */
static __always_inline void um_load_connected(const struct um_socket *s, u64 now)
{
	struct um_load *load;

	if (!(s->flags & UM_SOCKET_STEERED))
		return;
	load = um_load_of(s->steered.backend);
	if (!load)
		return;
	__sync_fetch_and_add(&load->connects, 1);
	if (!load->requests && s->connect_ns)
		um_load_took(load, s->connect_ns, now);
}

/* A request was answered. Not inlined: it is called amid the tap, whose paths are many. */
__noinline int um_load_answered(struct um_socket *s, u64 duration, u64 now)
{
	struct um_load *load;

	if (!s)
		return 0;
	load = um_load_of(s->steered.backend);
	if (!load)
		return 0;
	if (!load->requests)
		load->ewma_ns = 0; /* so far it was of connect times */
	__sync_fetch_and_add(&load->requests, 1);
	__sync_fetch_and_add(&load->duration_ns, duration);
	if (s->answer_status >= 500)
		__sync_fetch_and_add(&load->errors, 1);
	um_load_took(load, duration, now);
	return 0;
}

/* Requests that will never be answered. */
static __always_inline void um_load_cut(const struct um_socket *s, u32 count)
{
	struct um_load *load;

	if (!(s->flags & UM_SOCKET_STEERED))
		return;
	load = um_load_of(s->steered.backend);
	if (!load)
		return;
	__sync_fetch_and_add(&load->requests, (u64)count);
	__sync_fetch_and_add(&load->errors, (u64)count);
}

#endif
