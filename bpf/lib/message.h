// SPDX-License-Identifier: GPL-2.0
/*
 * Judging what is handed from socket to socket. Such bytes come whole and in order, and take no
 * sequence numbers: the stream's `next` stays where TCP is, and what TCP carries before and after them
 * is judged by the tap.
 */
#ifndef UM_LIB_MESSAGE_H
#define UM_LIB_MESSAGE_H

#include "lib/turns.h"

__noinline int um_http_scan_message(struct sk_msg_md *msg, struct um_stream *st, struct um_scan *sc)
{
	if (!st || !sc)
		return UM_EVENT_LOST;
	return um_scan_on(msg, UM_SOURCE_MESSAGE, st, sc);
}

/* One turn; 0 when the message is used up. Global: checked once, however often it is called. */
__noinline int um_turn_message(struct sk_msg_md *msg, struct um_socket *s, struct um_judge *j)
{
	if (!s || !j)
		return 0;
	return um_one_turn(msg, UM_SOURCE_MESSAGE, s, j->scan.sent ? &s->sent : &s->received, j);
}

struct um_message_turns {
	struct sk_msg_md *msg;
	struct um_socket *s;
	struct um_judge *j;
};

static long um_next_turn_message(u32 index, struct um_message_turns *t)
{
	int more = um_turn_message(t->msg, t->s, t->j);

	barrier_var(more);
	if (more == 0)
		return 1;
	return 0;
}

/* Judges one message to its end. */
static __always_inline void um_run_message(struct sk_msg_md *msg, struct um_socket *s,
					   struct um_judge *j)
{
	struct um_message_turns t = { msg, s, j };

	for (int i = 0; i < UM_TURNS; i++)
		if (!um_turn_message(msg, s, j))
			return;
	if (bpf_loop(UM_MORE_TURNS, um_next_turn_message, &t, 0) >= UM_MORE_TURNS)
		um_lose(s);
}

/*
 * Judges a message that goes straight to the other end. `sent`: the measured end sends it. A sender
 * holds its socket, so a direction has one message at a time; and none while TCP carries bytes of it
 * that are new, so nobody else judges it: a segment sent again leaves the stream alone.
 */
static __noinline int um_judge_message(struct sk_msg_md *msg, struct um_socket *s, bool sent)
{
	struct um_stream *st;
	struct um_judge *j;

	if (!s)
		return 0;
	st = sent ? &s->sent : &s->received;
	if (st->phase == UM_PHASE_OPAQUE)
		return 0;
	j = um_take_judge(true);
	if (!j) {
		um_lose(s);
		return 0;
	}
	j->now = bpf_ktime_get_ns();
	j->scan.w.pos = 0;
	j->scan.w.len = 0;
	j->scan.base = 0;
	j->scan.end = msg->size;
	j->scan.target = 0;
	j->scan.held = 0;
	j->scan.sent = sent;
	j->scan.is_answer = um_is_answer(s, sent);
	if (st->phase == UM_PHASE_LOST)
		um_try_again(s, st, sent);
	um_run_message(msg, s, j);
	um_release_judge(j, true);
	return 0;
}

#endif
