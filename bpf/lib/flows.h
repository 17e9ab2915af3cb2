// SPDX-License-Identifier: GPL-2.0
/* Flow records: one per connection that ended, one per live connection when user space sweeps. */
#ifndef UM_LIB_FLOWS_H
#define UM_LIB_FLOWS_H

#include "lib/edges.h"
#include "lib/maps_rings.h"

static __always_inline void um_flow_ends(const struct um_socket *s, struct um_flow *out)
{
	bool client = s->role == UM_ROLE_CLIENT;

	__builtin_memcpy(out->client_address, client ? s->local : s->remote, UM_ADDRESS_LEN);
	__builtin_memcpy(out->server_address, client ? s->remote : s->local, UM_ADDRESS_LEN);
	out->client_port = client ? s->local_port : s->remote_port;
	out->server_port = client ? s->remote_port : s->local_port;
	out->client = s->client;
	out->server = s->server;
	out->port = s->port;
	out->role = s->role;
}

static __always_inline void um_flow_of(const struct um_socket *s, struct um_flow *out)
{
	bool client = s->role == UM_ROLE_CLIENT;
	u64 sent = s->sent_bytes - s->sent_bytes_before;
	u64 received = s->received_bytes - s->received_bytes_before;
	u32 sent_packets = s->sent_packets - s->sent_packets_before;
	u32 received_packets = s->received_packets - s->received_packets_before;

	um_flow_ends(s, out);
	out->cookie = s->cookie;
	out->cgroup_id = s->cgroup_id;
	out->netns = s->netns;
	out->opened_ns = s->opened_ns ? s->opened_ns : s->attempt_ns;
	out->connect_ns = s->connect_ns;
	out->tx_bytes = client ? sent : received;
	out->rx_bytes = client ? received : sent;
	out->tx_packets = client ? sent_packets : received_packets;
	out->rx_packets = client ? received_packets : sent_packets;
	out->pid = s->pid;
	out->srtt_us = s->srtt_us;
	out->retransmits = s->retransmits;
	out->requests = s->requests;
	out->tls_version = s->tls_version;
	out->l4 = IPPROTO_TCP;
	out->l7 = s->l7;
	out->failure = s->failure;
	out->reset = !!(s->flags & UM_SOCKET_RESET);
	out->service = s->steered.service;
	out->service_port = s->steered.port;
	__builtin_memcpy(out->service_address, s->steered.address, UM_ADDRESS_LEN);
}

static __always_inline void um_flow_tls(const struct um_tls *tls, struct um_flow *out)
{
	if (!tls)
		return;
	__builtin_memcpy(out->sni, tls->sni, sizeof(out->sni));
	__builtin_memcpy(out->alpn, tls->alpn, sizeof(out->alpn));
}

/* Writes the record of a connection (or attempt) that ended. */
static __always_inline void um_emit_flow(const struct um_socket *s, const struct um_tls *tls,
					 u8 state, u64 now)
{
	struct um_flow *out = bpf_ringbuf_reserve(&um_flows, sizeof(*out), 0);

	if (!out) {
		UM_COUNT(flows_ring_full);
		return;
	}
	__builtin_memset(out, 0, sizeof(*out));
	um_flow_of(s, out);
	um_flow_tls(tls, out);
	out->state = state;
	out->ended_ns = now;
	bpf_ringbuf_submit(out, BPF_RB_NO_WAKEUP);
}

#endif
