// SPDX-License-Identifier: GPL-2.0
/* Header lines (RFC 9112 5): the two that decide framing are read, all others passed. */
#ifndef UM_LIB_HTTP_HEADERS_H
#define UM_LIB_HTTP_HEADERS_H

#include "lib/scan.h"

#define UM_LOWER 0x2020202020202020ULL
#define UM_WORD_CONTENT 0x2d746e65746e6f63ULL  /* "content-" */
#define UM_WORD_LENGTH 0x003a6874676e656cULL   /* "length:" */
#define UM_WORD_TRANSFER 0x726566736e617274ULL /* "transfer" */
#define UM_WORD_ENCODIN 0x6e69646f636e652dULL  /* "-encodin" */
#define UM_NAME_LENGTH 15                      /* strlen("content-length:") */
#define UM_NAME_CODING 18                      /* strlen("transfer-encoding:") */
#define UM_NAME_CODING_BASE 32                 /* `match` while in "transfer-encoding:" */

/* Byte `at` of the name whose progress is `match`; 0 past its end. */
static __always_inline u8 um_name_byte(u32 match)
{
	u32 at = match & 31, shift = 8 * (at & 7);

	if (match < UM_NAME_CODING_BASE)
		return at < 8 ? UM_WORD_CONTENT >> shift : UM_WORD_LENGTH >> shift;
	if (at < 8)
		return UM_WORD_TRANSFER >> shift;
	return at < 16 ? UM_WORD_ENCODIN >> shift : (at == 16 ? 'g' : ':');
}

static __always_inline void um_enter_value(struct um_stream *st, bool length)
{
	st->match = 0;
	st->phase = length ? UM_PHASE_LENGTH : UM_PHASE_CODING;
	if (length && st->flags & UM_STREAM_LENGTH)
		st->flags |= UM_STREAM_BAD; /* two lengths: RFC 9112 6.3 rule 5 */
}

enum um_name {
	UM_NAME_OTHER = 0,
	UM_NAME_MATTERS = 1, /* the cursor is behind the name of a header that decides framing */
	UM_NAME_SPLIT = 2,   /* not whole in the window: byte by byte */
};

/* Decides a header line from one look where the name lies whole in the window. */
static __always_inline enum um_name um_name_at_once(struct um_stream *st, struct um_window *w,
						    u32 pos)
{
	u64 a, b;

	if (pos + UM_NAME_CODING > w->len)
		return UM_NAME_SPLIT;
	a = um_word(w, pos) | UM_LOWER;
	if (a != UM_WORD_CONTENT && a != UM_WORD_TRANSFER)
		return UM_NAME_OTHER;
	b = um_word(w, pos + 8) | UM_LOWER;
	if (a == UM_WORD_CONTENT && (b & 0x00ffffffffffffffULL) == UM_WORD_LENGTH) {
		um_enter_value(st, true);
		w->pos = pos + UM_NAME_LENGTH;
		w->value = w->pos;
		return UM_NAME_MATTERS;
	}
	if (a == UM_WORD_TRANSFER && b == UM_WORD_ENCODIN && (um_byte(w, pos + 16) | 0x20) == 'g' &&
	    um_byte(w, pos + 17) == ':') {
		um_enter_value(st, false);
		w->pos = pos + UM_NAME_CODING;
		return UM_NAME_MATTERS;
	}
	return UM_NAME_OTHER;
}

/* A line begins: the end of the head, or one that decides framing. All others are passed. */
static __always_inline bool um_is_decided(struct um_stream *st, struct um_window *w, u32 pos)
{
	u8 c = um_byte(w, pos), lower = c | 0x20;

	if (c == '\r' || c == '\n') {
		st->phase = UM_PHASE_NAME;
		return true;
	}
	if (lower != 'c' && lower != 't')
		return false;
	switch (um_name_at_once(st, w, pos)) {
	case UM_NAME_OTHER:
		return false;
	case UM_NAME_SPLIT:
		st->phase = UM_PHASE_NAME;
		return true;
	case UM_NAME_MATTERS:
		return true;
	}
	return true;
}

#define UM_LINE_STEPS (UM_WINDOW / 8 + 16)

/* From within a line, passes lines until one that may matter begins, or the window ends. */
static __always_inline void um_pass_lines(struct um_stream *st, struct um_window *w)
{
	u32 pos = w->pos, len = w->len, forget = um_forget(w);

	for (u32 i = 0; i < UM_LINE_STEPS && pos < len; i++) {
		u32 at = um_line_feed(um_word(w, pos));

		pos = (pos + at + (at < 8)) ^ forget;
		if (at == 8)
			continue;
		if (pos == len)
			st->phase = UM_PHASE_NAME;
		if (pos >= len)
			break; /* beyond it: the line feed was stale bytes behind the end */
		w->pos = pos;
		if (um_is_decided(st, w, pos))
			return;
	}
	w->pos = pos < len ? pos : len;
}

/* At the start of a header line, or some way into one of the two names that decide framing. */
static __always_inline int um_scan_name(struct um_stream *st, struct um_scan *sc)
{
	u8 c = um_byte(&sc->w, sc->w.pos);
	u8 lower = c | 0x20;

	if (!st->match) {
		if (c == '\r' && um_byte(&sc->w, sc->w.pos + 1) == '\n' &&
		    sc->w.pos + 2 <= sc->w.len) {
			sc->w.pos += 2;
			return UM_EVENT_HEAD;
		}
		if (c == '\n') {
			sc->w.pos++;
			return UM_EVENT_HEAD;
		}
		if (c == '\r') { /* what follows is '\n', or a header line that starts oddly */
			sc->w.pos++;
			return UM_EVENT_NONE;
		}
		if (lower != 'c' && lower != 't') {
			st->phase = UM_PHASE_SKIP;
			return UM_EVENT_NONE;
		}
		switch (um_name_at_once(st, &sc->w, sc->w.pos)) {
		case UM_NAME_MATTERS:
			return UM_EVENT_NONE;
		case UM_NAME_OTHER:
			st->phase = UM_PHASE_SKIP;
			return UM_EVENT_NONE;
		case UM_NAME_SPLIT:
			break;
		}
		st->match = lower == 'c' ? 0 : UM_NAME_CODING_BASE;
	}
	if (lower != um_name_byte(st->match)) {
		st->phase = UM_PHASE_SKIP;
		st->match = 0;
		return UM_EVENT_NONE;
	}
	st->match++;
	sc->w.pos++;
	if (st->match == UM_NAME_LENGTH)
		um_enter_value(st, true);
	else if (st->match == UM_NAME_CODING_BASE + UM_NAME_CODING)
		um_enter_value(st, false);
	return UM_EVENT_NONE;
}

#define UM_LENGTH_STEPS 8 /* " 12345\r\n" */

/* Bytes of a Content-Length. `match` is 1 once a digit was seen, 2 after it ended. */
static __always_inline void um_scan_length(struct um_stream *st, struct um_scan *sc)
{
	u32 pos = sc->w.pos, len = sc->w.len, forget = um_forget(&sc->w);
	u64 remain = st->remain;
	u8 match = st->match, flags = 0;

	for (u32 i = 0; i < UM_LENGTH_STEPS && pos < len; i++) {
		u8 c = um_byte(&sc->w, pos);

		pos = (pos + 1) ^ forget;
		if (um_is_digit(c)) {
			if (match == 2 || remain > (1ULL << 58))
				flags |= UM_STREAM_BAD;
			remain = remain * 10 + (c - '0');
			match = 1;
		} else if (c == '\n') {
			flags |= match ? UM_STREAM_LENGTH : UM_STREAM_BAD;
			st->phase = UM_PHASE_NAME;
			match = 0;
			break;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			if (match)
				match = 2;
		} else {
			flags |= UM_STREAM_BAD;
		}
	}
	st->match = match;
	st->remain = remain;
	st->flags |= flags;
	sc->w.pos = pos;
}

#define UM_WORD_CHUNKED 0x0064656b6e756863ULL /* "chunked" */
#define UM_CODING_OTHER 255

/* One byte of a Transfer-Encoding. What counts is whether the last coding is "chunked". */
static __always_inline void um_scan_coding(struct um_stream *st, struct um_scan *sc)
{
	u8 c = um_byte(&sc->w, sc->w.pos);

	sc->w.pos++;
	if (c == '\n') {
		st->phase = UM_PHASE_NAME;
		st->match = 0;
	} else if (c == ',') {
		st->match = 0;
	} else if (c != ' ' && c != '\t' && c != '\r') {
		st->flags &= ~UM_STREAM_CHUNKED;
		if (st->match < 7 && (c | 0x20) == (u8)(UM_WORD_CHUNKED >> (8 * (st->match & 7))))
			st->match++;
		else
			st->match = UM_CODING_OTHER;
		if (st->match == 7)
			st->flags |= UM_STREAM_CHUNKED;
	}
}

#endif
