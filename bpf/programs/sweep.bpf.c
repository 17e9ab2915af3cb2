// SPDX-License-Identifier: GPL-2.0
/* Iterators that user space runs: live connections, and sockets older than the agent. */
#include "lib/backfill.h"
#include "lib/prioritised.h"
#include "lib/sweep.h"
#include "lib/types.h"

char LICENSE[] SEC("license") = "GPL";

SEC("iter/bpf_sk_storage_map")
int sweep_sockets(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	um_sweep_socket(ctx);
	return 0;
}

SEC("iter/bpf_map_elem")
int sweep_udp(struct bpf_iter__bpf_map_elem *ctx)
{
	um_sweep_udp(ctx);
	return 0;
}

SEC("iter/task_file")
int backfill_files(struct bpf_iter__task_file *ctx)
{
	um_backfill(ctx);
	return 0;
}

SEC("iter/tcp")
int priority_remark(struct bpf_iter__tcp *ctx)
{
	um_remark(ctx);
	return 0;
}
