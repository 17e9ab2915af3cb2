// SPDX-License-Identifier: GPL-2.0
/* Whose socket it is: noted when it is made, while the process that makes it is at hand. */
#ifndef UM_LIB_OWNERS_H
#define UM_LIB_OWNERS_H

#include "lib/ends.h"
#include "lib/maps_sockets.h"
#include "lib/stats.h"

static __always_inline void um_own(struct um_socket *s, u64 cgroup_id, u64 netns,
				   struct task_struct *task, u32 pid)
{
	struct um_owner_key key = {};

	key.cgroup_id = cgroup_id;
	um_exe_of(task, key.exe);
	s->cgroup_id = cgroup_id;
	s->netns = netns;
	s->pid = pid;
	s->owner = um_owner_number(&key, netns);
}

/* cgroup/sock_create: runs in the process that calls socket(). */
static __always_inline void um_socket_made(struct bpf_sock *ctx)
{
	struct um_socket *s = bpf_sk_storage_get(&um_sockets, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!s) {
		UM_COUNT(storage_failed);
		return;
	}
	s->l4 = ctx->protocol;
	um_own(s, bpf_get_current_cgroup_id(), bpf_get_netns_cookie(ctx),
	       (struct task_struct *)bpf_get_current_task(), bpf_get_current_pid_tgid() >> 32);
}

#endif
