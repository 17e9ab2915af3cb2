// SPDX-License-Identifier: GPL-2.0
/*
 * HTTP/1.x framing (RFC 9112): reads heads, finds where messages end, never looks into bodies.
 * Everything that must survive the end of a window or a segment is in struct um_stream, so a head
 * may be split anywhere.
 */
#ifndef UM_LIB_HTTP_H
#define UM_LIB_HTTP_H

#include "lib/fill.h"
#include "lib/heads.h"
#include "lib/http_body.h"
#include "lib/http_headers.h"
#include "lib/http_start.h"

/* One step within the window, by phase. */
static __always_inline int um_scan_step(struct um_stream *st, struct um_scan *sc)
{
	if (st->phase == UM_PHASE_START) {
		int event = um_scan_start(st, sc);

		if (event || sc->w.pos >= sc->w.len)
			return event;
	} else if (st->phase == UM_PHASE_SKIP) {
		um_pass_lines(st, &sc->w);
		if (sc->w.pos >= sc->w.len)
			return UM_EVENT_NONE;
	}
	switch (st->phase) {
	case UM_PHASE_SKIP:
		return UM_EVENT_NONE;
	case UM_PHASE_NAME:
		return um_scan_name(st, sc);
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

#define UM_SCAN_STEPS 6

/*
 * Reads on until something happens or the stretch is used up; UM_EVENT_NONE also where there is more
 * to do.
 */
static __always_inline int um_scan_on(void *ctx, const enum um_source from, struct um_stream *st,
				      struct um_scan *sc)
{
	for (int i = 0; i < UM_SCAN_STEPS; i++) {
		int event;

		if (sc->w.pos >= sc->w.len) {
			if (um_cursor(sc) >= sc->end)
				return UM_EVENT_NONE;
			if (um_fill(ctx, from, sc))
				return UM_EVENT_LOST;
		}
		event = um_scan_step(st, sc);
		if (event)
			return event;
		/* A body begins: its bytes are skipped, not read. */
		if (st->phase == UM_PHASE_CHUNK_DATA)
			return UM_EVENT_NONE;
	}
	return UM_EVENT_NONE;
}

/*
 * A global function: the verifier checks it once, whatever calls it. Calls are dear (return thunks on
 * some CPUs cost as much as forty instructions), so all of it is one function.
 */
__noinline int um_http_scan(struct __sk_buff *skb, struct um_stream *st, struct um_scan *sc)
{
	if (!st || !sc)
		return UM_EVENT_LOST;
	return um_scan_on(skb, UM_SOURCE_PACKET, st, sc);
}

/* The same in a message; see message.h. */
int um_http_scan_message(struct sk_msg_md *msg, struct um_stream *st, struct um_scan *sc);

#endif
