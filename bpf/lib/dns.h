// SPDX-License-Identifier: GPL-2.0
/* DNS over UDP (RFC 1035 4.1.1): queries and answers matched by id; answers go to user space. */
#ifndef UM_LIB_DNS_H
#define UM_LIB_DNS_H

#include "lib/ends.h"
#include "lib/histogram.h"
#include "lib/maps_rings.h"
#include "lib/maps_sockets.h"
#include "lib/packet.h"
#include "lib/requests.h"

#define UM_DNS_HEADER 12
#define UM_DNS_RESPONSE 0x80 /* QR, in the third byte */

/* Names the far end of a UDP conversation this host began. */
static __always_inline void um_udp_resolve(struct um_udp *u, const u8 *remote)
{
	if (!u->server)
		u->server = um_peer_number(remote);
}

static __always_inline struct um_series *um_dns_series(struct um_udp *u, u16 rcode)
{
	struct um_series_key key = {};

	key.client = u->client;
	key.server = u->server;
	key.port = 53;
	key.status = rcode;
	key.role = u->role;
	key.l7 = UM_L7_DNS;
	key.shard = um_shard();
	return um_series_of(&key);
}

/* Queries nobody answered before the conversation fell idle. */
static __always_inline void um_unanswered(struct um_udp *u)
{
	struct um_series *series;

#pragma unroll
	for (int i = 0; i < UM_UDP_QUERIES; i++) {
		if (!u->queries[i].start_ns)
			continue;
		series = um_dns_series(u, UM_STATUS_DNS_TIMEOUT);
		if (series)
			__sync_fetch_and_add(&series->requests, 1);
		u->queries[i].start_ns = 0;
	}
}

static __always_inline void um_dns_query(struct um_udp *u, u16 id, const u8 *remote, u64 now)
{
	u32 oldest = 0;
	struct um_series *series;

#pragma unroll
	for (u32 i = 0; i < UM_UDP_QUERIES; i++) {
		if (u->queries[i].start_ns && u->queries[i].id == id)
			return; /* asked again: the time counts from the first */
		if (u->queries[i].start_ns < u->queries[oldest & 3].start_ns)
			oldest = i; /* a free one is older than any */
	}
	oldest &= UM_UDP_QUERIES - 1;
	if (u->queries[oldest].start_ns) {
		um_udp_resolve(u, remote);
		series = um_dns_series(u, UM_STATUS_DNS_TIMEOUT);
		if (series)
			__sync_fetch_and_add(&series->requests, 1);
	}
	u->queries[oldest].id = id;
	u->queries[oldest].start_ns = now;
}

/* Time the query with this id was asked; 0 when it was not seen. */
static __always_inline u64 um_dns_asked(struct um_udp *u, u16 id)
{
	u64 start = 0;

#pragma unroll
	for (u32 i = 0; i < UM_UDP_QUERIES; i++) {
		if (u->queries[i].start_ns && u->queries[i].id == id) {
			start = u->queries[i].start_ns;
			u->queries[i].start_ns = 0;
			break;
		}
	}
	return start;
}

/* Hands the answer to user space, which learns names from it. */
static __noinline int um_emit_answer(struct __sk_buff *skb, const struct um_udp *u,
				     const struct um_packet *p, u16 rcode, u64 now)
{
	struct um_answer *out;
	u32 len = p->len < UM_DNS_MESSAGE_LEN ? p->len : UM_DNS_MESSAGE_LEN;

	if (!um_within_budget(UM_BUCKET_ANSWERS, now, um_config.answers_per_s)) {
		UM_COUNT(answers_limited);
		return 0;
	}
	out = bpf_ringbuf_reserve(&um_answers, sizeof(*out), 0);
	if (!out) {
		UM_COUNT(answers_ring_full);
		return 0;
	}
	__builtin_memset(out, 0, sizeof(*out));
	asm volatile("" : "+r"(len));
	if (len < 1 || len > UM_DNS_MESSAGE_LEN ||
	    bpf_skb_load_bytes(skb, p->payload, out->message, len)) {
		bpf_ringbuf_discard(out, BPF_RB_NO_WAKEUP);
		return 0;
	}
	out->len = len;
	out->ts_ns = now;
	out->netns = u->netns;
	out->client = u->owner;
	out->rcode = rcode;
	bpf_ringbuf_submit(out, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline void um_dns_answer(struct __sk_buff *skb, struct um_udp *u, u16 id,
					  u16 rcode, const struct um_packet *p, const u8 *remote,
					  u64 now)
{
	u64 asked = um_dns_asked(u, id);
	struct um_series *series;
	u32 bin;

	if (!asked)
		return; /* a duplicate, or a query older than the agent */
	if (u->role == UM_ROLE_CLIENT)
		um_udp_resolve(u, remote);
	series = um_dns_series(u, rcode);
	if (!series)
		return;
	bin = um_bin(now - asked);
	__sync_fetch_and_add(&series->requests, 1);
	__sync_fetch_and_add(&series->duration_ns, now - asked);
	__sync_fetch_and_add(&series->ended, 1);
	__sync_fetch_and_add(&series->ended_ns, now - asked);
	__sync_fetch_and_add(&series->response_bytes, (u64)p->len);
	if (bin < UM_BINS)
		__sync_fetch_and_add(&series->bins[bin], 1);
	series->last_ns = now;
	if (u->role == UM_ROLE_CLIENT)
		um_emit_answer(skb, u, p, rcode, now);
}

static __always_inline void um_on_dns(struct __sk_buff *skb, struct um_udp *u, const u8 *remote,
				      const struct um_packet *p, bool sent, u64 now)
{
	u8 head[UM_DNS_HEADER];
	u16 id;
	bool response;

	if (p->len < UM_DNS_HEADER || bpf_skb_load_bytes(skb, p->payload, head, sizeof(head))) {
		UM_COUNT(answers_malformed);
		return;
	}
	id = head[0] << 8 | head[1];
	response = head[2] & UM_DNS_RESPONSE;
	if (response == (sent == (u->role == UM_ROLE_CLIENT)))
		return; /* flows the wrong way for its kind */
	if (response)
		um_dns_answer(skb, u, id, head[3] & 15, p, remote, now);
	else
		um_dns_query(u, id, remote, now);
}

#endif
