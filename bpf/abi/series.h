/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Requests, counted per {client, server, port, role, method, status}. */
#ifndef UM_ABI_SERIES_H
#define UM_ABI_SERIES_H

#include "base.h"

/* RFC 9110 9.3 and RFC 5789 (PATCH). */
enum um_method {
	UM_METHOD_NONE = 0,
	UM_METHOD_GET = 1,
	UM_METHOD_HEAD = 2,
	UM_METHOD_POST = 3,
	UM_METHOD_PUT = 4,
	UM_METHOD_DELETE = 5,
	UM_METHOD_CONNECT = 6,
	UM_METHOD_OPTIONS = 7,
	UM_METHOD_TRACE = 8,
	UM_METHOD_PATCH = 9,
};

/*
 * circllhist bins of two decimal digits from 1 us to 100 s (8 decades x 90), one below, one above.
 * Bin 1 + 90 * k + (d - 10) holds [d * 10^(k+2), (d+1) * 10^(k+2)) ns for k in 0..7, d in 10..99.
 */
#define UM_BINS_PER_DECADE 90
#define UM_BIN_DECADES 8
#define UM_BINS (UM_BINS_PER_DECADE * UM_BIN_DECADES + 2)

/* status 0: the connection ended before this request was answered. For DNS it is the rcode. */
#define UM_STATUS_CUT 0
#define UM_STATUS_DNS_TIMEOUT 0xffff

struct um_series_key {
	__u32 client;
	__u32 server;
	__u16 port; /* host order */
	__u16 status;
	__u8 role;   /* enum um_role */
	__u8 method; /* enum um_method */
	__u8 l7;     /* enum um_l7 */
	__u8 shard;  /* CPU modulo shards: sum over shards to read */
};

struct um_series {
	__u64 requests;
	__u64 duration_ns; /* sum of first request byte to first response byte */
	__u64 ended;       /* requests whose response body was seen to its end */
	__u64 ended_ns;    /* sum of first request byte to last response byte */
	__u64 request_bytes;
	__u64 response_bytes;
	__u64 slow_ns; /* running estimate of the 99th percentile, for choosing samples */
	__u64 last_ns;
	__u64 bins[UM_BINS];
};

#endif
