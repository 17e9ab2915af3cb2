// SPDX-License-Identifier: GPL-2.0
/* What a scanner of HTTP text works on, and what it may find. */
#ifndef UM_LIB_SCAN_H
#define UM_LIB_SCAN_H

#include "lib/window.h"
#include "abi/series.h"
#include "abi/socket.h"

enum um_event {
	UM_EVENT_NONE = 0,     /* the stretch is used up, or there is more to do in it */
	UM_EVENT_HEAD = 3,     /* the head ended */
	UM_EVENT_END = 4,      /* the message ended */
	UM_EVENT_NOT_HTTP = 5, /* what should begin a message does not */
	UM_EVENT_LOST = 6,     /* framing cannot be known any more */
	UM_EVENT_TLS = 7,      /* a TLS record begins here */
	UM_EVENT_HTTP2 = 8,    /* the HTTP/2 preface begins here */
	UM_EVENT_EMPTY = 9,    /* a byte between messages, part of neither */
};

/* A start line that was read to its end; acted upon before the event behind it. */
enum um_line {
	UM_LINE_NONE = 0,
	UM_LINE_REQUEST = 1, /* method in `detail` */
	UM_LINE_STATUS = 2,  /* status in `detail` */
};

/* One stretch of payload while it is read. */
struct um_scan {
	struct um_window w;
	u32 base;   /* offset in the packet of the window's first byte */
	u32 end;    /* offset in the packet behind the last byte */
	u32 target; /* offset in the packet of the request target; 0: it began in an earlier one */
	u16 detail; /* of the line */
	u16 held_len; /* bytes kept of a held segment */
	u8 held;      /* 1 + slot of um_held the bytes are in; 0: they are in the packet */
	u8 line;      /* enum um_line */
	u8 is_answer;
	u8 sent;     /* 1: this socket sent it */
	u8 counting; /* enum um_counting */
};

/* Offset in the packet of the next byte to read. */
static __always_inline u32 um_cursor(const struct um_scan *sc)
{
	return sc->base + sc->w.pos;
}

static __always_inline void um_message_begins(struct um_stream *st, struct um_scan *sc)
{
	st->phase = UM_PHASE_TOKEN;
	st->flags &= ~(UM_STREAM_LENGTH | UM_STREAM_CHUNKED | UM_STREAM_BAD);
	st->flags |= UM_STREAM_MESSAGE;
	st->match = 0;
	st->tail = 0;
	st->remain = 0;
	sc->target = 0;
}

static __always_inline bool um_is_digit(u8 c)
{
	return c >= '0' && c <= '9';
}

#endif
