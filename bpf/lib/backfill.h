// SPDX-License-Identifier: GPL-2.0
/* Sockets older than the agent: who owns them, which end of what they are. */
#ifndef UM_LIB_BACKFILL_H
#define UM_LIB_BACKFILL_H

#include "lib/conn.h"
#include "lib/processes.h"

enum um_backfill_phase {
	UM_BACKFILL_OWNERS = 1,  /* owners of all sockets; listeners */
	UM_BACKFILL_CLIENTS = 2, /* connections this host opened */
	UM_BACKFILL_SERVERS = 3, /* connections it accepted: their clients are known by now */
};

/* Purpose: which pass runs. Key: 0. Value: enum um_backfill_phase. Inserts: user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} um_phase SEC(".maps");

static __always_inline u64 um_netns_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, net_cookie);
}

/* The cgroup the socket was made in; with a scope, only those user space has listed. */
static __always_inline u64 um_cgroup_of_socket(struct sock *sk, struct task_struct *task)
{
	u64 id = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);

	if (!id)
		id = um_cgroup_of(task);
	if (um_config.scope_cgroup_id && !bpf_map_lookup_elem(&um_cgroups, &id))
		return 0;
	return id;
}

static __always_inline void um_backfill_owner(struct sock *sk, struct task_struct *task)
{
	u64 cgroup_id = um_cgroup_of_socket(sk, task);
	struct um_listener_key key = {};
	struct um_listener listener = {};
	struct um_socket *s;

	if (!cgroup_id)
		return;
	s = bpf_sk_storage_get(&um_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		UM_COUNT(storage_failed);
		return;
	}
	s->l4 = BPF_CORE_READ(sk, sk_protocol);
	if (!s->owner) {
		um_own(s, cgroup_id, um_netns_of(sk), task, BPF_CORE_READ(task, tgid));
		s->flags |= UM_SOCKET_BACKFILLED;
	}
	if (BPF_CORE_READ(sk, __sk_common.skc_state) != BPF_TCP_LISTEN)
		return;
	key.netns = s->netns;
	key.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	s->local_port = key.port;
	listener.owner = s->owner;
	listener.sockets = 1;
	listener.cgroup_id = cgroup_id;
	if (bpf_map_update_elem(&um_listeners, &key, &listener, BPF_NOEXIST) == -7 /* E2BIG */)
		UM_COUNT(listeners_full);
}

static __always_inline void um_old_addresses(struct sock *sk, struct um_socket *s)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		um_map_ipv4(s->local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		um_map_ipv4(s->remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else {
		BPF_CORE_READ_INTO(&s->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&s->remote, sk, __sk_common.skc_v6_daddr);
	}
	s->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	s->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

/* Counters so far belong to the time before the agent. */
static __always_inline void um_old_counters(struct um_socket *s, struct tcp_sock *tp)
{
	s->sent_bytes = um_tcp_sent(tp);
	s->received_bytes = um_tcp_received(tp);
	s->sent_packets = tp->segs_out;
	s->received_packets = tp->segs_in;
	s->sent_bytes_before = s->sent_bytes;
	s->received_bytes_before = s->received_bytes;
	s->sent_packets_before = s->sent_packets;
	s->received_packets_before = s->received_packets;
	s->retransmits = tp->total_retrans;
}

/*
 * Initial sequence numbers from what was counted since (RFC 4898 counters): bytes_acked includes
 * our SYN on the end that connected, and not on the end that accepted.
 */
static __always_inline void um_old_client(struct um_socket *s, struct tcp_sock *tp)
{
	struct um_pair_key key = {};
	struct um_pair pair = {};

	s->role = UM_ROLE_CLIENT;
	s->client = s->owner;
	s->port = s->remote_port;
	s->client_isn = tp->snd_una - (u32)tp->bytes_acked + 1;
	s->server_isn = tp->rcv_nxt - (u32)tp->bytes_received;
	key.client_isn = s->client_isn;
	key.server_isn = s->server_isn;
	pair.client = s->owner;
	pair.opened_ns = s->opened_ns;
	if (bpf_map_update_elem(&um_pairs, &key, &pair, BPF_ANY))
		UM_COUNT(pairs_full);
}

static __always_inline void um_old_server(struct um_socket *s, struct tcp_sock *tp)
{
	/* um_meet_client reads the numbers from where a new connection has them. */
	s->received.next = tp->rcv_nxt - (u32)tp->bytes_received;
	s->sent.next = tp->snd_una - (u32)tp->bytes_acked;
	um_meet_client(s);
}

static __always_inline void um_backfill_connection(struct sock *sk, u32 phase)
{
	struct um_socket *s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct um_listener_key key = {};
	bool server;

	if (!s || !tp || s->role || (state != BPF_TCP_ESTABLISHED && state != BPF_TCP_CLOSE_WAIT))
		return;
	key.netns = s->netns;
	key.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	server = bpf_map_lookup_elem(&um_listeners, &key);
	if (server != (phase == UM_BACKFILL_SERVERS))
		return;
	um_old_addresses(sk, s);
	um_old_counters(s, tp);
	s->flags |= UM_SOCKET_OLD;
	s->opened_ns = bpf_ktime_get_ns();
	s->cookie = s->opened_ns;
	if (server)
		um_old_server(s, tp);
	else
		um_old_client(s, tp);
	s->sent.flags = 0;
	s->received.flags = 0;
	s->sent.phase = UM_PHASE_LOST;
	s->received.phase = UM_PHASE_LOST;
}

static __always_inline void um_backfill(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	u32 zero = 0, *phase = bpf_map_lookup_elem(&um_phase, &zero);
	struct sock *sk;
	u16 family;

	if (!file || !task || !phase)
		return;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return;
	sk = socket->sk;
	if (!sk)
		return;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6)
		return;
	if (*phase == UM_BACKFILL_OWNERS)
		um_backfill_owner(sk, task);
	else if (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP)
		um_backfill_connection(sk, *phase);
}

#endif
