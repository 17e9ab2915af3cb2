// SPDX-License-Identifier: GPL-2.0
/*
 * Answers of one server begin alike: status, Server, Date, Content-Type. What was read last of such a
 * beginning is remembered, up to the value of Content-Length, and where the same bytes come again the
 * scanner starts behind them: comparing costs a tenth of reading.
 */
#ifndef UM_LIB_HEADS_H
#define UM_LIB_HEADS_H

#include "lib/scan.h"

#define UM_HEADS 8      /* a power of two */
#define UM_HEAD_TRIES 4 /* one in so many beginnings that differ replaces what is remembered */

struct um_head {
	u8 data[UM_WINDOW]; /* from "HTTP/1." to "Content-Length:" */
	u16 len;            /* bytes of it; 0: nothing is remembered */
	u16 status;
	u32 misses;
};

/* Whether the window begins with the bytes that are remembered. */
static __always_inline bool um_head_is(const struct um_head *head, const struct um_window *w)
{
	u32 len = head->len, i;
	u64 differ = 0;

	if (!len || len > w->len)
		return false;
	for (i = 0; i < UM_WINDOW / 8 && i * 8 + 8 <= len; i++) {
		differ = *(const u64 *)(head->data + i * 8) ^ *(const u64 *)(w->data + i * 8);
		if (differ)
			return false;
	}
	if (!(len & 7) || i >= UM_WINDOW / 8)
		return true;
	differ = *(const u64 *)(head->data + i * 8) ^ *(const u64 *)(w->data + i * 8);
	return !(differ << (64 - 8 * (len & 7)));
}

/* Starts behind a beginning that was read before, where this is one. */
static __always_inline void um_head_again(struct um_stream *st, struct um_scan *sc,
					  const struct um_head *head)
{
	if (!um_head_is(head, &sc->w))
		return;
	um_message_begins(st, sc);
	sc->w.pos = head->len;
	sc->line = UM_LINE_STATUS;
	sc->detail = head->status;
	st->phase = UM_PHASE_LENGTH;
}

/* Remembers the beginning of the answer that the window began with. */
static __always_inline void um_remember_head(const struct um_stream *st, const struct um_scan *sc,
					     struct um_head *head)
{
	u32 len = sc->w.value;

	if (!len || st->flags & (UM_STREAM_CHUNKED | UM_STREAM_BAD) || sc->line != UM_LINE_STATUS ||
	    head->misses++ % UM_HEAD_TRIES)
		return;
	head->len = 0;
	for (u32 i = 0; i < UM_WINDOW / 8 && i * 8 < len; i++)
		*(u64 *)(head->data + i * 8) = *(const u64 *)(sc->w.data + i * 8);
	head->status = sc->detail;
	head->len = len;
}

#endif
