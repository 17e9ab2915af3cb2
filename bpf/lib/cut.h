// SPDX-License-Identifier: GPL-2.0
/* Sockets of backends that are gone, and of those that had time to leave. */
#ifndef UM_LIB_CUT_H
#define UM_LIB_CUT_H

#include "lib/maps_services.h"
#include "lib/maps_sockets.h"

/*
 * Ends a connection as its owner's abort would: the owner gets ECONNABORTED, the peer of a TCP socket
 * a reset. Since 6.5, in iterators over sockets only, which hold the socket's lock.
 */
extern int bpf_sock_destroy(struct sock_common *sk) __ksym;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct udp_sock {
	struct inet_sock inet;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
	u32 uid;
	int bucket;
};

#pragma clang attribute pop

/* Whether a socket is open with a backend that user space has marked. */
static __always_inline bool um_is_to_be_cut(struct um_socket *s)
{
	struct um_backend *backend;
	u32 number;

	if (!s || !(s->flags & UM_SOCKET_STEERED) || !s->steered.open)
		return false;
	number = s->steered.backend;
	backend = bpf_map_lookup_elem(&um_backends, &number);
	return backend && backend->flags & UM_BACKEND_CUT;
}

#endif
