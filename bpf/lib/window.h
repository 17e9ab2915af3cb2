// SPDX-License-Identifier: GPL-2.0
/* A window of payload bytes, and finding a line's end in it eight bytes at a time. */
#ifndef UM_LIB_WINDOW_H
#define UM_LIB_WINDOW_H

#include "lib/kernel.h"

#define UM_WINDOW 256

struct um_window {
	u8 data[UM_WINDOW +
		8]; /* eight bytes of slack, so that a word can be read at any position */
	u32 pos;
	u32 len;
	u32 value; /* where in it the value of Content-Length begins; 0: not seen */
	u32 zero;  /* is 0, which the verifier does not know */
};

/* Keeps the compiler from checking one copy of a position and using another. */
#define UM_SAME(x) asm volatile("" : "+r"(x))

static __always_inline u64 um_word(const struct um_window *w, u32 at)
{
	UM_SAME(at);
	return at < UM_WINDOW ? *(const u64 *)(w->data + at) : 0;
}

static __always_inline u8 um_byte(const struct um_window *w, u32 at)
{
	UM_SAME(at);
	return at < UM_WINDOW ? w->data[at] : 0;
}

#define UM_ONES 0x0101010101010101ULL
#define UM_HIGHS 0x8080808080808080ULL

/* Offset within a word of its first '\n'; 8 when it has none. */
static __always_inline u32 um_line_feed(u64 word)
{
	u64 x = word ^ 0x0a0a0a0a0a0a0a0aULL;
	u64 hit = (x - UM_ONES) & ~x & UM_HIGHS;

	if (!hit)
		return 8;
	/* Count the bytes below the lowest set bit. */
	return (u32)(((((hit & -hit) - 1) & UM_ONES) * UM_ONES) >> 56) - 1;
}

/*
 * Makes the verifier forget what it knows of a position, so that each turn of a loop looks the same to
 * it. In a register: through memory, every turn would wait for the store of the turn before.
 */
static __always_inline u32 um_forget(const struct um_window *w)
{
	return *(const volatile u32 *)&w->zero;
}

/*
 * Moves to the byte after the next '\n', or to `len` when there is none in the window; true when
 * there was one.
 */
static __always_inline bool um_pass_line(struct um_window *w)
{
	u32 pos = w->pos, len = w->len, forget = um_forget(w);

	for (u32 i = 0; i <= UM_WINDOW / 8 && pos < len; i++) {
		u32 at = um_line_feed(um_word(w, pos));

		pos = (pos + at + (at < 8)) ^ forget;
		if (at < 8 && pos <= len) {
			w->pos = pos;
			return true;
		}
		if (at < 8)
			break; /* the line feed was stale bytes behind the end */
	}
	w->pos = len;
	return false;
}

#endif
