// SPDX-License-Identifier: GPL-2.0
/*
 * Owners of sockets, the life of TCP connections, and where connect() goes. Refuses (returns 0)
 * nothing but a service that has no backend.
 */
#include "lib/close.h"

char LICENSE[] SEC("license") = "GPL";

SEC("cgroup/sock_create")
int conn_sock_create(struct bpf_sock *ctx)
{
	um_socket_made(ctx);
	return 1;
}

SEC("cgroup/sock_release")
int conn_sock_release(struct bpf_sock *ctx)
{
	um_on_release(ctx);
	return 1;
}

SEC("cgroup/connect4")
int conn_connect4(struct bpf_sock_addr *ctx)
{
	return um_on_connect4(ctx);
}

SEC("cgroup/connect6")
int conn_connect6(struct bpf_sock_addr *ctx)
{
	return um_on_connect6(ctx);
}

SEC("sockops")
int conn_sockops(struct bpf_sock_ops *ctx)
{
	um_on_sockops(ctx);
	return 1;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(conn_set_state, struct sock *sk, int before, int after)
{
	if (after == BPF_TCP_CLOSE)
		um_on_close(sk, before);
	return 0;
}
