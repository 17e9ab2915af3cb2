/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What is remembered per socket. One storage struct serves every program. */
#ifndef UM_ABI_SOCKET_H
#define UM_ABI_SOCKET_H

#include "fastpath.h"
#include "flow.h"
#include "sample.h"
#include "service.h"

/* Where a byte stream stands. Explicit numbers: they survive an upgrade. */
enum um_phase {
	UM_PHASE_START = 0,       /* the next byte begins a message */
	UM_PHASE_TOKEN = 1,       /* in the method, or in "HTTP/1.x NNN" */
	UM_PHASE_LINE = 2,        /* in the rest of the start line */
	UM_PHASE_NAME = 3,        /* at the start of a header line, or in a name of interest */
	UM_PHASE_SKIP = 4,        /* in a header line of no interest */
	UM_PHASE_LENGTH = 5,      /* in the value of Content-Length */
	UM_PHASE_CODING = 6,      /* in the value of Transfer-Encoding */
	UM_PHASE_BODY = 7,        /* `remain` bytes of body to go */
	UM_PHASE_CHUNK = 8,       /* in a chunk-size line */
	UM_PHASE_CHUNK_EXT = 9,   /* in a chunk extension */
	UM_PHASE_CHUNK_DATA = 10, /* `remain` bytes of chunk to go */
	UM_PHASE_TRAILER = 11,    /* at the start of a trailer line */
	UM_PHASE_TRAILER_SKIP = 12,
	UM_PHASE_UNTIL_CLOSE = 13, /* a body that ends with the connection */
	UM_PHASE_OPAQUE = 14,      /* not HTTP, or HTTP no longer (upgrade, CONNECT) */
	UM_PHASE_LOST = 15,        /* framing lost: waiting for a segment that begins a message */
};

struct um_stream {
	__u32 next;     /* sequence number of the next byte to judge */
	__u8 phase;     /* enum um_phase */
	__u8 match;     /* progress in a token or header name */
	__u8 flags;     /* UM_STREAM_* */
	__u8 tries;     /* segments looked at in vain while framing was lost */
	__u64 remain;   /* body or chunk bytes to go; while in a head, Content-Length so far */
	__u64 tail;     /* last eight bytes of the start line */
	__u64 start_ns; /* first byte of the current message */
	__u64 bytes;    /* of the current message */
	__u32 busy;     /* taken while a segment is being judged */
	__u32 spare;
};

#define UM_STREAM_SYNCED 1  /* `next` is valid */
#define UM_STREAM_LENGTH 2  /* a Content-Length was read */
#define UM_STREAM_CHUNKED 4 /* the last transfer coding is chunked */
#define UM_STREAM_MESSAGE 8 /* a message is under way */
#define UM_STREAM_HELD 16   /* segments wait in um_held */
#define UM_STREAM_BAD 32    /* a header that decides framing could not be understood */
#define UM_STREAM_RETRY 64  /* this message may only look like one: framing had been lost */

/* A run of requests not answered yet, equal in start time and method. */
struct um_request {
	__u64 start_ns;
	__u64 bytes;
	__u32 count;
	__u8 method;
	__u8 pad[3];
};

#define UM_REQUEST_RUNS 8 /* power of two */

#define UM_SOCKET_OPENED 1   /* counted as opened on its edge */
#define UM_SOCKET_CLOSED 2   /* counted as closed: act once */
#define UM_SOCKET_RESET 4    /* cut by a reset */
#define UM_SOCKET_OLD 8      /* older than the agent */
#define UM_SOCKET_DESYNC 16  /* framing was lost at least once */
#define UM_SOCKET_TUNNEL 32  /* HTTP until an upgrade or CONNECT */
#define UM_SOCKET_ATTEMPT 64 /* connect() was called, no SYN has left yet */
#define UM_SOCKET_BACKFILLED                                                                       \
	128 /* its owner was read from /proc-like iterators, not seen being made */
#define UM_SOCKET_STEERED 256 /* `steered` is about this connection */
#define UM_SOCKET_MEANT 512   /* UDP: has sent to a service without being connected */

/*
 * Client and server of a same-host connection run on two CPUs, and so do the two directions of one
 * socket. What both touch for every request is kept to one cache line, and what only one writes apart
 * from what the other reads. Storage begins eight bytes into a line, so lines begin at 56, 120, 184, ...
 */
struct um_socket {
	/* read for every packet, written rarely */
	__u32 client;
	__u32 server; /* 0 until resolved */
	__u32 flags;  /* UM_SOCKET_* */
	__u16 port;
	__u16 tls_version;
	__u8 role;
	__u8 l7;
	__u8 l4; /* IPPROTO_TCP or IPPROTO_UDP; set when the socket is made */
	__u8 failure;
	__u8 tls_seen; /* 1: ClientHello read, 2: ServerHello read */
	__u8 pad[3];
	__u64 opened_ns;
	__u64 cgroup_id; /* owner: set when the socket is made, inherited by accepted sockets */
	__u64 netns;
	__u32 owner;
	__u32 pid;
	/* one direction (56) */
	struct um_stream sent;
	__u64 attempt_ns;
	__u64 connect_ns;
	/* the other (120) */
	struct um_stream received;
	__u64 cookie;
	__u32 client_isn;
	__u32 server_isn;
	/* from the asking direction to the answering one (184): runs head to tail wait for answers */
	__u32 runs_head; /* next to answer */
	__u32 runs_tail; /* next to fill */
	__u32 runs_base; /* the run that is in runs[0]; moved when none waits */
	__u32 flushing;  /* taken by whoever moves counters to the edge */
	struct um_request runs[UM_REQUEST_RUNS];
	/* written by the answering direction */
	__u64 answer_start_ns;      /* start of the request now being answered */
	__u64 answer_request_bytes; /* of the request now being answered */
	__u64 late_request_bytes;   /* of requests that were answered before they ended */
	__u16 answer_status;
	__u8 answer_method;
	__u8 answering; /* 1: status known, not yet counted; 2: counted, body under way */
	__u32 requests;
	__u32 retransmits;
	__u32 srtt_us;
	/* what of the kernel's own counters (tcp_sock) has reached the edge */
	__u64 sent_bytes;
	__u64 received_bytes;
	__u32 sent_packets;
	__u32 received_packets;
	/* those counters when the agent met a socket older than itself */
	__u64 sent_bytes_before;
	__u64 received_bytes_before;
	__u32 sent_packets_before;
	__u32 received_packets_before;
	__u8 local[UM_ADDRESS_LEN];
	__u8 remote[UM_ADDRESS_LEN];
	__u16 local_port;
	__u16 remote_port;
	/* written by the asking direction */
	__u8 request_method;
	__u8 path_len; /* bytes of `path` that were there to copy */
	__u8 pad2[2];
	char path[UM_PATH_LEN]; /* request target that began last, cut nowhere else */
	struct um_steered steered;
	struct um_direct direct;
};

/* What a TLS ClientHello said. */
struct um_tls {
	char sni[UM_SNI_LEN];
	char alpn[UM_ALPN_LEN];
};

/*
 * The request that made its connection: where a handshake's own acknowledgement is lost, deferred
 * (TCP_DEFER_ACCEPT) or replaced (SYN cookies), the first segment with data is still the listener's.
 */
struct um_early {
	__u32 client_isn;        /* sequence number of its first byte */
	__u32 server_isn;        /* what it acknowledges */
	struct um_socket socket; /* what was read, as if the connection's socket were there */
};

#define UM_HELD_SEGMENTS 4
#define UM_HELD_BYTES 1920 /* a whole packet of the usual size; all of it fits into 8 KiB */

/* Segments that came before the one they follow; made only for sockets that meet reordering. */
struct um_held_segment {
	__u32 seq;
	__u32 len;  /* of the segment, and of those that follow it without a gap */
	__u32 used; /* bytes kept in `data`; 0: free */
	__u32 sent; /* 1: this socket sent it */
	__u64 ts_ns;
	__u8 data[UM_HELD_BYTES];
};

struct um_held {
	struct um_held_segment segments[UM_HELD_SEGMENTS];
};

/* A UDP conversation, seen from one end. */
struct um_udp_key {
	__u8 local[UM_ADDRESS_LEN];
	__u8 remote[UM_ADDRESS_LEN];
	__u16 local_port; /* host order */
	__u16 remote_port;
	__u32 captured; /* 1: a query taken to the responder, shown as the one that was asked */
	__u64 netns;    /* for loopback addresses, and what was captured; 0 for all others */
};

#define UM_UDP_QUERIES 4

struct um_udp_query {
	__u64 start_ns; /* 0: free */
	__u16 id;
	__u16 pad[3];
};

struct um_udp {
	__u64 cgroup_id;
	__u64 netns;
	__u64 opened_ns;
	__u64 last_ns;
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 sent_packets;
	__u64 received_packets;
	__u64 sent_bytes_flushed; /* what of them has reached the edge */
	__u64 received_bytes_flushed;
	__u64 sent_packets_flushed;
	__u64 received_packets_flushed;
	__u64 flush_ns;
	__u32 owner;
	__u32 pid;
	__u32 client;
	__u32 server;
	__u8 role;
	__u8 l7;
	__u8 opened; /* counted on its edge */
	__u8 pad;
	__u32 flushing;
	struct um_udp_query queries[UM_UDP_QUERIES];
};

#endif
