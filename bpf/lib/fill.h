// SPDX-License-Identifier: GPL-2.0
/* Where the bytes of a window come from: the packet, or a segment that was held. */
#ifndef UM_LIB_FILL_H
#define UM_LIB_FILL_H

#include "lib/maps_sockets.h"
#include "lib/scan.h"

/* Bytes of a held segment that were kept. */
static __always_inline int um_load_held(struct __sk_buff *skb, struct um_scan *sc, u32 at, u32 len)
{
	struct bpf_sock *sk = skb->sk;
	struct um_held *held;
	u32 slot = sc->held - 1;

	if (!sk)
		return -1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return -1;
	held = bpf_sk_storage_get(&um_held, sk, 0, 0);
	if (!held || slot >= UM_HELD_SEGMENTS || at >= UM_HELD_BYTES || at >= sc->held_len)
		return -1;
	if (len > sc->held_len - at)
		len = sc->held_len - at;
	asm volatile("" : "+r"(len));
	if (len < 1 || len > UM_WINDOW)
		return -1;
	sc->w.len = len;
	return bpf_probe_read_kernel(sc->w.data, len, held->segments[slot].data + at);
}

/* Fills the window from the cursor on. */
static __always_inline int um_fill(struct __sk_buff *skb, struct um_scan *sc)
{
	struct um_window *w = &sc->w;
	u32 at = um_cursor(sc), len = sc->end - at;

	sc->base = at;
	w->pos = 0;
	w->value = 0;
	if (len > UM_WINDOW)
		len = UM_WINDOW;
	w->len = len;
	if (sc->held)
		return um_load_held(skb, sc, at, len);
	asm volatile("" : "+r"(len));
	if (len < 1 || len > UM_WINDOW)
		return -1;
	return bpf_skb_load_bytes(skb, at, w->data, len);
}

#endif
