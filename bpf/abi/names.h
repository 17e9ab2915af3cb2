/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Queries to port 53, taken to the responder of the asking process's own network namespace. */
#ifndef UM_ABI_NAMES_H
#define UM_ABI_NAMES_H

#include "base.h"

/*
 * Where a query goes says which resolver it was for. Of IPv4 resolvers each has an address: slot n
 * is 127.53.(n >> 8).(n & 255). IPv6 has one loopback address only, and the kernel refuses a program
 * that turns an IPv6 destination of sendmsg() into an IPv4 one: there each has a port on ::1, those
 * that follow the responder's own.
 */
enum um_names {
	UM_NAMES_PORT = 5399,     /* of the responder, unless somebody has it already */
	UM_NAMES_SLOTS = 16384,   /* IPv4 resolvers; slot 0 is nobody's */
	UM_NAMES_SLOTS6 = 16,     /* IPv6 resolvers: slots from UM_NAMES_SLOTS on */
	UM_NAMES_STALE_MS = 3000, /* a responder that says nothing for so long is not asked */
};

/* The responder of this instance. */
struct um_names_state {
	__u64 beat_ns; /* when it last said it is well, CLOCK_MONOTONIC */
	__u32 port;    /* on 127.53.0.0/16; 0: there was none yet */
	__u32 pad;
};

struct um_resolver_key {
	__u8 address[UM_ADDRESS_LEN];
};

struct um_resolver {
	__u8 address[UM_ADDRESS_LEN];
	__u64 first_ns; /* 0: this slot was never given */
};

/* A responder's sockets in one network namespace. */
struct um_name_server {
	__u32 ports6; /* how many of the ports after its own it has on ::1 */
	__u32 pad;
};

enum um_name_tag_kind {
	UM_NAME_TAG_ANSWERS = 1, /* a socket queries are taken to */
	UM_NAME_TAG_ASKS = 2,    /* a socket the responder asks resolvers with: never taken */
};

/* What a socket of the responder is for; written by user space through the socket's descriptor. */
struct um_name_tag {
	__u64 netns; /* of a socket that answers */
	__u32 kind;  /* enum um_name_tag_kind */
	__u32 pad;
};

#endif
