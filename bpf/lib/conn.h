// SPDX-License-Identifier: GPL-2.0
/* A TCP connection's life: attempt, establishment, listening. */
#ifndef UM_LIB_CONN_H
#define UM_LIB_CONN_H

#include "lib/edges.h"
#include "lib/flows.h"
#include "lib/owners.h"
#include "lib/requests.h"
#include "lib/resolvers.h"
#include "lib/steer.h"

/* Forgets a socket's previous connection, which no longer counts as open; its owner stays. */
static __always_inline void um_forget_connection(struct um_socket *s)
{
	u64 cgroup_id = s->cgroup_id, netns = s->netns;
	u32 owner = s->owner, pid = s->pid;
	u8 l4 = s->l4;

	um_load_close(s);
	__builtin_memset(s, 0, sizeof(*s));
	s->cgroup_id = cgroup_id;
	s->netns = netns;
	s->owner = owner;
	s->pid = pid;
	s->l4 = l4;
}

/* connect() was called: remembered, in case no SYN ever leaves (no route to the destination). */
static __always_inline void um_attempt(struct um_socket *s, u16 port)
{
	if (s->role)
		um_forget_connection(s);
	s->flags = UM_SOCKET_ATTEMPT;
	s->attempt_ns = bpf_ktime_get_ns();
	s->remote_port = port;
	s->port = port;
	s->client = s->owner;
}

/* A global function: it is called from several places, and the verifier checks it once. */
__noinline int um_count_failure(struct um_socket *s, u32 failure, u64 now)
{
	struct um_edge_key key = {};
	struct um_edge *edge;

	if (!s)
		return 0;
	s->role = UM_ROLE_CLIENT;
	s->failure = failure;
	um_resolve_server(s);
	um_edge_key_of(s, &key);
	edge = um_edge_of(&key);
	if (edge) {
		__sync_fetch_and_add(&edge->failures[failure & (UM_FAILURES - 1)], 1);
		__sync_fetch_and_add(&edge->retransmits, (u64)s->retransmits);
		edge->last_ns = now;
	}
	um_load_failed(s);
	um_emit_flow(s, 0, UM_FLOW_FAILED, now);
	return 0;
}

/* An attempt that sent nothing is over: the kernel found no way to the destination. */
static __always_inline void um_attempt_over(struct um_socket *s)
{
	if (!s || !(s->flags & UM_SOCKET_ATTEMPT))
		return;
	s->flags &= ~UM_SOCKET_ATTEMPT;
	um_count_failure(s, UM_FAILURE_UNREACHABLE, bpf_ktime_get_ns());
}

/* connect() on TCP: an attempt begins, at the backend if there is one. */
static __always_inline void um_note_attempt(struct um_socket *s, const struct um_call *call,
					    enum um_way way)
{
	bool steered = way == UM_WAY_STEERED;

	um_attempt_over(s);
	um_attempt(s, steered ? call->port : call->asked.port);
	__builtin_memcpy(s->remote, steered ? call->address : call->asked.address, UM_ADDRESS_LEN);
	if (way != UM_WAY_DIRECT)
		um_note_steered(s, call);
	if (way == UM_WAY_REFUSED) {
		s->flags = 0;
		um_count_failure(s, UM_FAILURE_REFUSED, s->attempt_ns);
	}
}

/* connect() on UDP: whom the socket is connected to from now on. One that is refused changes nothing. */
static __always_inline void um_note_association(struct um_socket *s, const struct um_call *call,
						enum um_way way)
{
	if (way == UM_WAY_REFUSED)
		return;
	um_load_close(s);
	s->flags &= ~UM_SOCKET_STEERED;
	if (way == UM_WAY_DIRECT)
		return;
	um_note_steered(s, call);
	__builtin_memcpy(s->remote, call->address, UM_ADDRESS_LEN);
	s->remote_port = call->port;
	um_load_open(s);
	um_load_connected(s, 0);
}

/* Where connect() goes; noted with the socket. */
static __always_inline enum um_way um_connect(struct bpf_sock_addr *ctx, struct um_call *call)
{
	bool service = um_find_service(ctx, call);
	struct um_socket *s = um_socket_of(ctx, service);
	enum um_way way = UM_WAY_DIRECT;

	if (service) {
		um_caller(ctx, s, call);
		way = um_choose(call) ? UM_WAY_STEERED : UM_WAY_REFUSED;
	}
	if (!s)
		return way;
	if (ctx->type == UM_SOCK_STREAM)
		um_note_attempt(s, call, way);
	else
		um_note_association(s, call, way);
	return way;
}

static __always_inline int um_on_connect4(struct bpf_sock_addr *ctx)
{
	struct um_call call = {};

	um_asked4(ctx, &call);
	switch (um_connect(ctx, &call)) {
	case UM_WAY_STEERED:
		um_show4(ctx, call.address, call.port);
		return 1;
	case UM_WAY_REFUSED:
		return um_refuse();
	default:
		return 1;
	}
}

static __always_inline int um_on_connect6(struct bpf_sock_addr *ctx)
{
	struct um_call call = {};

	um_asked6(ctx, &call);
	switch (um_connect(ctx, &call)) {
	case UM_WAY_STEERED:
		um_show6(ctx, call.address, call.port);
		return 1;
	case UM_WAY_REFUSED:
		return um_refuse();
	default:
		return 1;
	}
}

/* Copies a socket's addresses. Each context field is read once, into a local (see kernel notes). */
static __always_inline void um_sockops_addresses(struct bpf_sock_ops *ctx, struct um_socket *s)
{
	u32 *local = (u32 *)s->local, *remote = (u32 *)s->remote;
	u32 local_port = ctx->local_port, remote_port = ctx->remote_port;

	if (ctx->family == AF_INET) {
		u32 local4 = ctx->local_ip4, remote4 = ctx->remote_ip4;

		um_map_ipv4(s->local, local4);
		um_map_ipv4(s->remote, remote4);
	} else {
		local[0] = ctx->local_ip6[0];
		local[1] = ctx->local_ip6[1];
		local[2] = ctx->local_ip6[2];
		local[3] = ctx->local_ip6[3];
		remote[0] = ctx->remote_ip6[0];
		remote[1] = ctx->remote_ip6[1];
		remote[2] = ctx->remote_ip6[2];
		remote[3] = ctx->remote_ip6[3];
	}
	s->local_port = local_port;
	s->remote_port = bpf_ntohl(remote_port);
	um_as_asked(s->remote, &s->remote_port);
	um_as_asked(s->local, &s->local_port);
}

/* The SYN is about to leave. */
static __always_inline void um_connecting(struct bpf_sock_ops *ctx, struct um_socket *s)
{
	if (s->role)
		um_forget_connection(s);
	s->flags &= UM_SOCKET_STEERED;
	s->role = UM_ROLE_CLIENT;
	s->client = s->owner;
	s->attempt_ns = bpf_ktime_get_ns();
	um_sockops_addresses(ctx, s);
	s->port = s->remote_port;
	um_load_open(s);
}

static __always_inline void um_sync_streams(struct um_socket *s, u32 sent_next, u32 received_next)
{
	s->sent.next = sent_next;
	s->sent.flags = UM_STREAM_SYNCED;
	s->received.next = received_next;
	s->received.flags = UM_STREAM_SYNCED;
}

static __always_inline void um_established(struct bpf_sock_ops *ctx, struct um_socket *s)
{
	u32 sent_next = ctx->snd_nxt, received_next = ctx->rcv_nxt;

	s->opened_ns = bpf_ktime_get_ns();
	s->cookie = bpf_get_socket_cookie(ctx);
	um_sync_streams(s, sent_next, received_next);
	um_sockops_addresses(ctx, s);
}

/* Our connect() succeeded: leave a note for the server's end, should it be on this host. */
static __always_inline void um_active_established(struct bpf_sock_ops *ctx, struct um_socket *s)
{
	struct um_pair_key key = {};
	struct um_pair pair = {};

	um_established(ctx, s);
	s->role = UM_ROLE_CLIENT;
	if (s->attempt_ns)
		s->connect_ns = s->opened_ns - s->attempt_ns;
	um_load_connected(s, s->opened_ns);
	s->client_isn = s->sent.next;
	s->server_isn = s->received.next;
	key.client_isn = s->client_isn;
	key.server_isn = s->server_isn;
	pair.client = s->owner;
	pair.opened_ns = s->opened_ns;
	if (bpf_map_update_elem(&um_pairs, &key, &pair, BPF_ANY))
		UM_COUNT(pairs_full);
}

/* The segment that made this connection has been read already, if it held data. */
static __always_inline void um_take_over_early(struct um_socket *s)
{
	u32 zero = 0;
	struct um_early *early = bpf_map_lookup_elem(&um_early, &zero);

	if (!early || early->client_isn != s->client_isn || early->server_isn != s->server_isn)
		return;
	early->server_isn = 0;
	s->l7 = early->socket.l7;
	s->tls_seen = early->socket.tls_seen;
	s->flags |= early->socket.flags;
	s->received = early->socket.received;
	s->sent.phase = early->socket.sent.phase;
	s->runs_head = early->socket.runs_head;
	s->runs_tail = early->socket.runs_tail;
	s->runs_base = early->socket.runs_base;
	__builtin_memcpy(s->runs, early->socket.runs, sizeof(s->runs));
	s->late_request_bytes = early->socket.late_request_bytes;
	s->path_len = early->socket.path_len;
	__builtin_memcpy(s->path, early->socket.path, sizeof(s->path));
}

/* Finds the client's end by the initial sequence numbers; tells it who the server is. */
static __always_inline void um_meet_client(struct um_socket *s)
{
	struct um_pair_key key = {};
	struct um_pair *pair;

	s->port = s->local_port;
	s->server = s->owner;
	s->client_isn = s->received.next;
	s->server_isn = s->sent.next;
	key.client_isn = s->client_isn;
	key.server_isn = s->server_isn;
	pair = bpf_map_lookup_elem(&um_pairs, &key);
	if (pair) {
		pair->port = s->port;
		pair->server = s->owner;
		s->client = pair->client;
		s->role = UM_ROLE_SHADOW;
		return;
	}
	s->client = um_is_loopback(s->remote) ? UM_NUMBER_HOST : UM_NUMBER_WORLD;
	s->role = UM_ROLE_SERVER;
	um_take_over_early(s);
}

static __always_inline void um_listening(struct bpf_sock_ops *ctx, struct um_socket *s)
{
	struct um_listener_key key = {};
	struct um_listener fresh = {};
	struct um_listener *known;

	if (s->role)
		um_forget_connection(s); /* accepted sockets inherit what is here */
	key.netns = s->netns;
	key.port = ctx->local_port;
	s->local_port = key.port;
	known = bpf_map_lookup_elem(&um_listeners, &key);
	if (known) {
		__sync_fetch_and_add(&known->sockets, 1);
		return;
	}
	fresh.owner = s->owner;
	fresh.sockets = 1;
	fresh.cgroup_id = s->cgroup_id;
	if (bpf_map_update_elem(&um_listeners, &key, &fresh, BPF_NOEXIST))
		UM_COUNT(listeners_full);
}

static __always_inline void um_on_sockops(struct bpf_sock_ops *ctx)
{
	u32 op = ctx->op;
	struct bpf_sock *sk = ctx->sk;
	struct um_socket *s;

	if (!sk ||
	    (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
	     op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_TCP_LISTEN_CB))
		return;
	s = bpf_sk_storage_get(&um_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		UM_COUNT(storage_failed);
		return;
	}
	s->l4 = IPPROTO_TCP;
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		um_connecting(ctx, s);
	} else if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
		um_active_established(ctx, s);
	} else if (op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		um_established(ctx, s);
		um_meet_client(s);
	} else {
		um_listening(ctx, s);
	}
}

/* cgroup/sock_release: the last descriptor is closed. */
static __always_inline void um_on_release(struct bpf_sock *ctx)
{
	struct um_socket *s = bpf_sk_storage_get(&um_sockets, ctx, 0, 0);
	struct um_listener_key key = {};
	struct um_listener *known;

	if (!s)
		return;
	um_attempt_over(s);
	um_load_close(s);
	if (ctx->state != BPF_TCP_LISTEN)
		return;
	key.netns = s->netns;
	key.port = s->local_port; /* the context does not give it here */
	known = bpf_map_lookup_elem(&um_listeners, &key);
	if (known && __sync_fetch_and_add(&known->sockets, -1) <= 1)
		bpf_map_delete_elem(&um_listeners, &key);
}

#endif
