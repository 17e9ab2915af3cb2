// SPDX-License-Identifier: GPL-2.0
/* Which requests go out one by one: errors first, then the slow tail, then a trickle of the rest. */
#ifndef UM_LIB_SAMPLES_H
#define UM_LIB_SAMPLES_H

#include "lib/maps_counters.h"
#include "lib/maps_rings.h"
#include "lib/maps_sockets.h"
#include "lib/stats.h"

/*
 * Running estimate of the 99th percentile: a step up for one that is above, a 99th of that step
 * down for one that is below, so that it rests where one in a hundred is above. Races only cost a step.
 */
static __always_inline bool um_is_slow(struct um_series *series, u64 duration)
{
	u64 slow = series->slow_ns;
	u64 step = (slow >> 5) + 99;

	if (duration > slow) {
		series->slow_ns = slow ? slow + step : duration;
		return slow != 0;
	}
	series->slow_ns = slow - step / 99;
	return false;
}

/* Bytes of the request target: up to the space, and up to '?' unless queries are wanted. */
static __always_inline u8 um_path_end(const char *path, u32 len)
{
	u32 i;

	for (i = 0; i < UM_PATH_LEN; i++) {
		if (i >= len || path[i] == ' ' || path[i] == '\r' || path[i] == '\n')
			break;
		if (path[i] == '?' && !um_config.keep_query)
			break;
	}
	return i;
}

static __always_inline void um_sample_ends(const struct um_socket *s, struct um_sample *out)
{
	bool client = s->role == UM_ROLE_CLIENT;

	__builtin_memcpy(out->client_address, client ? s->local : s->remote, UM_ADDRESS_LEN);
	__builtin_memcpy(out->server_address, client ? s->remote : s->local, UM_ADDRESS_LEN);
	out->client_port = client ? s->local_port : s->remote_port;
	out->server_port = client ? s->remote_port : s->local_port;
	out->client = s->client;
	out->server = s->server;
	out->port = s->port;
	out->role = s->role;
	out->pid = s->pid;
	out->cookie = s->cookie;
	out->netns = s->netns;
}

static __noinline int um_emit_sample(struct um_socket *s, u64 duration, u64 request_bytes, u8 kind)
{
	struct um_sample *out = bpf_ringbuf_reserve(&um_samples, sizeof(*out), 0);

	if (!out) {
		UM_COUNT(samples_ring_full);
		return 0;
	}
	__builtin_memset(out, 0, sizeof(*out));
	if (s) {
		um_sample_ends(s, out);
		out->start_ns = s->answer_start_ns;
		out->duration_ns = duration;
		out->request_bytes = request_bytes >> 32 ? ~0U : request_bytes;
		out->status = s->answer_status;
		out->method = s->answer_method;
		out->kind = kind;
		/* The path belongs to the request that began last: known only without pipelining. */
		if (s->runs_head == s->runs_tail) {
			__builtin_memcpy(out->path, s->path, UM_PATH_LEN);
			out->path_len = um_path_end(out->path, s->path_len);
		}
	}
	bpf_ringbuf_submit(out, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline void um_sample(struct um_socket *s, struct um_series *series, u64 duration,
				      u64 request_bytes)
{
	bool slow = um_is_slow(series, duration);
	u8 kind = UM_SAMPLE_PLAIN;

	if (s->answer_status >= 500)
		kind = UM_SAMPLE_ERROR;
	else if (slow)
		kind = UM_SAMPLE_SLOW;
	if (um_within_budget(UM_BUCKET_SAMPLES + kind, s->answer_start_ns + duration,
			     um_config.samples_per_s[kind]))
		um_emit_sample(s, duration, request_bytes, kind);
	else if (kind != UM_SAMPLE_PLAIN)
		UM_COUNT(samples_limited);
}

#endif
