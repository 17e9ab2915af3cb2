// SPDX-License-Identifier: GPL-2.0
/* From segments, in whatever order they come, to one ordered stream per direction. */
#ifndef UM_LIB_STREAMS_H
#define UM_LIB_STREAMS_H

#include "lib/held.h"
#include "lib/turns.h"

struct um_turns {
	struct __sk_buff *skb;
	struct um_socket *s;
	struct um_judge *j;
};

static long um_next_turn(u32 index, struct um_turns *t)
{
	int more = um_turn(t->skb, t->s, t->j);

	/* Compared, so that no compiler folds it into arithmetic: the verifier knows nothing of what a
	 * global function returns, and a callback may return 0 and 1 only. */
	barrier_var(more);
	if (more == 0)
		return 1;
	return 0;
}

/* Judges one stretch to its end. */
static __always_inline void um_run(struct __sk_buff *skb, struct um_socket *s, struct um_judge *j)
{
	struct um_turns t = { skb, s, j };

	for (int i = 0; i < UM_TURNS; i++)
		if (!um_turn(skb, s, j))
			return;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) {
		if (bpf_loop(UM_MORE_TURNS, um_next_turn, &t, 0) < UM_MORE_TURNS)
			return;
	} else {
		for (int i = 0; i < UM_MORE_TURNS_OLD; i++)
			if (!um_turn(skb, s, j))
				return;
	}
	um_lose(s);
}

/*
 * TCP is past the byte we wait for: it went where nobody looked, and will not come again. Before
 * this segment is handed to it, TCP knows no more of the stream than we do.
 */
static __always_inline bool um_is_past(struct __sk_buff *skb, const struct um_stream *st, bool sent)
{
	struct tcp_sock *tp = skb->sk ? bpf_skc_to_tcp_sock(skb->sk) : 0;

	return tp && (s32)((sent ? tp->snd_una : tp->rcv_nxt) - st->next) > 0;
}

/* Places a segment in the stream; 0: judge it, 1: nothing new in it, -1: it came too early. */
static __always_inline int um_place(struct um_stream *st, struct um_packet *p)
{
	s32 ahead;

	if (!(st->flags & UM_STREAM_SYNCED)) {
		st->next = p->seq;
		st->flags |= UM_STREAM_SYNCED;
	}
	ahead = p->seq - st->next;
	if (ahead > 0)
		return -1;
	if ((u32)-ahead >= p->len)
		return 1;
	p->payload += -ahead;
	p->len -= -ahead;
	p->seq = st->next;
	return 0;
}

static __always_inline void um_server_answers(struct __sk_buff *skb, struct um_socket *s,
					      const struct um_packet *p)
{
	s->tls_version = um_server_hello(skb, p->payload);
	s->tls_seen = 2;
	um_opaque(s, 0);
}

/* Judges a segment that is in place, and those that waited for it. */
static __always_inline int um_judge_in_place(struct __sk_buff *skb, struct um_socket *s,
					     struct um_stream *st, const struct um_packet *p,
					     bool sent)
{
	struct um_judge *j = um_take_judge(sent);

	if (!j)
		return -1;
	/* TCP stamps what it sends with the monotonic clock (skb_mstamp_ns): no need to read it again. */
	j->now = sent && skb->tstamp ? skb->tstamp : bpf_ktime_get_ns();
	j->next = p->seq + p->len;
	j->scan.w.pos = 0;
	j->scan.w.len = 0;
	j->scan.base = p->payload;
	j->scan.end = p->payload + p->len;
	j->scan.target = 0;
	j->scan.held = 0;
	j->scan.sent = sent;
	j->scan.is_answer = um_is_answer(s, sent);
	if (st->phase == UM_PHASE_LOST)
		um_try_again(s, st, sent);
	for (int i = 0; i <= UM_HELD_SEGMENTS; i++) {
		um_run(skb, s, j);
		st->next = j->next;
		if (!(st->flags & UM_STREAM_HELD) || !um_next_held(skb, st, j))
			break;
	}
	um_release_judge(j, sent);
	return 0;
}

#define UM_SPINS (1 << 17) /* milliseconds: what a segment of nothing but tiny chunks takes */
#define UM_SPINS_OLD 256

struct um_wait {
	struct um_stream *st;
	u32 taken;
};

static long um_try_take(u32 index, struct um_wait *wait)
{
	if (*(volatile u32 *)&wait->st->busy || __sync_lock_test_and_set(&wait->st->busy, 1))
		return 0;
	wait->taken = 1;
	return 1;
}

/*
 * Ingress of one connection may run on two CPUs at once (the sender moved between two segments);
 * egress holds the socket's lock. The holder is in a softirq and never waits for us.
 */
static __always_inline bool um_take(struct um_stream *st)
{
	struct um_wait wait = { st };

	if (!__sync_lock_test_and_set(&st->busy, 1))
		return true;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) {
		bpf_loop(UM_SPINS, um_try_take, &wait, 0);
		return wait.taken;
	}
	for (int i = 0; i < UM_SPINS_OLD; i++)
		if (!__sync_lock_test_and_set(&st->busy, 1))
			return true;
	return false;
}

#define UM_WAITS 4096 /* some tens of microseconds */

struct um_turn_wait {
	struct um_stream *st;
	u32 seq;
};

static long um_is_reached(u32 index, struct um_turn_wait *wait)
{
	return (s32)(wait->seq - *(volatile u32 *)&wait->st->next) <= 0;
}

/*
 * A segment too long to be held that comes too early: more often than lost, the one before it is
 * about to be judged on another CPU, where the sender ran a moment ago. At most once a gap.
 */
static __always_inline void um_wait_for_turn(struct um_stream *st, const struct um_packet *p)
{
	u32 ahead = p->seq - *(volatile u32 *)&st->next;
	struct um_turn_wait wait = { st, p->seq };

	if ((s32)ahead <= 0 || p->len <= UM_HELD_BYTES || !(st->flags & UM_STREAM_SYNCED) ||
	    st->flags & UM_STREAM_HELD || st->phase >= UM_PHASE_UNTIL_CLOSE)
		return;
	if (st->phase == UM_PHASE_BODY && st->remain >= (u64)ahead + p->len)
		return; /* only its length matters */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop))
		bpf_loop(UM_WAITS, um_is_reached, &wait, 0);
}

/* Not inlined: its stack must not add to what the UDP path needs. */
static __noinline int um_judge(struct __sk_buff *skb, struct um_socket *s, struct um_packet *p,
			       bool sent)
{
	struct um_stream *st;
	int place;

	if (!s || !p)
		return 0;
	st = sent ? &s->sent : &s->received;
	if (s->l7 == UM_L7_TLS) {
		um_server_answers(skb, s, p);
		return 0;
	}
	if (!sent)
		um_wait_for_turn(st, p);
	if (!sent && !um_take(st)) {
		um_lose(s);
		return 0;
	}
	place = um_place(st, p);
	if (place < 0 && !sent && um_beyond_window(skb, p))
		place = 1;
	if (place < 0 && um_is_past(skb, st, sent))
		um_lose(s);
	if (place < 0 && st->phase == UM_PHASE_LOST) {
		st->next = p->seq; /* what is missing was lost with the rest */
		place = 0;
	}
	if (place < 0)
		place = um_hold(skb, st, p, sent);
	else if (!place)
		place = um_judge_in_place(skb, s, st, p, sent);
	if (place < 0)
		um_lose(s);
	if (!sent)
		__sync_lock_test_and_set(&st->busy, 0);
	return 0;
}

#endif
