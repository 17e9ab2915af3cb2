// SPDX-License-Identifier: GPL-2.0
/* DNS capture. Never refuses: always returns 1. */
#include "lib/names.h"

char LICENSE[] SEC("license") = "GPL";

const volatile enum um_names um_names_numbers = UM_NAMES_PORT;
const volatile enum um_name_tag_kind um_name_tag_kinds = UM_NAME_TAG_ANSWERS;

SEC("cgroup/connect4")
int names_connect4(struct bpf_sock_addr *ctx)
{
	um_capture4(ctx);
	return 1;
}

SEC("cgroup/connect6")
int names_connect6(struct bpf_sock_addr *ctx)
{
	um_capture6(ctx);
	return 1;
}

SEC("cgroup/sendmsg4")
int names_sendmsg4(struct bpf_sock_addr *ctx)
{
	um_capture4(ctx);
	return 1;
}

SEC("cgroup/sendmsg6")
int names_sendmsg6(struct bpf_sock_addr *ctx)
{
	um_capture6(ctx);
	return 1;
}

SEC("cgroup/recvmsg4")
int names_recvmsg4(struct bpf_sock_addr *ctx)
{
	um_uncapture4(ctx);
	return 1;
}

SEC("cgroup/recvmsg6")
int names_recvmsg6(struct bpf_sock_addr *ctx)
{
	um_uncapture6(ctx);
	return 1;
}

SEC("cgroup/getpeername4")
int names_getpeername4(struct bpf_sock_addr *ctx)
{
	um_uncapture4(ctx);
	return 1;
}

SEC("cgroup/getpeername6")
int names_getpeername6(struct bpf_sock_addr *ctx)
{
	um_uncapture6(ctx);
	return 1;
}

SEC("cgroup/sock_release")
int names_sock_release(struct bpf_sock *ctx)
{
	um_name_socket_gone(ctx);
	return 1;
}
