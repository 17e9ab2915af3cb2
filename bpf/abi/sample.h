/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* One request, sampled. */
#ifndef UM_ABI_SAMPLE_H
#define UM_ABI_SAMPLE_H

#include "base.h"

#define UM_PATH_LEN 96

enum um_sample_kind {
	UM_SAMPLE_ERROR = 1, /* status >= 500 */
	UM_SAMPLE_SLOW = 2,  /* above the running 99th percentile of its series */
	UM_SAMPLE_PLAIN = 3,
	UM_SAMPLE_KINDS = 4,
};

struct um_sample {
	__u64 start_ns; /* first request byte, CLOCK_MONOTONIC */
	__u64 duration_ns;
	__u64 cookie;
	__u64 netns;
	__u32 client;
	__u32 server;
	__u32 pid;
	__u32 request_bytes; /* at most 2^32 - 1 */
	__u8 client_address[UM_ADDRESS_LEN];
	__u8 server_address[UM_ADDRESS_LEN];
	__u16 client_port;
	__u16 server_port;
	__u16 port;
	__u16 status;
	__u8 method;
	__u8 role;
	__u8 kind; /* enum um_sample_kind */
	__u8 path_len;
	__u8 pad[4];
	char path[UM_PATH_LEN]; /* cut at 96 bytes, and at '?' unless configured otherwise */
};

#endif
