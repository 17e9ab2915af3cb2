// SPDX-License-Identifier: GPL-2.0
/* sendto() to a service on UDP sockets: conversations without a connection. */
#ifndef UM_LIB_DATAGRAMS_H
#define UM_LIB_DATAGRAMS_H

#include "lib/steer.h"

/* The backend the last datagram went to, if that was a moment ago and it may still be used. */
static __always_inline bool um_follow(const struct um_meant_key *key, struct um_call *call, u64 now)
{
	struct um_meant *before = bpf_map_lookup_elem(&um_meant, key);
	struct um_backend *backend;

	if (!before || now - before->last_ns > UM_CONVERSATION_NS)
		return false;
	backend = um_usable(call, before->backend);
	if (!backend)
		return false;
	before->last_ns = now;
	call->backend = before->backend;
	__builtin_memcpy(call->address, backend->address, UM_ADDRESS_LEN);
	call->port = backend->port;
	return true;
}

/* Notes both directions; the way back anew with every datagram, so that it is not the older one. */
static __always_inline void um_note_meant(struct bpf_sock_addr *ctx, struct um_meant_key *key,
					  const struct um_call *call, bool begun, u64 now)
{
	struct um_meant meant = {};
	struct um_load *load;

	meant.backend = call->backend;
	meant.last_ns = now;
	if (begun) {
		__builtin_memcpy(meant.address, call->address, UM_ADDRESS_LEN);
		meant.port = call->port;
		bpf_map_update_elem(&um_meant, key, &meant, BPF_ANY);
		load = um_load_of(call->backend);
		if (load)
			__sync_fetch_and_add(&load->connects, 1);
	}
	__builtin_memcpy(key->address, call->address, UM_ADDRESS_LEN);
	key->port = call->port;
	key->forward = 0;
	if (!begun && bpf_map_lookup_elem(&um_meant, key))
		return;
	__builtin_memcpy(meant.address, call->asked.address, UM_ADDRESS_LEN);
	meant.port = call->asked.port;
	bpf_map_update_elem(&um_meant, key, &meant, BPF_ANY);
}

/* A socket connected to this very service: sendto() goes where it is connected to. */
static __always_inline bool um_same_as_connected(const struct um_socket *s, struct um_call *call)
{
	const u64 *asked = (const u64 *)call->asked.address;
	const u64 *connected = (const u64 *)s->steered.address;

	if (!(s->flags & UM_SOCKET_STEERED) || s->steered.port != call->asked.port ||
	    connected[0] != asked[0] || connected[1] != asked[1])
		return false;
	call->backend = s->steered.backend;
	__builtin_memcpy(call->address, s->remote, UM_ADDRESS_LEN);
	call->port = s->remote_port;
	return true;
}

static __always_inline enum um_way um_send(struct bpf_sock_addr *ctx, struct um_call *call)
{
	struct um_meant_key key = {};
	struct um_socket *s;
	bool begun;
	u64 now;

	if (!um_find_service(ctx, call))
		return UM_WAY_DIRECT;
	s = um_socket_of(ctx, true);
	um_caller(ctx, s, call);
	if (s && ctx->sk && ctx->sk->state == UM_CONNECTED && um_same_as_connected(s, call))
		return UM_WAY_STEERED;
	if (s && ctx->sk && ctx->sk->state != UM_CONNECTED)
		um_load_close(s); /* disconnected since: nothing else tells */
	um_meant_key_of(ctx, &key, call->asked.address, call->asked.port);
	key.forward = 1;
	now = bpf_ktime_get_ns();
	begun = !um_follow(&key, call, now);
	if (begun && !um_choose(call))
		return UM_WAY_REFUSED;
	if (s)
		s->flags |= UM_SOCKET_MEANT;
	um_note_meant(ctx, &key, call, begun, now);
	return UM_WAY_STEERED;
}

static __always_inline int um_on_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct um_call call = {};

	um_asked4(ctx, &call);
	switch (um_send(ctx, &call)) {
	case UM_WAY_STEERED:
		um_show4(ctx, call.address, call.port);
		return 1;
	case UM_WAY_REFUSED:
		return um_refuse();
	default:
		return 1;
	}
}

static __always_inline int um_on_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct um_call call = {};

	um_asked6(ctx, &call);
	call.reach &= ~UM_REACH_IPV4; /* the kernel takes no mapped address from here (ENOTSUPP) */
	switch (um_send(ctx, &call)) {
	case UM_WAY_STEERED:
		um_show6(ctx, call.address, call.port);
		return 1;
	case UM_WAY_REFUSED:
		return um_refuse();
	default:
		return 1;
	}
}

#endif
