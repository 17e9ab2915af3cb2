// SPDX-License-Identifier: GPL-2.0
/* connect(), sendto() and recvfrom() of a service: where they go, and what the caller is shown. */
#ifndef UM_LIB_STEER_H
#define UM_LIB_STEER_H

#include "lib/balance.h"
#include "lib/stats.h"

/* include/linux/net.h, include/net/tcp_states.h: stable numbers */
#define UM_SOCK_STREAM 1
#define UM_CONNECTED BPF_TCP_ESTABLISHED /* also the state of a UDP socket that is connected */

/*
 * A UDP socket's datagrams to one service go to one backend while they follow each other within this
 * time: as long as netfilter remembers a conversation (nf_conntrack_udp_timeout).
 */
#define UM_CONVERSATION_NS (30 * UM_SECOND_NS)

enum um_way {
	UM_WAY_DIRECT = 0,  /* no service: it goes where it was sent */
	UM_WAY_STEERED = 1, /* to call->backend, at call->address and call->port */
	UM_WAY_REFUSED = 2, /* a service without a backend for this caller */
};

/*
 * Refuses as a closed port does. Without bpf_set_retval (before 5.18) the caller gets EPERM: as
 * quickly, but not what it expects of a service that is down.
 */
static __always_inline int um_refuse(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_set_retval))
		bpf_set_retval(-UM_ECONNREFUSED);
	return 0;
}

static __always_inline void um_asked4(struct bpf_sock_addr *ctx, struct um_call *call)
{
	um_map_ipv4(call->asked.address, ctx->user_ip4);
	call->asked.port = bpf_ntohs(ctx->user_port);
	call->asked.l4 = ctx->protocol;
	call->reach = UM_REACH_IPV4;
}

static __always_inline void um_asked6(struct bpf_sock_addr *ctx, struct um_call *call)
{
	u32 *to = (u32 *)call->asked.address;

	to[0] = ctx->user_ip6[0];
	to[1] = ctx->user_ip6[1];
	to[2] = ctx->user_ip6[2];
	to[3] = ctx->user_ip6[3];
	call->asked.port = bpf_ntohs(ctx->user_port);
	call->asked.l4 = ctx->protocol;
	/* An IPv6 socket reaches IPv4 by mapped addresses, and IPv6 not from an address that is one. */
	call->reach = um_is_mapped(call->asked.address) ? UM_REACH_IPV4
							: UM_REACH_IPV4 | UM_REACH_IPV6;
}

static __always_inline void um_show4(struct bpf_sock_addr *ctx, const u8 *address, u16 port)
{
	ctx->user_ip4 = ((const u32 *)address)[3];
	ctx->user_port = bpf_htons(port);
}

static __always_inline void um_show6(struct bpf_sock_addr *ctx, const u8 *address, u16 port)
{
	const u32 *words = (const u32 *)address;

	ctx->user_ip6[0] = words[0];
	ctx->user_ip6[1] = words[1];
	ctx->user_ip6[2] = words[2];
	ctx->user_ip6[3] = words[3];
	ctx->user_port = bpf_htons(port);
}

/* What is known of the socket; `make` it where nothing is: it is older than us. */
static __always_inline struct um_socket *um_socket_of(struct bpf_sock_addr *ctx, bool make)
{
	struct bpf_sock *sk = ctx->sk;
	struct um_socket *s;

	if (!sk)
		return 0;
	s = bpf_sk_storage_get(&um_sockets, sk, 0, make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!s) {
		if (make)
			UM_COUNT(storage_failed);
		return 0;
	}
	if (make && !s->cgroup_id) {
		s->cgroup_id = bpf_get_current_cgroup_id();
		s->netns = bpf_get_netns_cookie(ctx);
		s->l4 = ctx->protocol;
	}
	return s;
}

/* The caller's side of a call to a service that was found. */
static __always_inline void um_caller(struct bpf_sock_addr *ctx, const struct um_socket *s,
				      struct um_call *call)
{
	struct bpf_sock *sk = ctx->sk;

	call->caller = s ? s->cgroup_id : bpf_get_current_cgroup_id();
	/* The loopback device is the first of every network namespace. */
	if (!sk || sk->bound_dev_if <= 1)
		call->reach |= UM_REACH_LOOPBACK;
}

/* What a socket asked for and got: kept for as long as it stays connected. */
static __always_inline void um_note_steered(struct um_socket *s, const struct um_call *call)
{
	__builtin_memcpy(s->steered.address, call->asked.address, UM_ADDRESS_LEN);
	s->steered.port = call->asked.port;
	s->steered.service = call->service.id;
	s->steered.backend = call->backend;
	s->flags |= UM_SOCKET_STEERED;
}

/* Whether a peer's address is that of the backend this socket was connected to. */
static __always_inline bool um_is_backend_of(const struct um_socket *s, const struct um_call *peer)
{
	const u64 *remote = (const u64 *)s->remote, *other = (const u64 *)peer->asked.address;

	return s->flags & UM_SOCKET_STEERED && s->remote_port == peer->asked.port &&
		remote[0] == other[0] && remote[1] == other[1];
}

/* getpeername(): call->address is to be shown instead. */
static __always_inline bool um_shown_as(const struct um_socket *s, struct um_call *peer)
{
	if (!s || !um_is_backend_of(s, peer))
		return false;
	__builtin_memcpy(peer->address, s->steered.address, UM_ADDRESS_LEN);
	peer->port = s->steered.port;
	return true;
}

static __always_inline void um_meant_key_of(struct bpf_sock_addr *ctx, struct um_meant_key *key,
					    const u8 *address, u16 port)
{
	key->cookie = bpf_get_socket_cookie(ctx);
	__builtin_memcpy(key->address, address, UM_ADDRESS_LEN);
	key->port = port;
}

/* recvfrom() on UDP: the same, also for a socket that is not connected. */
static __always_inline bool um_received_from(struct bpf_sock_addr *ctx, struct um_call *from)
{
	struct um_socket *s = um_socket_of(ctx, false);
	struct um_meant_key key = {};
	struct um_meant *meant;

	if (!s || !(s->flags & (UM_SOCKET_STEERED | UM_SOCKET_MEANT)))
		return false;
	if (ctx->sk && ctx->sk->state == UM_CONNECTED && um_shown_as(s, from))
		return true;
	if (!(s->flags & UM_SOCKET_MEANT))
		return false;
	um_meant_key_of(ctx, &key, from->asked.address, from->asked.port);
	meant = bpf_map_lookup_elem(&um_meant, &key);
	if (!meant)
		return false;
	__builtin_memcpy(from->address, meant->address, UM_ADDRESS_LEN);
	from->port = meant->port;
	return true;
}

#endif
