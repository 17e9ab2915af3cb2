// SPDX-License-Identifier: GPL-2.0
/* Is what somebody asks for a service? */
#ifndef UM_LIB_SERVICES_H
#define UM_LIB_SERVICES_H

#include "lib/ends.h"
#include "lib/maps_services.h"

#define UM_REACH_IPV4 1 /* the socket can be sent to an IPv4 backend */
#define UM_REACH_IPV6 2
#define UM_REACH_LOOPBACK 4 /* not so when it is bound to another device */

/* One connect() or sendto(): what it asks for, and what it gets. */
struct um_call {
	struct um_service_key asked;
	struct um_service
		service; /* a copy: the entry may be freed, and used for another, meanwhile */
	u64 caller;      /* cgroup id */
	u64 netns;
	u32 reach;   /* UM_REACH_* */
	u32 backend; /* 0: none */
	u8 address[UM_ADDRESS_LEN];
	u16 port;
	u8 pad[6];
};

/*
 * One look-up for whoever asks for no service, and for nearly all who do. Where some namespace has
 * backends of its own, its entry comes first.
 */
static __always_inline bool um_find_service(struct bpf_sock_addr *ctx, struct um_call *call)
{
	struct um_service *found = bpf_map_lookup_elem(&um_services, &call->asked);

	if (!found)
		return false;
	call->service = *found;
	call->netns = bpf_get_netns_cookie(ctx);
	if (!(call->service.flags & UM_SERVICE_BY_NETNS))
		return true;
	call->asked.netns = call->netns;
	found = bpf_map_lookup_elem(&um_services, &call->asked);
	if (found)
		call->service = *found;
	return true;
}

static __always_inline bool um_is_mapped(const u8 *address)
{
	return *(const u64 *)address == 0 && ((const u32 *)address)[2] == bpf_htonl(0xffff);
}

/*
 * The backend of that number if this call may be sent there. Its service is compared because the
 * call's copy, or the slot, may have been read amid a change.
 */
static __always_inline struct um_backend *um_usable(const struct um_call *call, u32 number)
{
	struct um_backend *backend;

	if (!number)
		return 0;
	backend = bpf_map_lookup_elem(&um_backends, &number);
	if (!backend || !(backend->flags & UM_BACKEND_USABLE) ||
	    backend->service != call->service.id)
		return 0;
	if (!(call->reach & (um_is_mapped(backend->address) ? UM_REACH_IPV4 : UM_REACH_IPV6)))
		return 0;
	if (!(call->reach & UM_REACH_LOOPBACK) && um_is_loopback(backend->address))
		return 0;
	if (backend->netns && backend->netns != call->netns)
		return 0;
	return backend;
}

#endif
