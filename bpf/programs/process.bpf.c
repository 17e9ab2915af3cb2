// SPDX-License-Identifier: GPL-2.0
/* Processes and cgroups as they come and go. */
#include "lib/processes.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	um_on_fork(parent, child);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task)
{
	um_on_exec(task);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	um_on_exit(task);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(process_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	um_on_cgroup_made(cgroup, path);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(process_cgroup_rmdir, struct cgroup *cgroup)
{
	um_on_cgroup_gone(cgroup);
	return 0;
}
