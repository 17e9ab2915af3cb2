/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Packets the kernel threw away, by its own reason. */
#ifndef UM_ABI_DROP_H
#define UM_ABI_DROP_H

#include "base.h"

struct um_drop_key {
	__u32 owner;  /* of the socket the packet belonged to; 0 when it had none */
	__u16 reason; /* enum skb_drop_reason of the running kernel */
	__u16 port;   /* the lower of the two, host order; 0 where the packet was not TCP or UDP */
	__u8 l4;      /* IP protocol number; 0 when it was not IP */
	__u8 pad[3];
};

struct um_drop {
	__u64 packets;
	__u64 bytes;
	__u64 last_ns;
	__u8 source[UM_ADDRESS_LEN]; /* of the last one */
	__u8 destination[UM_ADDRESS_LEN];
	__u16 source_port;
	__u16 destination_port;
	__u32 ifindex;
};

#endif
