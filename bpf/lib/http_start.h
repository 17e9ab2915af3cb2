// SPDX-License-Identifier: GPL-2.0
/* Start lines (RFC 9112 3, 4): methods, statuses, and whether this is HTTP at all. */
#ifndef UM_LIB_HTTP_START_H
#define UM_LIB_HTTP_START_H

#include "lib/scan.h"

static __always_inline u8 um_method_of(u64 token)
{
	switch (token) {
	case 0x474554:
		return UM_METHOD_GET;
	case 0x48454144:
		return UM_METHOD_HEAD;
	case 0x504f5354:
		return UM_METHOD_POST;
	case 0x505554:
		return UM_METHOD_PUT;
	case 0x44454c455445:
		return UM_METHOD_DELETE;
	case 0x434f4e4e454354:
		return UM_METHOD_CONNECT;
	case 0x4f5054494f4e53:
		return UM_METHOD_OPTIONS;
	case 0x5452414345:
		return UM_METHOD_TRACE;
	case 0x5041544348:
		return UM_METHOD_PATCH;
	default:
		return UM_METHOD_NONE;
	}
}

/* The same, from the first word of a request line: the method and its space, little-endian. */
static __always_inline u8 um_method_at_once(u64 word, u32 *len)
{
	u32 four = word;

	*len = 5;
	if (four == 0x20544547) {
		*len = 4;
		return UM_METHOD_GET;
	}
	if (four == 0x20545550) {
		*len = 4;
		return UM_METHOD_PUT;
	}
	if ((word & 0xffffffffffULL) == 0x2054534f50ULL)
		return UM_METHOD_POST;
	if ((word & 0xffffffffffULL) == 0x2044414548ULL)
		return UM_METHOD_HEAD;
	*len = 7;
	if ((word & 0xffffffffffffffULL) == 0x204554454c4544ULL)
		return UM_METHOD_DELETE;
	return UM_METHOD_NONE;
}

#define UM_TOKEN_PRI 0x505249ULL /* "PRI": the HTTP/2 connection preface, RFC 9113 3.4 */

/* The first byte of a message decides what it can be. */
static __always_inline int um_scan_start(struct um_stream *st, struct um_scan *sc)
{
	u8 c = um_byte(&sc->w, sc->w.pos);

	if (c == '\r' || c == '\n') { /* RFC 9112 2.2: an empty line before a message is ignored */
		sc->w.pos++;
		return UM_EVENT_EMPTY;
	}
	/* A handshake record; in the middle of an old connection, application data. */
	if (!sc->is_answer && (c == 0x16 || (c == 0x17 && st->flags & UM_STREAM_RETRY)))
		return UM_EVENT_TLS;
	um_message_begins(st, sc);
	if (!sc->is_answer && sc->w.pos + 8 <= sc->w.len) {
		u32 len;
		u8 method = um_method_at_once(um_word(&sc->w, sc->w.pos), &len);

		if (method) {
			sc->w.pos += len;
			sc->target = sc->base + sc->w.pos;
			st->match = method;
			st->phase = UM_PHASE_LINE;
		}
	}
	return UM_EVENT_NONE;
}

/* One byte of a method. The first message of a connection decides whether it is HTTP at all. */
static __always_inline int um_scan_method(struct um_stream *st, struct um_scan *sc)
{
	u8 c = um_byte(&sc->w, sc->w.pos);

	if (c >= 'A' && c <= 'Z' && st->match < 7) {
		st->tail = st->tail << 8 | c;
		st->match++;
		sc->w.pos++;
		return UM_EVENT_NONE;
	}
	if (c != ' ')
		return UM_EVENT_NOT_HTTP;
	if (st->tail == UM_TOKEN_PRI)
		return UM_EVENT_HTTP2;
	st->match = um_method_of(st->tail);
	if (st->match == UM_METHOD_NONE)
		return UM_EVENT_NOT_HTTP;
	sc->w.pos++;
	sc->target = sc->base + sc->w.pos;
	st->tail = 0;
	st->phase = UM_PHASE_LINE;
	return UM_EVENT_NONE;
}

/* "HTTP/1.x NNN", read whole when it lies in the window. */
static __always_inline bool um_scan_status_at_once(struct um_stream *st, struct um_scan *sc)
{
	u32 pos = sc->w.pos;
	u64 version = um_word(&sc->w, pos), rest;
	u8 a, b, c;

	if (st->match || pos + 13 > sc->w.len)
		return false;
	if ((version & 0x00ffffffffffffffULL) != 0x002e312f50545448ULL)
		return false;
	rest = um_word(&sc->w, pos + 8);
	a = rest >> 8, b = rest >> 16, c = rest >> 24;
	if ((u8)rest != ' ' || !um_is_digit(a) || !um_is_digit(b) || !um_is_digit(c))
		return false;
	sc->detail = (a - '0') * 100 + (b - '0') * 10 + (c - '0');
	sc->w.pos = pos + 12;
	return true;
}

/* One byte of "HTTP/1.x NNN"; the status gathers in `remain`. */
static __always_inline int um_scan_status(struct um_stream *st, struct um_scan *sc)
{
	u8 c = um_byte(&sc->w, sc->w.pos);
	u32 at = st->match;

	if (um_scan_status_at_once(st, sc)) {
		sc->line = UM_LINE_STATUS;
		st->phase = UM_PHASE_SKIP;
		return UM_EVENT_NONE;
	}
	if (at < 7) {
		if (c != (u8)(0x2e312f50545448ULL >> (8 * (at & 7))))
			return UM_EVENT_NOT_HTTP;
	} else if (at == 8) {
		if (c != ' ')
			return UM_EVENT_NOT_HTTP;
	} else if (!um_is_digit(c)) {
		return UM_EVENT_NOT_HTTP;
	}
	if (at > 8)
		st->remain = st->remain * 10 + (c - '0');
	st->match++;
	sc->w.pos++;
	if (at < 11)
		return UM_EVENT_NONE;
	sc->line = UM_LINE_STATUS;
	sc->detail = (u32)st->remain;
	st->remain = 0;
	st->match = 0;
	st->phase = UM_PHASE_SKIP; /* nobody needs the reason phrase */
	return UM_EVENT_NONE;
}

/* The last eight bytes before `end`, of which those before `pos` are in `tail`. */
static __always_inline u64 um_last_bytes(const struct um_stream *st, const struct um_window *w,
					 u32 pos, u32 end)
{
	u32 n = end - pos;

	if (n >= 8)
		return um_word(w, end - 8);
	if (!n)
		return st->tail;
	return st->tail >> (8 * (n & 7)) | um_word(w, pos) << (64 - 8 * (n & 7));
}

/* "HTTP/1.x" at the end of a request line, with or without the CR that belongs there. */
static __always_inline bool um_ends_in_version(u64 last)
{
	if ((u8)(last >> 56) == '\r')
		return (last & 0x0000ffffffffffffULL) == 0x00002e312f505454ULL &&
			um_is_digit(last >> 48);
	return (last & 0x00ffffffffffffffULL) == 0x002e312f50545448ULL && um_is_digit(last >> 56);
}

static __always_inline int um_scan_line(struct um_stream *st, struct um_scan *sc)
{
	u32 begin = sc->w.pos;
	bool whole = um_pass_line(&sc->w);
	u32 end = sc->w.pos - whole;
	u64 last;

	/* The CR is not part of the line; one that ended the window before is known by its place. */
	if (whole && end > begin && um_byte(&sc->w, end - 1) == '\r')
		end--;
	last = um_last_bytes(st, &sc->w, begin, end);

	st->tail = last;
	if (!whole)
		return UM_EVENT_NONE;
	st->phase = UM_PHASE_NAME;
	if (!um_ends_in_version(last))
		return UM_EVENT_NOT_HTTP;
	sc->line = UM_LINE_REQUEST;
	sc->detail = st->match;
	st->match = 0;
	return UM_EVENT_NONE;
}

#endif
