// SPDX-License-Identifier: GPL-2.0
/* From an address of the responder back to the resolver that was asked. */
#ifndef UM_LIB_RESOLVERS_H
#define UM_LIB_RESOLVERS_H

#include "lib/ends.h"
#include "lib/maps_names.h"

#define UM_NAMES_PREFIX 0x7f35 /* 127.53 */

static __always_inline const struct um_resolver *um_resolver_in(u32 slot)
{
	const struct um_resolver *found = bpf_map_lookup_elem(&um_resolvers, &slot);

	return found && found->first_ns ? found : 0;
}

static __always_inline u32 um_names_port(void)
{
	u32 zero = 0;
	const struct um_names_state *state = bpf_map_lookup_elem(&um_names_state, &zero);

	return state ? state->port : 0;
}

/* The resolver behind 127.53.x.y; 0 when that address stands for none. Port in host order. */
static __always_inline const struct um_resolver *um_resolver_behind4(__be32 ip, u16 port)
{
	u32 address = bpf_ntohl(ip), slot = address & 0xffff;

	if (address >> 16 != UM_NAMES_PREFIX || slot >= UM_NAMES_SLOTS || port != um_names_port())
		return 0;
	return um_resolver_in(slot);
}

/* The same for an IPv6 address, which may hold an IPv4 one. */
static __always_inline const struct um_resolver *um_resolver_behind6(const u32 *ip, u16 port)
{
	u32 own;

	if (ip[0] || ip[1])
		return 0;
	if (ip[2] == bpf_htonl(0xffff))
		return um_resolver_behind4(ip[3], port);
	if (ip[2] || ip[3] != bpf_htonl(1))
		return 0;
	own = um_names_port();
	if (!own || port <= own || port > own + UM_NAMES_SLOTS6)
		return 0;
	return um_resolver_in(UM_NAMES_SLOTS + port - own - 1);
}

/* Shows an end that is the responder as the resolver it stands for. True when it was one. */
static __always_inline bool um_as_asked(u8 *address, u16 *port)
{
	const struct um_resolver *asked = um_resolver_behind6((const u32 *)address, *port);

	if (!asked)
		return false;
	__builtin_memcpy(address, asked->address, UM_ADDRESS_LEN);
	*port = 53;
	return true;
}

#endif
