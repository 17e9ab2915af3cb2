// SPDX-License-Identifier: GPL-2.0
/* Moving a connection's counters to its edge. */
#ifndef UM_LIB_EDGES_H
#define UM_LIB_EDGES_H

#include "lib/ends.h"
#include "lib/maps_counters.h"
#include "lib/maps_sockets.h"
#include "lib/stats.h"

const struct um_edge um_no_edge = {};

static __always_inline u8 um_shard(void)
{
	return bpf_get_smp_processor_id() & (um_config.shards - 1);
}

static __always_inline struct um_edge *um_edge_of(struct um_edge_key *key)
{
	struct um_edge *edge = bpf_map_lookup_elem(&um_edges, key);

	if (edge)
		return edge;
	bpf_map_update_elem(&um_edges, key, &um_no_edge, BPF_NOEXIST);
	edge = bpf_map_lookup_elem(&um_edges, key);
	if (!edge)
		UM_COUNT(edges_full);
	return edge;
}

/*
 * Names the server of a connection this host opened. A same-host server has put its number into
 * the pair by the time it answers; one that has not answered yet may still do so.
 */
__noinline int um_find_server(struct um_socket *s)
{
	struct um_pair_key key = {};
	struct um_pair *pair;

	if (!s)
		return 0;
	key.client_isn = s->client_isn;
	key.server_isn = s->server_isn;
	pair = bpf_map_lookup_elem(&um_pairs, &key);
	if (pair && pair->server) {
		s->server = pair->server;
		s->port = pair->port;
		return 0;
	}
	s->server = um_peer_number(s->remote);
	return 0;
}

static __always_inline void um_resolve_server(struct um_socket *s)
{
	if (!s->server)
		um_find_server(s);
}

static __always_inline void um_edge_key_of(const struct um_socket *s, struct um_edge_key *key)
{
	key->client = s->client;
	key->server = s->server;
	key->port = s->port;
	key->role = s->role;
	key->l7 = s->l7;
	key->shard = um_shard();
}

/* Payload bytes sent, each once (include/linux/tcp.h: bytes_sent counts retransmissions too). */
static __always_inline u64 um_tcp_sent(const struct tcp_sock *tp)
{
	return tp->bytes_sent - tp->bytes_retrans;
}

/* Payload bytes received; the kernel counts the peer's FIN as one. */
static __always_inline u64 um_tcp_received(const struct tcp_sock *tp)
{
	u64 flags = tp->inet_conn.icsk_inet.sk.__sk_common.skc_flags;
	u64 fin = flags >> bpf_core_enum_value(enum sock_flags, SOCK_DONE) & 1;

	return tp->bytes_received > fin ? tp->bytes_received - fin : 0;
}

/*
 * Adds what the kernel counted since the last time. Two flushers at once split the difference:
 * each takes what lies between its own reading and the value it replaced.
 */
static __always_inline void um_flush_counters(struct um_socket *s, const struct tcp_sock *tp,
					      struct um_edge *edge)
{
	u64 sent = um_tcp_sent(tp) + s->direct.sent_bytes;
	u64 received = um_tcp_received(tp) + s->direct.received_bytes;
	u32 sent_packets = tp->segs_out + s->direct.sent_messages;
	u32 received_packets = tp->segs_in + s->direct.received_messages;
	u64 more_sent = sent - __sync_lock_test_and_set(&s->sent_bytes, sent);
	u64 more_received = received - __sync_lock_test_and_set(&s->received_bytes, received);
	u32 more_out = sent_packets - __sync_lock_test_and_set(&s->sent_packets, sent_packets);
	u32 more_in = received_packets -
		__sync_lock_test_and_set(&s->received_packets, received_packets);
	bool client = s->role == UM_ROLE_CLIENT;

	__sync_fetch_and_add(client ? &edge->tx_bytes : &edge->rx_bytes, more_sent);
	__sync_fetch_and_add(client ? &edge->rx_bytes : &edge->tx_bytes, more_received);
	__sync_fetch_and_add(client ? &edge->tx_packets : &edge->rx_packets, (u64)more_out);
	__sync_fetch_and_add(client ? &edge->rx_packets : &edge->tx_packets, (u64)more_in);
	s->srtt_us = tp->srtt_us >> 3;
	if ((more_out || more_in) && s->srtt_us) {
		__sync_fetch_and_add(&edge->rtt_us, (u64)s->srtt_us);
		__sync_fetch_and_add(&edge->rtts, 1);
	}
}

/* There was no room for the edge: the flow record still says what the connection carried. */
static __always_inline void um_keep_counters(struct um_socket *s, const struct tcp_sock *tp)
{
	s->sent_bytes = um_tcp_sent(tp) + s->direct.sent_bytes;
	s->received_bytes = um_tcp_received(tp) + s->direct.received_bytes;
	s->sent_packets = tp->segs_out + s->direct.sent_messages;
	s->received_packets = tp->segs_in + s->direct.received_messages;
	s->retransmits = tp->total_retrans;
	s->srtt_us = tp->srtt_us >> 3;
}

static __always_inline void um_open_on_edge(struct um_socket *s, struct um_edge *edge)
{
	if (s->flags & UM_SOCKET_OPENED)
		return;
	s->flags |= UM_SOCKET_OPENED;
	__sync_fetch_and_add(&edge->opened, 1);
	if (!s->connect_ns)
		return;
	__sync_fetch_and_add(&edge->connect_ns, s->connect_ns);
	__sync_fetch_and_add(&edge->connects, 1);
	if (s->connect_ns > edge->connect_max_ns)
		edge->connect_max_ns = s->connect_ns;
}

/* Brings the edge of an established connection up to date; returns it. */
static __always_inline struct um_edge *um_flush(struct um_socket *s, const struct tcp_sock *tp,
						u64 now)
{
	struct um_edge_key key = {};
	struct um_edge *edge;

	um_resolve_server(s);
	um_edge_key_of(s, &key);
	edge = um_edge_of(&key);
	if (!edge)
		return 0;
	um_open_on_edge(s, edge);
	um_flush_counters(s, tp, edge);
	edge->last_ns = now;
	return edge;
}

#endif
