/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Services: where a connect() to a service's address goes, and what became of it. */
#ifndef UM_ABI_SERVICE_H
#define UM_ABI_SERVICE_H

#include "base.h"

/* One address and port of a service. Ports in host order, as everywhere here. */
struct um_service_key {
	__u8 address[UM_ADDRESS_LEN];
	__u64 netns; /* cookie; 0: every namespace that has no entry of its own */
	__u16 port;
	__u8 l4; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 pad[5];
};

enum um_balancing {
	UM_BALANCING_RANDOM = 0,       /* weighted, by the alias method */
	UM_BALANCING_MAGLEV = 1,       /* consistent: by a hash of the caller */
	UM_BALANCING_LEAST_LOADED = 2, /* of two drawn by weight: fewer open connections */
	UM_BALANCING_LEAST_LATENCY = 3 /* of two drawn by weight: lower peak EWMA */
};

#define UM_SERVICE_BY_NETNS 1 /* some namespace has an entry of its own: look there first */
#define UM_SERVICE_REFUSED 2  /* no backend may be used: ECONNREFUSED at once */
#define UM_SERVICE_FASTPATH 4 /* same-host connections may be joined by sockmap */

/*
 * Replaced whole in one update, after its slots and backends are in place: a reader sees the old
 * range or the new one, and both are valid.
 */
struct um_service {
	__u32 id;         /* for affinity and for rows; never reused while the maps live */
	__u32 flags;      /* UM_SERVICE_* */
	__u32 slots_at;   /* first of its slots in um_slots */
	__u32 slots;      /* how many; 0 with UM_SERVICE_REFUSED */
	__u32 affinity_s; /* 0: none */
	__u8 balancing;   /* enum um_balancing */
	__u8 pad[3];
};

/*
 * One column of Walker's alias method: draw a slot evenly, draw 32 bits; below `threshold` it is
 * `backend`, else `other`. A Maglev table uses `backend` only.
 */
struct um_slot {
	__u32 backend;
	__u32 other;
	__u32 threshold;
	__u32 pad;
};

#define UM_BACKEND_USABLE 1 /* may be chosen, and held to by affinity */
#define UM_BACKEND_CUT 2    /* its sockets are reset at the next cut */

/*
 * One endpoint of one service port. Number 0 is nobody. `service` must be the id of every um_service
 * whose slots name it: a reader that meets another one has read a row amid its replacement.
 */
struct um_backend {
	__u8 address[UM_ADDRESS_LEN];
	__u16 port;
	__u8 flags; /* UM_BACKEND_* */
	__u8 pad;
	__u32 service; /* um_service.id */
	__u64 netns;   /* cookie of the only namespace it is reached from; 0: from all */
};

/* What the kernel knows of a backend; zeroed by user space before its number is used again. */
struct um_load {
	__u64 connects;    /* established; UDP: connected, or conversations begun */
	__u64 failures;    /* attempts that never came to be */
	__u64 requests;    /* answered requests */
	__u64 errors;      /* of those, status >= 500 or cut */
	__u64 duration_ns; /* summed over the requests */
	__u64 ewma_ns; /* peak EWMA of request durations; of connect times where no request is read */
	__u64 ewma_at_ns; /* when it was last moved */
	__u32 open;       /* connections and connected UDP sockets now */
	__u32 pad;
};

/* Who stays with which backend: of a service's port, as it was asked for. */
struct um_affinity_key {
	__u64 caller; /* cgroup id */
	__u32 service;
	__u16 port;
	__u8 l4;
	__u8 family; /* 4 or 6: an IPv6 backend is no use to an IPv4 socket */
};

struct um_affinity {
	__u64 last_ns;
	__u32 backend;
	__u32 pad;
};

/*
 * For unconnected UDP, two entries a conversation: from the service's address to the backend that was
 * chosen, so that the next datagram follows the first, and from the backend's address back.
 */
struct um_meant_key {
	__u64 cookie;
	__u8 address[UM_ADDRESS_LEN];
	__u16 port;
	__u8 forward; /* 1: `address` is the service's; 0: the backend's */
	__u8 pad[5];
};

struct um_meant {
	__u8 address[UM_ADDRESS_LEN]; /* the other one */
	__u16 port;
	__u8 pad[2];
	__u32 backend;
	__u64 last_ns; /* when something was last sent */
};

/* What of a socket belongs to steering; part of struct um_socket. */
struct um_steered {
	__u8 address[UM_ADDRESS_LEN]; /* the service's, as the application gave it */
	__u32 backend;                /* 0: not steered */
	__u32 service;
	__u32 open; /* 1 while counted in um_load.open: whoever swaps it to 0 uncounts */
	__u16 port;
	__u8 pad[2];
};

#endif
