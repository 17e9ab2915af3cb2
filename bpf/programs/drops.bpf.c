// SPDX-License-Identifier: GPL-2.0
/* Why packets die, and which connections were cut by resets. */
#include "lib/drops.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/kfree_skb")
int BPF_PROG(drops_kfree_skb, struct sk_buff *skb, void *location, u32 reason)
{
	if (um_has_reason(reason))
		um_on_drop(skb, reason);
	return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(drops_send_reset, struct sock *sk)
{
	um_on_reset(sk);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(drops_receive_reset, struct sock *sk)
{
	um_on_reset(sk);
	return 0;
}
