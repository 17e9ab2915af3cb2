// SPDX-License-Identifier: GPL-2.0
/* Segments that came before the one they follow, kept until the gap before them is filled. */
#ifndef UM_LIB_HELD_H
#define UM_LIB_HELD_H

#include "lib/judge.h"

static __always_inline struct um_held *um_held_of(struct __sk_buff *skb, u64 flags)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	return sk ? bpf_sk_storage_get(&um_held, sk, 0, flags) : 0;
}

static __always_inline int um_keep(struct __sk_buff *skb, const struct um_packet *p,
				   struct um_held_segment *slot, bool sent)
{
	u32 len = p->len < UM_HELD_BYTES ? p->len : UM_HELD_BYTES;

	asm volatile("" : "+r"(len));
	if (len < 1 || len > UM_HELD_BYTES || bpf_skb_load_bytes(skb, p->payload, slot->data, len))
		return -1;
	slot->seq = p->seq;
	slot->len = p->len;
	slot->sent = sent;
	slot->ts_ns = bpf_ktime_get_ns();
	slot->used = len;
	return 0;
}

/* What lies beyond the window is not for us: TCP will not take it either (RFC 9293 3.10.7.4). */
static __always_inline bool um_beyond_window(struct __sk_buff *skb, const struct um_packet *p)
{
	struct tcp_sock *tp = skb->sk ? bpf_skc_to_tcp_sock(skb->sk) : 0;

	return tp && (s32)(p->seq - tp->rcv_nxt - tp->rcv_wnd) >= 0;
}

#define UM_HELD_HALF (UM_HELD_BYTES / 2)

/* Puts a short segment behind the one it follows. */
static __always_inline int um_append(struct __sk_buff *skb, const struct um_packet *p,
				     struct um_held_segment *slot)
{
	u32 at = slot->used, len = p->len;

	asm volatile("" : "+r"(at), "+r"(len));
	if (at != slot->len || at > UM_HELD_HALF || len < 1 || len > UM_HELD_HALF ||
	    bpf_skb_load_bytes(skb, p->payload, slot->data + at, len))
		return -1;
	slot->used = at + len;
	slot->len = slot->used;
	return 0;
}

/* Keeps a segment that came before the one it follows. */
static __noinline int um_hold(struct __sk_buff *skb, struct um_stream *st,
			      const struct um_packet *p, bool sent)
{
	struct um_held_segment *free = 0, *run = 0;
	struct um_held *held;

	held = um_held_of(skb, BPF_SK_STORAGE_GET_F_CREATE);
	if (!held) {
		UM_COUNT(storage_failed);
		return -1;
	}
	for (int i = 0; i < UM_HELD_SEGMENTS; i++) {
		struct um_held_segment *slot = &held->segments[i];

		if (!slot->used) {
			free = slot;
			continue;
		}
		if (slot->sent != sent)
			continue;
		if (slot->seq + slot->len == p->seq)
			run = slot;
		if (slot->seq != p->seq)
			continue;
		if (slot->len >= p->len)
			return 0;
		free = slot;
		break;
	}
	if (run && !um_append(skb, p, run))
		return 0;
	if (free && !um_keep(skb, p, free, sent)) {
		st->flags |= UM_STREAM_HELD;
		return 0;
	}
	if (run) {
		run->len += p->len; /* within a body only its length matters */
		return 0;
	}
	UM_COUNT(held_overflow);
	return -1;
}

/* Turns to a held segment that the stream has reached; 0 when none is due. */
static __noinline int um_next_held(struct __sk_buff *skb, struct um_stream *st, struct um_judge *j)
{
	struct um_held *held = um_held_of(skb, 0);
	u32 waiting = 0;

	if (!held || !j || !st)
		return 0;
	for (int i = 0; i < UM_HELD_SEGMENTS; i++) {
		struct um_held_segment *slot = &held->segments[i];
		u32 skip = st->next - slot->seq;

		if (!slot->used || slot->sent != j->scan.sent)
			continue;
		waiting = 1;
		if ((s32)skip < 0)
			continue;
		j->scan.held_len = slot->used;
		slot->used = 0;
		if (skip >= slot->len)
			continue;
		j->scan.held = 1 + i;
		j->scan.base = skip;
		j->scan.w.pos = 0;
		j->scan.w.len = 0;
		j->scan.end = slot->len;
		j->next = slot->seq + slot->len;
		return 1;
	}
	if (!waiting)
		st->flags &= ~UM_STREAM_HELD;
	return 0;
}

#endif
