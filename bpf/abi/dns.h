/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A DNS answer as a process on this host received it. */
#ifndef UM_ABI_DNS_H
#define UM_ABI_DNS_H

#include "base.h"

#define UM_DNS_MESSAGE_LEN 512

struct um_answer {
	__u64 ts_ns;
	__u64 netns;
	__u32 client; /* number of the owner that asked */
	__u16 len;    /* bytes of `message` that are filled */
	__u16 rcode;
	__u8 message[UM_DNS_MESSAGE_LEN]; /* from the DNS header on; hostile until parsed */
};

#endif
