// SPDX-License-Identifier: GPL-2.0
/*
 * HTTP/1.x framing (RFC 9112): reads heads, finds where messages end, never looks into bodies.
 * Everything that must survive the end of a window or a segment is in struct um_stream, so a head
 * may be split anywhere.
 */
#ifndef UM_LIB_HTTP_H
#define UM_LIB_HTTP_H

#include "lib/window.h"
#include "abi/series.h"
#include "abi/socket.h"

enum um_event {
	UM_EVENT_NONE = 0,     /* the window is used up, or there is more to do in it */
	UM_EVENT_REQUEST = 1,  /* a request line was read: method in `detail` */
	UM_EVENT_STATUS = 2,   /* a status was read: in `detail` */
	UM_EVENT_HEAD = 3,     /* the head ended */
	UM_EVENT_END = 4,      /* the message ended */
	UM_EVENT_NOT_HTTP = 5, /* what should begin a message does not */
	UM_EVENT_LOST = 6,     /* framing cannot be known any more */
	UM_EVENT_TLS = 7,      /* a TLS record begins here */
	UM_EVENT_HTTP2 = 8,    /* the HTTP/2 preface begins here */
	UM_EVENT_EMPTY = 9,    /* a byte between messages, part of neither */
};

struct um_scan {
	struct um_window w;
	u32 base;   /* offset in the packet of the window's first byte */
	u32 detail; /* of the event */
	u32 target; /* offset in the packet of the request target; 0: it began in an earlier one */
	u32 is_answer;
};

static __always_inline u8 um_method_of(u64 token)
{
	switch (token) {
	case 0x474554: return UM_METHOD_GET;
	case 0x48454144: return UM_METHOD_HEAD;
	case 0x504f5354: return UM_METHOD_POST;
	case 0x505554: return UM_METHOD_PUT;
	case 0x44454c455445: return UM_METHOD_DELETE;
	case 0x434f4e4e454354: return UM_METHOD_CONNECT;
	case 0x4f5054494f4e53: return UM_METHOD_OPTIONS;
	case 0x5452414345: return UM_METHOD_TRACE;
	case 0x5041544348: return UM_METHOD_PATCH;
	default: return UM_METHOD_NONE;
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
	st->phase = UM_PHASE_TOKEN;
	st->flags &= ~(UM_STREAM_LENGTH | UM_STREAM_CHUNKED | UM_STREAM_BAD);
	st->flags |= UM_STREAM_MESSAGE;
	st->match = 0;
	st->tail = 0;
	st->remain = 0;
	sc->target = 0;
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

static __always_inline bool um_is_digit(u8 c)
{
	return c >= '0' && c <= '9';
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
		st->phase = UM_PHASE_SKIP;
		return UM_EVENT_STATUS;
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
	sc->detail = (u32)st->remain;
	st->remain = 0;
	st->match = 0;
	st->phase = UM_PHASE_SKIP; /* nobody needs the reason phrase */
	return UM_EVENT_STATUS;
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
	u64 last = um_last_bytes(st, &sc->w, begin, sc->w.pos - whole);

	st->tail = last;
	if (!whole)
		return UM_EVENT_NONE;
	st->phase = UM_PHASE_NAME;
	sc->detail = st->match;
	st->match = 0;
	return um_ends_in_version(last) ? UM_EVENT_REQUEST : UM_EVENT_NOT_HTTP;
}

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

/* Decides a header line from one look where the name lies whole in the window. */
static __always_inline bool um_scan_name_at_once(struct um_stream *st, struct um_scan *sc)
{
	u32 pos = sc->w.pos;
	u64 a, b;

	if (pos + UM_NAME_CODING > sc->w.len)
		return false;
	a = um_word(&sc->w, pos) | UM_LOWER;
	b = um_word(&sc->w, pos + 8) | UM_LOWER;
	if (a == UM_WORD_CONTENT && (b & 0x00ffffffffffffffULL) == UM_WORD_LENGTH) {
		um_enter_value(st, true);
		sc->w.pos = pos + UM_NAME_LENGTH;
	} else if (a == UM_WORD_TRANSFER && b == UM_WORD_ENCODIN &&
		   (um_byte(&sc->w, pos + 16) | 0x20) == 'g' && um_byte(&sc->w, pos + 17) == ':') {
		um_enter_value(st, false);
		sc->w.pos = pos + UM_NAME_CODING;
	} else {
		st->phase = UM_PHASE_SKIP;
	}
	return true;
}

/* A line that may decide framing, or the end of the head. */
static __always_inline bool um_may_matter(u8 c)
{
	u8 lower = c | 0x20;

	return lower == 'c' || lower == 't' || c == '\r' || c == '\n';
}

#define UM_LINE_STEPS (UM_WINDOW / 8 + 16)

/* From within a line, passes lines until one that may matter begins, or the window ends. */
static __always_inline void um_pass_lines(struct um_stream *st, struct um_window *w)
{
	for (u32 i = 0; i < UM_LINE_STEPS; i++) {
		u32 pos = *(volatile u32 *)&w->pos, at;

		if (pos >= w->len)
			break;
		at = um_line_feed(um_word(w, pos));
		pos += at + (at < 8);
		*(volatile u32 *)&w->pos = pos;
		if (at == 8)
			continue;
		st->phase = UM_PHASE_NAME;
		if (pos > w->len)
			st->phase = UM_PHASE_SKIP; /* the line feed was stale bytes behind the end */
		if (pos >= w->len)
			break;
		if (um_may_matter(um_byte(w, pos)))
			return;
		st->phase = UM_PHASE_SKIP;
	}
	if (w->pos > w->len)
		w->pos = w->len;
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
		if (um_scan_name_at_once(st, sc))
			return UM_EVENT_NONE;
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

/* One byte of a Content-Length. `match` is 1 once a digit was seen, 2 after it ended. */
static __always_inline void um_scan_length(struct um_stream *st, struct um_scan *sc)
{
	u8 c = um_byte(&sc->w, sc->w.pos);

	sc->w.pos++;
	if (um_is_digit(c)) {
		if (st->match == 2 || st->remain > (1ULL << 58))
			st->flags |= UM_STREAM_BAD;
		st->remain = st->remain * 10 + (c - '0');
		st->match = 1;
	} else if (c == '\n') {
		st->flags |= st->match ? UM_STREAM_LENGTH : UM_STREAM_BAD;
		st->phase = UM_PHASE_NAME;
		st->match = 0;
	} else if (c == ' ' || c == '\t' || c == '\r') {
		if (st->match)
			st->match = 2;
	} else {
		st->flags |= UM_STREAM_BAD;
	}
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

#define UM_CHUNK_CR 16 /* `match` behind the data of a chunk: its line end comes first */
#define UM_CHUNK_LF 17

/* One byte of a chunk-size line. `match` counts digits. */
static __always_inline int um_scan_chunk(struct um_stream *st, struct um_scan *sc)
{
	u8 c = um_byte(&sc->w, sc->w.pos);
	u8 lower = c | 0x20;

	if (st->match >= UM_CHUNK_CR) {
		if (c != '\n' && (c != '\r' || st->match == UM_CHUNK_LF))
			return UM_EVENT_LOST;
		st->match = c == '\r' ? UM_CHUNK_LF : 0;
		sc->w.pos++;
		return UM_EVENT_NONE;
	}
	if (um_is_digit(c) || (lower >= 'a' && lower <= 'f')) {
		if (st->match >= 15)
			return UM_EVENT_LOST;
		st->remain = st->remain << 4 | (um_is_digit(c) ? c - '0' : lower - 'a' + 10);
		st->match++;
		sc->w.pos++;
		return UM_EVENT_NONE;
	}
	if (!st->match)
		return UM_EVENT_LOST;
	if (c != '\r' && c != '\n' && c != ';' && c != ' ' && c != '\t')
		return UM_EVENT_LOST;
	st->phase = UM_PHASE_CHUNK_EXT;
	return UM_EVENT_NONE;
}

/* The rest of a chunk-size line. */
static __always_inline void um_scan_chunk_ext(struct um_stream *st, struct um_scan *sc)
{
	if (!um_pass_line(&sc->w))
		return;
	st->match = 0;
	st->phase = st->remain ? UM_PHASE_CHUNK_DATA : UM_PHASE_TRAILER;
}

static __always_inline int um_scan_trailer(struct um_stream *st, struct um_scan *sc)
{
	u8 c = um_byte(&sc->w, sc->w.pos);

	if (c == '\r' || c == '\n') {
		sc->w.pos++;
		return c == '\n' ? UM_EVENT_END : UM_EVENT_NONE;
	}
	st->phase = UM_PHASE_TRAILER_SKIP;
	return UM_EVENT_NONE;
}

static __always_inline void um_scan_trailer_skip(struct um_stream *st, struct um_scan *sc)
{
	if (um_pass_line(&sc->w))
		st->phase = UM_PHASE_TRAILER;
}

/* One step within the window, by phase. */
static __always_inline int um_scan_step(struct um_stream *st, struct um_scan *sc)
{
	switch (st->phase) {
	case UM_PHASE_SKIP:
		um_pass_lines(st, &sc->w);
		return UM_EVENT_NONE;
	case UM_PHASE_NAME:
		return um_scan_name(st, sc);
	case UM_PHASE_START:
		return um_scan_start(st, sc);
	case UM_PHASE_TOKEN:
		return sc->is_answer ? um_scan_status(st, sc) : um_scan_method(st, sc);
	case UM_PHASE_LINE:
		return um_scan_line(st, sc);
	case UM_PHASE_LENGTH:
		um_scan_length(st, sc);
		return UM_EVENT_NONE;
	case UM_PHASE_CODING:
		um_scan_coding(st, sc);
		return UM_EVENT_NONE;
	case UM_PHASE_CHUNK:
		return um_scan_chunk(st, sc);
	case UM_PHASE_CHUNK_EXT:
		um_scan_chunk_ext(st, sc);
		return UM_EVENT_NONE;
	case UM_PHASE_TRAILER:
		return um_scan_trailer(st, sc);
	case UM_PHASE_TRAILER_SKIP:
		um_scan_trailer_skip(st, sc);
		return UM_EVENT_NONE;
	default:
		return UM_EVENT_LOST;
	}
}

#define UM_SCAN_STEPS 4

/*
 * Runs through the window until something happens or it is used up. A global function: the
 * verifier checks it once, whatever calls it. Calls are dear (return thunks on some CPUs cost as much
 * as forty instructions), so all of it is one function.
 */
__noinline int um_http_scan(struct um_stream *st, struct um_scan *sc)
{
	if (!st || !sc)
		return UM_EVENT_LOST;
	for (int i = 0; i < UM_SCAN_STEPS; i++) {
		int event;

		if (sc->w.pos >= sc->w.len)
			return UM_EVENT_NONE;
		event = um_scan_step(st, sc);
		if (event)
			return event;
		/* A body begins: its bytes are skipped, not read. */
		if (st->phase == UM_PHASE_CHUNK_DATA)
			return UM_EVENT_NONE;
	}
	return UM_EVENT_NONE;
}

#endif
