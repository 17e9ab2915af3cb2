// SPDX-License-Identifier: GPL-2.0
/* Same-host connections of services that ask for it, from socket to socket. Never drops. */
#include "lib/queues.h"

char LICENSE[] SEC("license") = "GPL";

/* User space reads their layouts. */
const volatile struct um_joined_end um_joined_end = {};
const volatile enum um_misuse um_misuse = 0;

SEC("sk_msg")
int fastpath_send(struct sk_msg_md *msg)
{
	um_on_message(msg);
	return SK_PASS;
}

SEC("sockops")
int fastpath_join(struct bpf_sock_ops *ctx)
{
	um_on_joining(ctx);
	return 1;
}

SEC("iter/sockmap")
int fastpath_queues(struct bpf_iter__sockmap *ctx)
{
	um_write_end(ctx);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(fastpath_received, struct sock *sk, int received, int flags)
{
	um_on_received(sk, flags);
	return 0;
}
