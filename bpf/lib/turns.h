// SPDX-License-Identifier: GPL-2.0
/* What judging packets and judging messages share. */
#ifndef UM_LIB_TURNS_H
#define UM_LIB_TURNS_H

#include "lib/judge.h"

#define UM_TURNS 3          /* calls of um_turn: enough for all but pipelined and chunked traffic */
#define UM_MORE_TURNS 65536 /* a 512 KiB segment (BIG TCP) of the shortest chunks */
#define UM_MORE_TURNS_OLD 96 /* where the kernel has no bpf_loop (before 5.17) */

static __always_inline bool um_is_answer(const struct um_socket *s, bool sent)
{
	return sent == (s->role != UM_ROLE_CLIENT);
}

/* A segment after framing was lost: a request line at its start finds it again. */
static __always_inline void um_try_again(struct um_socket *s, struct um_stream *st, bool sent)
{
	if (!um_is_answer(s, sent)) {
		st->phase = UM_PHASE_START;
		st->flags |= UM_STREAM_RETRY;
	} else if (s->runs_head != s->runs_tail) {
		st->phase = UM_PHASE_START;
		st->flags |= UM_STREAM_RETRY;
	}
}

#endif
