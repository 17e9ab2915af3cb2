/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The fast path: same-host connections whose two sockets hand each other their bytes. */
#ifndef UM_ABI_FASTPATH_H
#define UM_ABI_FASTPATH_H

#include "base.h"

/*
 * One socket in um_joined. A cookie alone is never given twice; the namespace is part of the key so
 * that what can be redirected to is confined by what the key says, too.
 */
struct um_joint_key {
	__u64 netns;
	__u64 cookie;
};

enum um_meeting_state {
	UM_MEETING_WAITING = 0,   /* the client's end is there */
	UM_MEETING_JOINED = 1,    /* both are */
	UM_MEETING_AMBIGUOUS = 2, /* two connections have the same key: neither is joined */
};

/* A connection by its initial sequence numbers. */
struct um_meeting_key {
	__u32 client_isn;
	__u32 server_isn;
	__u64 netns; /* cookie, for loopback addresses; 0 for all others */
};

struct um_meeting {
	struct um_joint_key client;
	struct um_joint_key server;
	__u64 client_sock; /* where the kernel's struct sock lies; read, never written */
	__u64 server_sock;
	__u32 state; /* enum um_meeting_state */
	__u32 pad;
};

/* What one end of a joined connection knows of the other. */
struct um_joint {
	struct um_joint_key peer;
	__u64 peer_sock; /* 0: not met yet */
	__u64 bytes;     /* redirected from this end */
	__u32 messages;  /* redirected from this end */
	__u8 client;     /* 1: this end opened the connection */
	__u8 pad[3];
};

/* What of a connection went by the fast path, seen from its client; part of struct um_socket. */
struct um_direct {
	__u64 sent_bytes;
	__u64 received_bytes;
	__u32 sent_messages;
	__u32 received_messages;
};

/* One element, written by user space. */
struct um_fastpath {
	__u32 off; /* 1: nothing is redirected any more; what is queued is read on */
	__u32 pad;
};

/* Counters of what the fast path did; one value per CPU. */
struct um_fast_stats {
	__u64 joined;     /* connections */
	__u64 ambiguous;  /* not joined: two connections had the same sequence numbers */
	__u64 unjoined;   /* the kernel refused a socket */
	__u64 left;       /* clients whose server turned out to be elsewhere */
	__u64 redirected; /* messages */
	__u64 behind;     /* messages left to TCP: bytes before them are still on its path */
	__u64 full;       /* … the reader's buffer is full */
	__u64 unfit;      /* … SO_RCVLOWAT or SO_ZEROCOPY is set */
	__u64 unmet;      /* … the other end is not there */
	__u64 to_tap;     /* … the tap is to read them: TLS hellos, reordered streams */
};

/* What a program does with its sockets that no guard cures. */
enum um_misuse {
	UM_MISUSE_WAITALL = 1, /* recv(MSG_WAITALL): it may come back with less than it asked for */
};

/* Who did it. */
struct um_misuse_key {
	__u32 owner;
	__u32 misuse; /* enum um_misuse */
};

/* What fastpath_queues writes for each joined socket. */
struct um_joined_end {
	struct um_joint_key key;
	struct um_joint_key peer;
	__u64 cgroup_id;
	__u64 bytes; /* redirected from this end */
	__u32 owner;
	__u32 pid;
	__u32 queued; /* redirected bytes its reader has not taken; at least 1 while there are any */
	__u32 users;  /* 1, and one for every send and recv under way on it */
	__u8 client;
	__u8 pad[7];
};

#endif
