/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Fixed-width types for every struct that crosses the kernel line. */
#ifndef UM_ABI_BASE_H
#define UM_ABI_BASE_H

#include <linux/types.h>

/* The layout version is part of the pin path: <bpffs>/undermesh/<instance>/v<N>/. */
#define UM_LAYOUT_VERSION 1

/* Addresses are always 16 bytes; IPv4 is v4-mapped (::ffff:a.b.c.d), RFC 4291 2.5.5.2. */
#define UM_ADDRESS_LEN 16

/* Numbers name the ends of an edge on this node. They are never reused. */
enum um_number {
	UM_NUMBER_UNKNOWN = 0, /* an end nobody could name (a socket older than the agent) */
	UM_NUMBER_WORLD = 1,   /* a peer outside this host with no number of its own */
	UM_NUMBER_HOST = 2,    /* this host, where no socket of ours is the other end */
	UM_NUMBER_FIRST = 256, /* first number given to a workload or to an external address */
};

enum um_role {
	UM_ROLE_UNKNOWN = 0,
	UM_ROLE_CLIENT = 1, /* this end opened the connection; it is the end that is measured */
	UM_ROLE_SERVER = 2, /* this end accepted it, and the client is not on this host */
	UM_ROLE_SHADOW = 3, /* this end accepted it, and the client is measured on this host */
};

enum um_l7 {
	UM_L7_UNDECIDED = 0, /* no payload seen yet */
	UM_L7_TCP = 1,       /* TCP that is none of the below */
	UM_L7_UDP = 2,
	UM_L7_HTTP1 = 3,
	UM_L7_HTTP2 = 4,
	UM_L7_TLS = 5,
	UM_L7_DNS = 6,
};

#endif
