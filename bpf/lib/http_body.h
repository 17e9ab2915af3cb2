// SPDX-License-Identifier: GPL-2.0
/* Chunked bodies (RFC 9112 7.1): sizes and trailers are read, data is passed over. */
#ifndef UM_LIB_HTTP_BODY_H
#define UM_LIB_HTTP_BODY_H

#include "lib/scan.h"

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

#endif
