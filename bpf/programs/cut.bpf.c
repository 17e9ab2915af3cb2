// SPDX-License-Identifier: GPL-2.0
/* Resets the sockets of backends that are marked; of one network namespace a run. */
#include "lib/cut.h"

char LICENSE[] SEC("license") = "GPL";

SEC("iter/tcp")
int cut_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;

	if (!sk || sk->skc_state == BPF_TCP_TIME_WAIT || sk->skc_state == BPF_TCP_NEW_SYN_RECV)
		return 0; /* shorter than a socket: no storage */
	if (um_is_to_be_cut(bpf_sk_storage_get(&um_sockets, sk, 0, 0)))
		bpf_sock_destroy(sk);
	return 0;
}

SEC("iter/udp")
int cut_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *sk = ctx->udp_sk;

	if (sk && um_is_to_be_cut(bpf_sk_storage_get(&um_sockets, sk, 0, 0)))
		bpf_sock_destroy((struct sock_common *)sk);
	return 0;
}
