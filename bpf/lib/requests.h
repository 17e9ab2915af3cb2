// SPDX-License-Identifier: GPL-2.0
/* Requests waiting for their answers, and the counting of answered and cut ones. */
#ifndef UM_LIB_REQUESTS_H
#define UM_LIB_REQUESTS_H

#include "lib/edges.h"
#include "lib/histogram.h"
#include "lib/loads.h"
#include "lib/samples.h"

const struct um_series um_no_series = {};

static __always_inline struct um_series *um_series_of(struct um_series_key *key)
{
	struct um_series *series = bpf_map_lookup_elem(&um_series, key);

	if (series)
		return series;
	bpf_map_update_elem(&um_series, key, &um_no_series, BPF_NOEXIST);
	series = bpf_map_lookup_elem(&um_series, key);
	if (!series)
		UM_COUNT(series_full);
	return series;
}

static __always_inline void um_series_key_of(const struct um_socket *s, struct um_series_key *key)
{
	key->client = s->client;
	key->server = s->server;
	key->port = s->port;
	key->role = s->role;
	key->l7 = s->l7;
	key->shard = um_shard();
}

/* Run number `at`. While none waits the next goes to runs[0], which shares a line with head and tail. */
static __always_inline struct um_request *um_run_at(struct um_socket *s, u32 at)
{
	return &s->runs[(at - s->runs_base) & (UM_REQUEST_RUNS - 1)];
}

/*
 * A request's start line is complete. Requests of one segment share their start time and become
 * one run; when all runs are taken, the last run of the same method takes one more.
 */
static __always_inline int um_request_begins(struct um_socket *s, u64 start_ns, u8 method)
{
	u32 tail = s->runs_tail, head = s->runs_head;
	struct um_request *last = um_run_at(s, tail - 1);
	struct um_request *run;

	if (tail == head)
		s->runs_base = tail;
	else if (last->method == method &&
		 (last->start_ns == start_ns || tail - head >= UM_REQUEST_RUNS)) {
		if (last->start_ns != start_ns)
			UM_COUNT(pipeline_merged);
		__sync_fetch_and_add(&last->count, 1);
		return 0;
	}
	if (tail - head >= UM_REQUEST_RUNS)
		return -1;
	run = um_run_at(s, tail);
	run->start_ns = start_ns;
	run->bytes = 0;
	run->count = 1;
	run->method = method;
	s->runs_tail = tail + 1;
	return 0;
}

/* A request's last byte has been seen; it may have been answered already. */
static __always_inline void um_request_ended(struct um_socket *s, u64 bytes)
{
	u32 tail = s->runs_tail;

	if (tail == s->runs_head)
		__sync_fetch_and_add(&s->late_request_bytes, bytes);
	else
		um_run_at(s, tail - 1)->bytes += bytes;
}

/*
 * Takes the oldest unanswered request; -1 when there is none. Only the answering direction moves the
 * head, and the asking one adds to no run but the last, so a run of one needs no atomics.
 */
static __always_inline int um_take_request(struct um_socket *s)
{
	u32 head = s->runs_head;
	struct um_request *run = um_run_at(s, head);
	u32 count = run->count;

	if (head == s->runs_tail)
		return -1;
	s->answer_request_bytes = run->bytes;
	s->answer_start_ns = run->start_ns;
	s->answer_method = run->method;
	if (count > 1)
		count = __sync_fetch_and_add(&run->count, -1);
	if (count > 1) {
		s->answer_request_bytes = run->bytes / count;
		__sync_fetch_and_add(&run->bytes, -s->answer_request_bytes);
	} else {
		s->runs_head = head + 1;
	}
	return 0;
}

/*
 * Adds to a counter of a series. Ingress runs with softirqs off, so where every CPU has a shard of its
 * own nobody else can be between the read and the write; all others add atomically.
 */
static __always_inline void um_add(u64 *counter, u64 more, bool alone)
{
	if (alone)
		*counter += more;
	else
		__sync_fetch_and_add(counter, more);
}

/* A paced segment is stamped with when it is due (skb_mstamp_ns): that may lie ahead of its answer. */
static __always_inline u64 um_since(u64 start_ns, u64 end_ns)
{
	return end_ns > start_ns ? end_ns - start_ns : 0;
}

static __always_inline void um_count_head(struct um_socket *s, struct um_series *series,
					  const struct um_stream *answer, u64 request_bytes,
					  bool alone)
{
	u64 duration = um_since(s->answer_start_ns, answer->start_ns);
	u32 bin = um_bin(duration);

	um_add(&series->requests, 1, alone);
	um_add(&series->duration_ns, duration, alone);
	if (bin < UM_BINS)
		um_add(&series->bins[bin], 1, alone);
	um_add(&series->request_bytes, request_bytes, alone);
	s->requests++;
	um_sample(s, series, duration, request_bytes);
}

/* Counts an answer: its head (once), and its end when it has come. */
static __always_inline void um_count_answer(struct um_socket *s, const struct um_stream *answer,
					    u64 request_bytes, bool counted, bool ended, u64 now,
					    bool ingress)
{
	struct um_series_key key = {};
	struct um_series *series;
	bool alone = ingress && um_config.exclusive_shards;

	um_resolve_server(s);
	if (s->flags & UM_SOCKET_STEERED && !counted)
		um_load_answered(s, um_since(s->answer_start_ns, answer->start_ns), now);
	um_series_key_of(s, &key);
	key.status = s->answer_status;
	key.method = s->answer_method;
	series = um_series_of(&key);
	if (!series)
		return;
	if (!counted)
		um_count_head(s, series, answer, request_bytes, alone);
	if (ended) {
		um_add(&series->ended, 1, alone);
		um_add(&series->ended_ns, um_since(s->answer_start_ns, now), alone);
		um_add(&series->response_bytes, answer->bytes, alone);
	}
	series->last_ns = now;
}

/* Counts `count` requests of one run that will never be answered. */
static __always_inline void um_count_cut(struct um_socket *s, const struct um_request *run, u64 now)
{
	struct um_series_key key = {};
	struct um_series *series;

	um_load_cut(s, run->count);
	um_series_key_of(s, &key);
	key.status = UM_STATUS_CUT;
	key.method = run->method;
	series = um_series_of(&key);
	if (!series)
		return;
	__sync_fetch_and_add(&series->requests, (u64)run->count);
	__sync_fetch_and_add(&series->request_bytes, run->bytes);
	series->last_ns = now;
}

/* The connection is over: what was never answered was cut, what had begun keeps its bytes. */
static __always_inline void um_requests_over(struct um_socket *s, u64 now)
{
	struct um_stream *answer = s->role == UM_ROLE_CLIENT ? &s->received : &s->sent;
	struct um_series_key key = {};
	struct um_series *series;

#pragma unroll
	for (int i = 0; i < UM_REQUEST_RUNS; i++) {
		u32 at = s->runs_head + i;

		if ((s32)(s->runs_tail - at) > 0)
			um_count_cut(s, um_run_at(s, at), now);
	}
	if (s->answering != 2 && !s->late_request_bytes)
		return;
	um_series_key_of(s, &key);
	key.status = s->answer_status;
	key.method = s->answer_method;
	series = um_series_of(&key);
	if (!series)
		return;
	__sync_fetch_and_add(&series->request_bytes, s->late_request_bytes);
	if (s->answering != 2)
		return;
	__sync_fetch_and_add(&series->response_bytes, answer->bytes);
	if (answer->phase == UM_PHASE_UNTIL_CLOSE && !(s->flags & UM_SOCKET_RESET)) {
		__sync_fetch_and_add(&series->ended, 1);
		__sync_fetch_and_add(&series->ended_ns, um_since(s->answer_start_ns, now));
	}
}

#endif
