// SPDX-License-Identifier: GPL-2.0
/* Important first: sockets are given what their Priority says. Never refuses: always returns 1. */
#include "lib/chosen.h"
#include "lib/prioritised.h"

char LICENSE[] SEC("license") = "GPL";

SEC("cgroup/sock_create")
int priority_sock_create(struct bpf_sock *ctx)
{
	um_prioritise_made(ctx);
	return 1;
}

SEC("sockops")
int priority_sockops(struct bpf_sock_ops *ctx)
{
	um_prioritise_connection(ctx);
	return 1;
}

SEC("cgroup/connect4")
int priority_connect4(struct bpf_sock_addr *ctx)
{
	um_prioritise_datagram(ctx, true);
	return 1;
}

SEC("cgroup/connect6")
int priority_connect6(struct bpf_sock_addr *ctx)
{
	um_prioritise_datagram(ctx, true);
	return 1;
}

SEC("cgroup/sendmsg4")
int priority_sendmsg4(struct bpf_sock_addr *ctx)
{
	um_prioritise_datagram(ctx, false);
	return 1;
}

SEC("cgroup/sendmsg6")
int priority_sendmsg6(struct bpf_sock_addr *ctx)
{
	um_prioritise_datagram(ctx, false);
	return 1;
}

SEC("cgroup/setsockopt")
int priority_setsockopt(struct bpf_sockopt *ctx)
{
	if (um_overrules(ctx))
		ctx->optlen = -1; /* the kernel's own handler is left out, the call succeeds */
	return 1;
}
