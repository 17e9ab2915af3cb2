/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Processes as they start, become something else, and end. */
#ifndef UM_ABI_PROCESS_H
#define UM_ABI_PROCESS_H

#include "owner.h"

enum um_process_event_kind {
	UM_PROCESS_FORK = 1,
	UM_PROCESS_EXEC = 2,
	UM_PROCESS_EXIT = 3,
};

struct um_process_event {
	__u64 ts_ns;
	__u64 cgroup_id;
	__u32 pid; /* thread group id, in the host's pid namespace */
	__u32 parent;
	__u32 exit_code; /* EXIT: as wait(2) encodes it */
	__u8 kind;       /* enum um_process_event_kind */
	__u8 pad[3];
	char exe[UM_EXE_LEN];
};

#endif
