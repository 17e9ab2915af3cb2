// SPDX-License-Identifier: GPL-2.0
/* Processes and cgroups as they come and go. */
#ifndef UM_LIB_PROCESSES_H
#define UM_LIB_PROCESSES_H

#include "lib/ends.h"
#include "lib/maps_rings.h"
#include "lib/stats.h"

static __always_inline u64 um_cgroup_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

static __always_inline bool um_task_in_scope(void)
{
	u64 scope = um_config.scope_cgroup_id;

	return !scope || bpf_get_current_ancestor_cgroup_id(um_config.scope_level) == scope;
}

static __always_inline void um_process_event(struct task_struct *task, u32 pid, u32 parent, u8 kind)
{
	u64 now = bpf_ktime_get_ns();
	struct um_process_event *out;

	if (!um_task_in_scope())
		return;
	if (!um_within_budget(UM_BUCKET_PROCESSES, now, um_config.processes_per_s)) {
		UM_COUNT(processes_limited);
		return;
	}
	out = bpf_ringbuf_reserve(&um_processes, sizeof(*out), 0);
	if (!out) {
		UM_COUNT(processes_ring_full);
		return;
	}
	__builtin_memset(out, 0, sizeof(*out));
	out->ts_ns = now;
	out->cgroup_id = um_cgroup_of(task);
	out->pid = pid;
	out->parent = parent;
	out->kind = kind;
	if (kind == UM_PROCESS_EXIT)
		out->exit_code = BPF_CORE_READ(task, exit_code);
	um_exe_of(task, out->exe);
	bpf_ringbuf_submit(out, BPF_RB_NO_WAKEUP);
}

static __always_inline void um_on_fork(struct task_struct *parent, struct task_struct *child)
{
	u32 pid = BPF_CORE_READ(child, tgid);

	if ((u32)BPF_CORE_READ(child, pid) == pid) /* not a thread */
		um_process_event(child, pid, BPF_CORE_READ(parent, tgid), UM_PROCESS_FORK);
}

static __always_inline void um_on_exec(struct task_struct *task)
{
	um_process_event(task, BPF_CORE_READ(task, tgid), BPF_CORE_READ(task, real_parent, tgid),
			 UM_PROCESS_EXEC);
}

static __always_inline void um_on_exit(struct task_struct *task)
{
	u32 pid = BPF_CORE_READ(task, tgid);

	if ((u32)BPF_CORE_READ(task, pid) == pid)
		um_process_event(task, pid, BPF_CORE_READ(task, real_parent, tgid),
				 UM_PROCESS_EXIT);
}

/* Only the unified hierarchy (its id is 0): others cannot own sockets. */
static __always_inline bool um_is_unified(struct cgroup *cgroup)
{
	return BPF_CORE_READ(cgroup, root, hierarchy_id) == 0;
}

static __always_inline void um_on_cgroup_made(struct cgroup *cgroup, const char *path)
{
	u64 id = BPF_CORE_READ(cgroup, kn, id);
	struct um_cgroup fresh = {};

	if (!um_is_unified(cgroup))
		return;
	fresh.born_ns = bpf_ktime_get_ns();
	bpf_probe_read_kernel_str(fresh.path, sizeof(fresh.path), path);
	if (bpf_map_update_elem(&um_cgroups, &id, &fresh, BPF_ANY))
		UM_COUNT(cgroups_full);
}

static __always_inline void um_on_cgroup_gone(struct cgroup *cgroup)
{
	u64 id = BPF_CORE_READ(cgroup, kn, id);
	struct um_cgroup *known = bpf_map_lookup_elem(&um_cgroups, &id);

	if (known && um_is_unified(cgroup))
		known->gone_ns = bpf_ktime_get_ns();
}

#endif
