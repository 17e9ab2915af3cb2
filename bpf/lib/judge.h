// SPDX-License-Identifier: GPL-2.0
/* Every byte of a TCP stream is judged once: from segments to requests and answers. */
#ifndef UM_LIB_JUDGE_H
#define UM_LIB_JUDGE_H

#include "lib/http.h"
#include "lib/packet.h"
#include "lib/requests.h"
#include "lib/tls.h"

/*
 * One stretch of payload while it is judged, and what lasts longer. Too much for the stack (512 bytes
 * with all callers), so it lies in um_judges, one for each depth that programs can interrupt each other.
 */
struct um_judge {
	struct um_scan scan;
	u32 busy; /* taken */
	u32 next; /* sequence number behind the last byte */
	u64 now;
	struct um_head heads[UM_HEADS]; /* what answers began with, by server */
};

#define UM_JUDGES 4

/*
 * Purpose: room for judging. Key: 0 on ingress, which runs with softirqs off, so one a CPU is enough;
 * 1 and up on egress, which a softirq and, on some kernels, another task may interrupt.
 * Inserts: the kernel (array). Full: the segment is not judged, which is a desync.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, UM_JUDGES);
	__type(key, u32);
	__type(value, struct um_judge);
} um_judges SEC(".maps");

static __always_inline struct um_judge *um_take_judge(bool sent)
{
	if (!sent) {
		u32 zero = 0;

		return bpf_map_lookup_elem(&um_judges, &zero);
	}
#pragma unroll
	for (int i = 1; i < UM_JUDGES; i++) {
		u32 key = i;
		struct um_judge *j = bpf_map_lookup_elem(&um_judges, &key);

		if (j && !__sync_lock_test_and_set(&j->busy, 1))
			return j;
	}
	return 0;
}

static __always_inline void um_release_judge(struct um_judge *j, bool sent)
{
	if (sent)
		__sync_lock_test_and_set(&j->busy, 0);
}

#define um_flag(s, bits) __sync_fetch_and_or(&(s)->flags, (bits))

#define UM_LOST_TRIES 64

static __always_inline void um_opaque(struct um_socket *s, u8 l7)
{
	if (l7)
		s->l7 = l7;
	s->sent.phase = UM_PHASE_OPAQUE;
	s->received.phase = UM_PHASE_OPAQUE;
}

/* Framing is lost: what was waiting for an answer cannot be matched any more. Counted, not guessed. Global. */
__noinline int um_lose(struct um_socket *s)
{
	struct um_edge_key key = {};
	struct um_edge *edge;

	if (!s)
		return 0;
	s->sent.phase = UM_PHASE_LOST;
	s->received.phase = UM_PHASE_LOST;
	s->sent.tries = 0;
	s->received.tries = 0;
	s->runs_head = s->runs_tail;
	s->answering = 0;
	if (um_flag(s, UM_SOCKET_DESYNC) & UM_SOCKET_DESYNC)
		return 0;
	UM_COUNT(desyncs);
	um_resolve_server(s);
	um_edge_key_of(s, &key);
	edge = um_edge_of(&key);
	if (edge)
		__sync_fetch_and_add(&edge->desyncs, 1);
	return 0;
}

/* What should have begun a message does not look like one. */
static __always_inline void um_not_http(struct um_socket *s, struct um_stream *st)
{
	if (st->flags & UM_STREAM_RETRY) {
		st->phase = UM_PHASE_LOST;
		if (++st->tries >= UM_LOST_TRIES)
			um_opaque(s, s->l7 ? 0 : UM_L7_TCP);
	} else if (s->l7 == UM_L7_HTTP1) {
		um_lose(s);
	} else {
		um_opaque(s, UM_L7_TCP);
	}
}

static __always_inline void um_copy_target(void *ctx, const enum um_source from,
					   struct um_socket *s, const struct um_judge *j)
{
	u32 at = j->scan.target, len = j->scan.end - at;

	s->path_len = 0;
	if (!at || j->scan.held || at >= j->scan.end)
		return;
	if (len > UM_PATH_LEN)
		len = UM_PATH_LEN;
	asm volatile("" : "+r"(len));
	if (len > 0 && len <= UM_PATH_LEN && !um_load(ctx, from, at, s->path, len))
		s->path_len = len;
}

static __always_inline void um_on_request(void *ctx, const enum um_source from, struct um_socket *s,
					  struct um_stream *st, struct um_judge *j)
{
	if (st->flags & UM_STREAM_RETRY) {
		/* Found the framing (again): answers are taken from the next one on. */
		st->flags &= ~UM_STREAM_RETRY;
		s->runs_head = s->runs_tail;
	}
	s->l7 = UM_L7_HTTP1;
	if (um_request_begins(s, st->start_ns, j->scan.detail)) {
		um_lose(s);
		return;
	}
	um_copy_target(ctx, from, s, j);
}

static __always_inline void um_on_status(struct um_socket *s, struct um_stream *st, u32 status)
{
	st->flags &= ~UM_STREAM_RETRY;
	s->answer_status = status;
	s->answering = 0;
	if (status < 200 && status != 101)
		return; /* an interim answer (RFC 9110 15.2) is not the answer */
	if (um_take_request(s))
		return; /* nobody asked (a 408 on an idle connection): parsed, not counted */
	s->answering = 1;
}

/* What of the answer under way is to be counted when the turn ends: one place, for the verifier. */
enum um_counting {
	UM_COUNTING_NOTHING = 0,
	UM_COUNTING_HEAD = 1,
	UM_COUNTING_END = 2,
};

static __always_inline void um_count(const enum um_source from, struct um_socket *s,
				     struct um_stream *st, struct um_judge *j)
{
	/* A message is judged by the task that sends it. */
	bool ingress = from == UM_SOURCE_PACKET && !j->scan.sent;
	bool ended = j->scan.counting == UM_COUNTING_END;
	u64 bytes = s->answer_request_bytes;

	if (s->late_request_bytes)
		bytes += __sync_lock_test_and_set(&s->late_request_bytes, 0);
	um_count_answer(s, st, bytes, s->answering == 2, ended, j->now, ingress);
	s->answering = ended ? 0 : 2;
}

static __always_inline void um_answered(struct um_socket *s, struct um_judge *j,
					enum um_counting counting)
{
	if (s->answering)
		j->scan.counting = counting;
}

static __always_inline void um_on_end(struct um_socket *s, struct um_stream *st, struct um_judge *j)
{
	st->phase = UM_PHASE_START;
	st->flags &= ~UM_STREAM_MESSAGE;
	if (j->scan.is_answer)
		um_answered(s, j, UM_COUNTING_END);
	else
		um_request_ended(s, st->bytes);
}

/* The head of an answer ended: RFC 9112 6.3 says how long the body is. */
static __always_inline void um_on_answer_head(struct um_socket *s, struct um_stream *st,
					      struct um_judge *j)
{
	u32 status = s->answer_status;
	bool asked = s->answering;
	bool bodiless = status == 204 || status == 304 ||
		(asked && s->answer_method == UM_METHOD_HEAD);

	if (status < 200 && status != 101) {
		st->phase = UM_PHASE_START;
		return;
	}
	if (status == 101 || (asked && s->answer_method == UM_METHOD_CONNECT && status < 300)) {
		um_answered(s, j, UM_COUNTING_END);
		um_flag(s, UM_SOCKET_TUNNEL);
		um_opaque(s, 0);
		return;
	}
	if (bodiless) {
		um_on_end(s, st, j);
		return;
	}
	if (st->flags & UM_STREAM_CHUNKED) {
		st->phase = UM_PHASE_CHUNK;
		st->remain = 0;
	} else if (!(st->flags & UM_STREAM_LENGTH)) {
		st->phase = UM_PHASE_UNTIL_CLOSE;
	} else if (!st->remain) {
		um_on_end(s, st, j);
		return;
	} else {
		st->phase = UM_PHASE_BODY;
		if (st->remain <= j->scan.end - um_cursor(&j->scan))
			return; /* all of it is here: head and end are counted together */
	}
	um_answered(s, j, UM_COUNTING_HEAD);
}

static __always_inline void um_on_request_head(struct um_socket *s, struct um_stream *st,
					       struct um_judge *j)
{
	if (st->flags & UM_STREAM_CHUNKED) {
		st->phase = UM_PHASE_CHUNK;
		st->remain = 0;
	} else if (st->flags & UM_STREAM_LENGTH && st->remain) {
		st->phase = UM_PHASE_BODY;
	} else {
		um_on_end(s, st, j);
	}
}

static __always_inline void um_on_tls(struct __sk_buff *skb, struct um_socket *s,
				      struct um_stream *st, struct um_judge *j)
{
	u8 begin[3] = {};
	struct bpf_sock *sk = skb->sk;
	struct um_tls *tls;

	if (s->l7 == UM_L7_HTTP1 || j->scan.held ||
	    bpf_skb_load_bytes(skb, um_cursor(&j->scan), begin, sizeof(begin)) || begin[1] != 3) {
		um_not_http(s, st);
		return;
	}
	um_opaque(s, UM_L7_TLS);
	if (begin[0] != 0x16 || !sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return;
	tls = bpf_sk_storage_get(&um_tls, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!tls) {
		UM_COUNT(storage_failed);
		return;
	}
	um_client_hello(skb, um_cursor(&j->scan), tls);
	/* The answer's first segment names the version. */
	s->tls_seen = 1;
	(j->scan.sent ? &s->received : &s->sent)->phase = UM_PHASE_START;
}

/* A start line was read; false when it makes no sense here. */
static __always_inline bool um_on_line(void *ctx, const enum um_source from, struct um_socket *s,
				       struct um_stream *st, struct um_judge *j)
{
	if (j->scan.line == UM_LINE_STATUS)
		um_on_status(s, st, j->scan.detail);
	else
		um_on_request(ctx, from, s, st, j);
	return st->phase != UM_PHASE_LOST;
}

static __always_inline void um_on_event(void *ctx, const enum um_source from, struct um_socket *s,
					struct um_stream *st, struct um_judge *j, int event)
{
	switch (event) {
	case UM_EVENT_HEAD:
		if (st->flags & UM_STREAM_BAD && !(st->flags & UM_STREAM_CHUNKED))
			um_lose(s);
		else if (j->scan.is_answer)
			um_on_answer_head(s, st, j);
		else
			um_on_request_head(s, st, j);
		break;
	case UM_EVENT_END:
		um_on_end(s, st, j);
		break;
	case UM_EVENT_NOT_HTTP:
		um_not_http(s, st);
		break;
	case UM_EVENT_HTTP2:
		if (s->l7 == UM_L7_HTTP1)
			um_not_http(s, st);
		else
			um_opaque(s, UM_L7_HTTP2);
		break;
	case UM_EVENT_TLS:
		if (from == UM_SOURCE_PACKET)
			um_on_tls(ctx, s, st, j);
		else
			um_opaque(s, UM_L7_TLS); /* its hellos are left to TCP, and read there */
		break;
	case UM_EVENT_LOST:
		um_lose(s);
		break;
	}
}

/* Moves the cursor over bytes nobody needs to read. */
static __always_inline void um_pass(struct um_judge *j, u32 bytes)
{
	struct um_window *w = &j->scan.w;

	if (bytes <= w->len - w->pos) {
		w->pos += bytes;
	} else {
		j->scan.base += w->pos + bytes;
		w->pos = 0;
		w->len = 0;
	}
}

static __always_inline void um_pass_body(struct um_socket *s, struct um_stream *st,
					 struct um_judge *j)
{
	u32 here = j->scan.end - um_cursor(&j->scan);
	u32 bytes = st->remain < here ? (u32)st->remain : here;

	um_pass(j, bytes);
	st->bytes += bytes;
	st->remain -= bytes;
	if (st->remain)
		return;
	if (st->phase == UM_PHASE_BODY) {
		um_on_end(s, st, j);
	} else {
		st->phase = UM_PHASE_CHUNK;
		st->match = UM_CHUNK_CR;
	}
}

/* Reads on until something happens; a head that begins as the last one did is not read again. */
static __always_inline int um_read(void *ctx, const enum um_source from, struct um_socket *s,
				   struct um_stream *st, struct um_judge *j)
{
	struct um_head *head = &j->heads[(s->server + s->port) & (UM_HEADS - 1)];
	struct um_scan *sc = &j->scan;
	bool fresh = st->phase == UM_PHASE_START && sc->is_answer && sc->w.pos >= sc->w.len;
	u32 begin = um_cursor(sc);
	int event;

	sc->line = UM_LINE_NONE;
	if (fresh) {
		if (um_fill(ctx, from, sc))
			return UM_EVENT_LOST;
		um_head_again(st, sc, head);
		fresh = !sc->line;
	}
	if (from == UM_SOURCE_PACKET)
		event = um_http_scan(ctx, st, sc);
	else
		event = um_http_scan_message(ctx, st, sc);
	if (fresh && sc->base == begin)
		um_remember_head(st, sc, head);
	return event;
}

/*
 * Reads on until something happens, or skips body bytes; or both. False when the stretch is used up.
 */
static __always_inline bool um_one_turn(void *ctx, const enum um_source from, struct um_socket *s,
					struct um_stream *st, struct um_judge *j)
{
	u32 before = um_cursor(&j->scan);

	if (before >= j->scan.end || st->phase >= UM_PHASE_OPAQUE)
		return false;
	if (st->phase == UM_PHASE_UNTIL_CLOSE) {
		st->bytes += j->scan.end - before;
		return false;
	}
	j->scan.counting = UM_COUNTING_NOTHING;
	if (st->phase != UM_PHASE_BODY && st->phase != UM_PHASE_CHUNK_DATA) {
		int event;

		if (st->phase == UM_PHASE_START) {
			st->start_ns = j->now;
			st->bytes = 0;
		}
		event = um_read(ctx, from, s, st, j);
		st->bytes += um_cursor(&j->scan) - before;
		if (j->scan.line && !um_on_line(ctx, from, s, st, j))
			return false;
		if (event)
			um_on_event(ctx, from, s, st, j, event);
	}
	if (st->phase == UM_PHASE_BODY || st->phase == UM_PHASE_CHUNK_DATA)
		um_pass_body(s, st, j);
	if (j->scan.counting)
		um_count(from, s, st, j);
	return um_cursor(&j->scan) < j->scan.end;
}

#define UM_TURNS_A_CALL 1

/* A few turns; 0 when the stretch is used up. Global: checked once, however often it is called. */
__noinline int um_turn(struct __sk_buff *skb, struct um_socket *s, struct um_judge *j)
{
	struct um_stream *st;

	if (!s || !j)
		return 0;
	st = j->scan.sent ? &s->sent : &s->received;
	for (int i = 0; i < UM_TURNS_A_CALL; i++)
		if (!um_one_turn(skb, UM_SOURCE_PACKET, s, st, j))
			return 0;
	return 1;
}

#endif
