// SPDX-License-Identifier: GPL-2.0
/* A window of payload bytes, and finding a line's end in it eight bytes at a time. */
#ifndef UM_LIB_WINDOW_H
#define UM_LIB_WINDOW_H

#include "lib/kernel.h"

#define UM_WINDOW 128

struct um_window {
	u8 data[UM_WINDOW + 8]; /* eight bytes of slack, so that a word can be read at any position */
	u32 pos;
	u32 len;
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

/*
 * Position of the next '\n' at or after `pos`, or `len` when there is none in the window.
 * A global function: the verifier checks it once, whatever calls it.
 */
__noinline u32 um_line_end(const struct um_window *w, u32 pos)
{
	u32 len;

	if (!w)
		return 0;
	len = w->len;

	for (u32 i = 0; i < UM_WINDOW / 8; i++) {
		u64 x, hit;

		if (pos >= len)
			return len;
		x = um_word(w, pos) ^ 0x0a0a0a0a0a0a0a0aULL;
		hit = (x - UM_ONES) & ~x & UM_HIGHS;
		if (hit) {
			/* Count the bytes below the lowest set bit. */
			hit = ((hit & -hit) - 1) & UM_ONES;
			pos += (u32)((hit * UM_ONES) >> 56) - 1;
			return pos < len ? pos : len;
		}
		pos += 8;
	}
	return len;
}

#endif
