/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Who owns a socket, who is at the far end, and what a cgroup is called. */
#ifndef UM_ABI_OWNER_H
#define UM_ABI_OWNER_H

#include "base.h"

#define UM_EXE_LEN 24
#define UM_CGROUP_PATH_LEN 192

/* One owner is one executable in one cgroup. */
struct um_owner_key {
	__u64 cgroup_id;
	char exe[UM_EXE_LEN]; /* file name of the executable, zero padded, cut at 23 bytes */
};

struct um_owner {
	__u32 number;
	__u32 identity; /* written by user space; 0 until then */
	__u64 first_ns; /* CLOCK_MONOTONIC */
	__u64 netns;    /* cookie of the first socket's network namespace */
};

/* One external address somebody on this host connected to. */
struct um_peer_key {
	__u8 address[UM_ADDRESS_LEN];
};

struct um_peer {
	__u32 number;
	__u32 identity;
	__u64 first_ns;
};

struct um_cgroup {
	__u64 born_ns;                 /* 0: older than the agent */
	__u64 gone_ns;                 /* 0: still there */
	char path[UM_CGROUP_PATH_LEN]; /* below the cgroup v2 root, starts with '/' */
};

/* A listening TCP socket. */
struct um_listener_key {
	__u64 netns;
	__u16 port; /* host order */
	__u16 pad[3];
};

struct um_listener {
	__u32 owner;
	__u32 sockets; /* how many listeners share the port (SO_REUSEPORT) */
	__u64 cgroup_id;
};

/* Both ends of a same-host connection, found by the initial sequence numbers that no NAT changes. */
struct um_pair_key {
	__u32 client_isn;
	__u32 server_isn;
};

struct um_pair {
	__u32 client;
	__u32 server; /* 0 until the server's end is established */
	__u16 port;   /* the server's own port, host order: behind DNAT not the one dialled */
	__u16 pad[3];
	__u64 opened_ns;
};

#endif
