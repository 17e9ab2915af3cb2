/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* One connection (or UDP conversation, or failed attempt), as it ends or as it stands. */
#ifndef UM_ABI_FLOW_H
#define UM_ABI_FLOW_H

#include "edge.h"

#define UM_SNI_LEN 64
#define UM_ALPN_LEN 16

enum um_flow_state {
	UM_FLOW_OPEN = 1,
	UM_FLOW_CLOSED = 2,
	UM_FLOW_FAILED = 3,
};

/* Written whole to the `um_flows` ring when it ends, and by the sweep iterators while it lives. */
struct um_flow {
	__u64 cookie; /* socket cookie; for UDP, a hash of the conversation */
	__u64 cgroup_id;
	__u64 netns;
	__u64 opened_ns;
	__u64 ended_ns; /* 0 while it is open */
	__u64 connect_ns;
	__u64 tx_bytes; /* client to server */
	__u64 rx_bytes;
	__u64 tx_packets;
	__u64 rx_packets;
	__u32 client;
	__u32 server;
	__u32 pid; /* of the process that made the socket; 0 when not known */
	__u32 srtt_us;
	__u32 retransmits;
	__u32 requests;
	__u8 client_address[UM_ADDRESS_LEN];
	__u8 server_address[UM_ADDRESS_LEN];
	__u16 client_port;
	__u16 server_port;
	__u16 port;        /* the edge's port: behind DNAT the server's own */
	__u16 tls_version; /* 0x0303, 0x0304; 0 when not TLS or not seen */
	__u8 l4;           /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 l7;
	__u8 role;
	__u8 state;   /* enum um_flow_state */
	__u8 failure; /* enum um_failure */
	__u8 reset;   /* 1: ended by a reset */
	__u8 pad[2];
	char sni[UM_SNI_LEN];
	char alpn[UM_ALPN_LEN]; /* first protocol offered */
	__u32 service;          /* um_service.id; 0: the client asked for no service */
	__u16 service_port;     /* what it asked for */
	__u8 pad2[2];
	__u8 service_address[UM_ADDRESS_LEN];
};

#endif
