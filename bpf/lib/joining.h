// SPDX-License-Identifier: GPL-2.0
/*
 * The two ends of a same-host connection find each other. Only the end itself can put its socket into
 * the map, and only when the connection comes up: the client's end goes in first, and leaves again
 * when its first bytes are acknowledged by somebody who is not there.
 */
#ifndef UM_LIB_JOINING_H
#define UM_LIB_JOINING_H

#include "lib/ends.h"
#include "lib/maps_fastpath.h"
#include "lib/maps_services.h"
#include "lib/maps_sockets.h"

static __always_inline bool um_fastpath_is_off(void)
{
	u32 zero = 0;
	struct um_fastpath *fastpath = bpf_map_lookup_elem(&um_fastpath, &zero);

	return !fastpath || fastpath->off;
}

static __always_inline void um_meeting_key_of(const struct um_socket *s, u64 netns,
					      struct um_meeting_key *key)
{
	key->client_isn = s->client_isn;
	key->server_isn = s->server_isn;
	if (um_is_loopback(s->remote))
		key->netns = netns;
}

/* Whether the service this connection was steered by wants it; asked once a connection. */
static __always_inline bool um_is_opted_in(const struct um_socket *s, u64 netns)
{
	struct um_service_key key = {};
	struct um_service *service, *own;

	if (!(s->flags & UM_SOCKET_STEERED))
		return false;
	__builtin_memcpy(key.address, s->steered.address, UM_ADDRESS_LEN);
	key.port = s->steered.port;
	key.l4 = IPPROTO_TCP;
	service = bpf_map_lookup_elem(&um_services, &key);
	if (service && service->flags & UM_SERVICE_BY_NETNS) {
		key.netns = netns;
		own = bpf_map_lookup_elem(&um_services, &key);
		service = own ? own : service;
	}
	return service && service->flags & UM_SERVICE_FASTPATH;
}

/* Takes this end in: it can be redirected to from now on. */
static __always_inline struct um_joint *um_take_in(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
						   struct um_joint_key *key)
{
	struct um_joint *joint = bpf_sk_storage_get(&um_joints, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!joint || bpf_sock_hash_update(ctx, &um_joined, key, BPF_NOEXIST)) {
		UM_FAST_COUNT(unjoined);
		return 0;
	}
	__builtin_memset(joint, 0, sizeof(*joint)); /* the socket may have been connected before */
	return joint;
}

/*
 * connect() succeeded. Initial sequence numbers are a hash of the addresses and a clock of 64 ns (RFC
 * 6528): two namespaces with equal addresses may come to the same. Each server's end looks after its
 * own client's end was here, so it finds that one's entry, or one marked by whoever came second.
 */
static __always_inline void um_client_joins(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					    struct um_socket *s)
{
	struct um_meeting_key key = {};
	struct um_meeting meeting = {};
	struct um_meeting *other;
	struct um_joint *joint;

	meeting.client.netns = bpf_get_netns_cookie(ctx);
	if (!um_is_opted_in(s, meeting.client.netns))
		return;
	meeting.client.cookie = s->cookie;
	meeting.client_sock = (u64)bpf_skc_to_tcp_sock(sk);
	um_meeting_key_of(s, meeting.client.netns, &key);
	joint = um_take_in(ctx, sk, &meeting.client);
	if (!joint)
		return;
	joint->client = 1;
	if (bpf_map_update_elem(&um_meetings, &key, &meeting, BPF_NOEXIST)) {
		other = bpf_map_lookup_elem(&um_meetings, &key);
		if (other)
			other->state = UM_MEETING_AMBIGUOUS;
		UM_FAST_COUNT(ambiguous);
	}
	/* The first round trip of data says whether anybody came. */
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG);
}

/* accept() will find this connection; its client may be waiting. */
static __always_inline void um_server_joins(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					    struct um_socket *s)
{
	struct um_joint_key mine = {};
	struct um_meeting_key key = {};
	struct um_meeting *meeting;
	struct um_joint *joint;

	mine.netns = bpf_get_netns_cookie(ctx);
	mine.cookie = s->cookie;
	um_meeting_key_of(s, mine.netns, &key);
	meeting = bpf_map_lookup_elem(&um_meetings, &key);
	if (!meeting || meeting->state != UM_MEETING_WAITING)
		return;
	joint = um_take_in(ctx, sk, &mine);
	if (!joint)
		return;
	joint->peer = meeting->client;
	joint->peer_sock = meeting->client_sock;
	meeting->server = mine;
	meeting->server_sock = (u64)bpf_skc_to_tcp_sock(sk);
	/* Last: the client's end reads the rest once it sees this. */
	if (__sync_val_compare_and_swap(&meeting->state, UM_MEETING_WAITING, UM_MEETING_JOINED) ==
	    UM_MEETING_WAITING)
		UM_FAST_COUNT(joined);
	else
		joint->peer_sock = 0;
}

/* The client's end learns who the server is. */
static __always_inline bool um_meet_server(const struct um_socket *s, u64 netns,
					   struct um_joint *joint)
{
	struct um_meeting_key key = {};
	struct um_meeting *meeting;

	um_meeting_key_of(s, netns, &key);
	meeting = bpf_map_lookup_elem(&um_meetings, &key);
	if (!meeting || meeting->state != UM_MEETING_JOINED || meeting->client.cookie != s->cookie)
		return false;
	joint->peer = meeting->server;
	joint->peer_sock = meeting->server_sock;
	bpf_map_delete_elem(&um_meetings, &key);
	return true;
}

/* The client's first bytes were acknowledged by TCP: without a server here, it leaves. */
static __always_inline void um_client_stays(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					    struct um_socket *s)
{
	struct um_joint *joint = bpf_sk_storage_get(&um_joints, sk, 0, 0);
	struct um_joint_key mine = {};
	struct um_meeting_key key = {};

	if (!joint)
		return;
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_RTT_CB_FLAG);
	mine.netns = bpf_get_netns_cookie(ctx);
	mine.cookie = s->cookie;
	if (joint->peer_sock || um_meet_server(s, mine.netns, joint))
		return;
	if (!bpf_map_delete_elem(&um_joined, &mine))
		UM_FAST_COUNT(left);
	um_meeting_key_of(s, mine.netns, &key);
	bpf_map_delete_elem(&um_meetings, &key);
}

/* sockops, after the program that knows the connection (conn_sockops) was there. */
static __always_inline void um_on_joining(struct bpf_sock_ops *ctx)
{
	u32 op = ctx->op;
	struct bpf_sock *sk = ctx->sk;
	struct um_socket *s;

	if (op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB &&
	    op != BPF_SOCK_OPS_RTT_CB)
		return;
	if (!sk || um_fastpath_is_off())
		return;
	s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	if (!s)
		return;
	if (op == BPF_SOCK_OPS_RTT_CB)
		um_client_stays(ctx, sk, s);
	else if (s->role == UM_ROLE_CLIENT)
		um_client_joins(ctx, sk, s);
	else if (s->role == UM_ROLE_SHADOW)
		um_server_joins(ctx, sk, s);
}

#endif
