// SPDX-License-Identifier: GPL-2.0
/* What UDP sends to services, and what sockets are told of their peers. connect() is in conn. */
#include "lib/datagrams.h"

char LICENSE[] SEC("license") = "GPL";

SEC("cgroup/sendmsg4")
int steer_sendmsg4(struct bpf_sock_addr *ctx)
{
	return um_on_sendmsg4(ctx);
}

SEC("cgroup/sendmsg6")
int steer_sendmsg6(struct bpf_sock_addr *ctx)
{
	return um_on_sendmsg6(ctx);
}

SEC("cgroup/recvmsg4")
int steer_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct um_call from = {};

	um_asked4(ctx, &from);
	if (um_received_from(ctx, &from))
		um_show4(ctx, from.address, from.port);
	return 1;
}

SEC("cgroup/recvmsg6")
int steer_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct um_call from = {};

	um_asked6(ctx, &from);
	if (um_received_from(ctx, &from))
		um_show6(ctx, from.address, from.port);
	return 1;
}

SEC("cgroup/getpeername4")
int steer_getpeername4(struct bpf_sock_addr *ctx)
{
	struct um_call peer = {};

	um_asked4(ctx, &peer);
	if (um_shown_as(um_socket_of(ctx, false), &peer))
		um_show4(ctx, peer.address, peer.port);
	return 1;
}

SEC("cgroup/getpeername6")
int steer_getpeername6(struct bpf_sock_addr *ctx)
{
	struct um_call peer = {};

	um_asked6(ctx, &peer);
	if (um_shown_as(um_socket_of(ctx, false), &peer))
		um_show6(ctx, peer.address, peer.port);
	return 1;
}
