/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Whose traffic is how important, and what that means for a socket. */
#ifndef UM_ABI_PRIORITY_H
#define UM_ABI_PRIORITY_H

#include "base.h"

#define UM_CONGESTION_LEN 16 /* TCP_CA_NAME_MAX, include/net/tcp.h */

/*
 * One of three shapes, looked up in this order: {service}, a connection to a service;
 * {cgroup, port}, a server of one; {cgroup}, everything a workload does.
 */
struct um_priority_key {
	__u64 cgroup_id; /* 0: whoever */
	__u32 service;   /* um_service.id; 0: whatever */
	__u16 port;      /* the server's own, host order; 0: any */
	__u8 pad[2];
};

#define UM_PRIORITY_DSCP 1       /* `tos` is known and is set */
#define UM_PRIORITY_CONGESTION 2 /* the same for `congestion` */

struct um_priority {
	__u32 priority; /* SO_PRIORITY; equal to an HTB class id, it chooses that class */
	__u8 flags;     /* UM_PRIORITY_* */
	__u8 tos;       /* DSCP in the upper six bits, as in IP's own byte */
	__u8 pad[2];
	char congestion[UM_CONGESTION_LEN]; /* zero padded; TCP only */
};

/* What a socket got from a rule, and what it had before: given back when the rule goes. */
struct um_marked {
	struct um_priority given;
	struct um_priority before;
	__u32 revision; /* of the rules, when they were last looked at; 0: never */
	__u32 active;   /* 1: a rule holds this socket */
};

#endif
