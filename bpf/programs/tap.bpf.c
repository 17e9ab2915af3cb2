// SPDX-License-Identifier: GPL-2.0
/* cgroup_skb: recognition, requests, DNS, UDP. Never drops: both programs always return 1. */
#include "lib/tap.h"

char LICENSE[] SEC("license") = "GPL";

SEC("cgroup_skb/ingress")
int tap_ingress(struct __sk_buff *skb)
{
	um_tap(skb, false);
	return 1;
}

SEC("cgroup_skb/egress")
int tap_egress(struct __sk_buff *skb)
{
	um_tap(skb, true);
	return 1;
}
