// SPDX-License-Identifier: GPL-2.0
/* Where the bytes of a window come from: a packet, a segment that was held, or a message. */
#ifndef UM_LIB_FILL_H
#define UM_LIB_FILL_H

#include "lib/maps_sockets.h"
#include "lib/scan.h"

/*
 * What a program is called with. A constant wherever it is asked, so that the compiler leaves out the
 * other kind, whose helpers the verifier would not know.
 */
enum um_source {
	UM_SOURCE_PACKET = 0,  /* cgroup_skb: struct __sk_buff */
	UM_SOURCE_MESSAGE = 1, /* sk_msg: struct sk_msg_md */
};

/*
 * Bytes of what somebody is about to send. Pulling makes no copy as long as they lie in one piece of
 * the message, which is up to 32 KiB long.
 */
static __always_inline int um_load_message(struct sk_msg_md *msg, u32 at, void *to, u32 len)
{
	if (bpf_msg_pull_data(msg, at, at + len, 0))
		return -1;
	return bpf_probe_read_kernel(to, len, msg->data);
}

static __always_inline int um_load(void *ctx, const enum um_source from, u32 at, void *to, u32 len)
{
	if (from == UM_SOURCE_MESSAGE)
		return um_load_message(ctx, at, to, len);
	return bpf_skb_load_bytes(ctx, at, to, len);
}

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
static __always_inline int um_fill(void *ctx, const enum um_source from, struct um_scan *sc)
{
	struct um_window *w = &sc->w;
	u32 at = um_cursor(sc), len = sc->end - at;

	sc->base = at;
	w->pos = 0;
	w->value = 0;
	if (len > UM_WINDOW)
		len = UM_WINDOW;
	w->len = len;
	if (from == UM_SOURCE_PACKET && sc->held)
		return um_load_held(ctx, sc, at, len);
	asm volatile("" : "+r"(len));
	if (len < 1 || len > UM_WINDOW)
		return -1;
	return um_load(ctx, from, at, w->data, len);
}

#endif
