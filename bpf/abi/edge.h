/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Connection health per {client, server, port, role, protocol}. */
#ifndef UM_ABI_EDGE_H
#define UM_ABI_EDGE_H

#include "base.h"

enum um_failure {
	UM_FAILURE_NONE = 0,
	UM_FAILURE_REFUSED = 1,
	UM_FAILURE_RESET = 2,
	UM_FAILURE_TIMEOUT = 3,
	UM_FAILURE_UNREACHABLE = 4,
	UM_FAILURE_ABORTED = 5, /* the caller gave up first */
	UM_FAILURE_OTHER = 6,
	UM_FAILURES = 8,
};

struct um_edge_key {
	__u32 client;
	__u32 server;
	__u16 port; /* host order */
	__u8 role;  /* enum um_role; SHADOW entries carry retransmits and resets only */
	__u8 l7;    /* enum um_l7 */
	__u8 shard;
	__u8 pad[3];
};

/* tx is what the client sent, rx what the server sent: the same from either end. */
struct um_edge {
	__u64 opened; /* connections established; for UDP, flows */
	__u64 closed;
	__u64 failures[UM_FAILURES]; /* attempts that failed, by enum um_failure */
	__u64 connect_ns;            /* sum over `connects` of SYN to established */
	__u64 connects;
	__u64 connect_max_ns;
	__u64 tx_bytes; /* payload, each byte once: retransmissions are not counted again */
	__u64 rx_bytes;
	__u64 tx_packets; /* TCP: segments as the kernel counts them (RFC 4898 SegsOut); UDP: datagrams */
	__u64 rx_packets;
	__u64 retransmits; /* segments sent again, by either end */
	__u64 resets;      /* connections cut by a reset after they were established */
	__u64 rtt_us;      /* sum over `rtts` of the smoothed round-trip time */
	__u64 rtts;
	__u64 desyncs; /* connections on which HTTP framing was lost */
	__u64 last_ns;
};

#endif
