// SPDX-License-Identifier: GPL-2.0
/* DNS capture: port 53 → the responder of the same network namespace, and back. */
#ifndef UM_LIB_NAMES_H
#define UM_LIB_NAMES_H

#include "lib/resolvers.h"
#include "lib/stats.h"

/*
 * Whether a socket sends by one device only (IP_UNICAST_IF, IPV6_UNICAST_IF), as systemd-resolved
 * does: from there no loopback address is reached. The verifier lets nobody calculate with a socket's
 * address; what is read from where it was put is a number.
 */
static __always_inline bool um_sends_by_device(const struct bpf_sock *sk, bool six)
{
	const struct bpf_sock *put = sk;
	struct inet_sock *inet = 0;

	bpf_probe_read_kernel(&inet, sizeof(inet), &put);
	if (bpf_core_field_exists(inet->uc_index) && BPF_CORE_READ(inet, uc_index))
		return true;
	return six && bpf_core_field_exists(inet->pinet6) && BPF_CORE_READ(inet, pinet6, ucast_oif);
}

/*
 * The responder a query of this socket goes to, and its port; 0: it goes where it was sent. A socket
 * bound to a device cannot reach loopback addresses.
 */
static __always_inline const struct um_name_server *um_name_server_of(struct bpf_sock_addr *ctx,
								      u32 *port)
{
	const struct um_names_state *state;
	const struct um_name_server *server;
	struct bpf_sock *sk = ctx->sk;
	u64 netns, cgroup, now;
	u32 zero = 0;

	if (!sk || sk->bound_dev_if ||
	    (ctx->protocol != IPPROTO_UDP && ctx->protocol != IPPROTO_TCP))
		return 0;
	netns = bpf_get_netns_cookie(ctx);
	server = bpf_map_lookup_elem(&um_name_servers, &netns);
	if (!server || bpf_sk_storage_get(&um_name_tags, sk, 0, 0) ||
	    um_sends_by_device(sk, sk->family == AF_INET6))
		return 0;
	state = bpf_map_lookup_elem(&um_names_state, &zero);
	now = bpf_ktime_get_ns();
	if (!state || now > state->beat_ns + UM_NAMES_STALE_MS * 1000000ULL) {
		UM_COUNT(names_stale);
		return 0;
	}
	*port = state->port;
	cgroup = bpf_get_current_cgroup_id();
	return bpf_map_lookup_elem(&um_names_exempt, &cgroup) ? 0 : server;
}

/* The slot of a resolver, given to it now if need be; 0 when none is left. */
static __always_inline u32 um_resolver_slot(const struct um_resolver_key *key, bool six)
{
	u32 family = six, slot, *known = bpf_map_lookup_elem(&um_dns_slots, key);
	u64 limit = six ? UM_NAMES_SLOTS6 : UM_NAMES_SLOTS - 1, given;
	struct um_resolver *entry;
	u64 *used;

	if (known)
		return *known;
	used = bpf_map_lookup_elem(&um_dns_used, &family);
	if (!used || *used >= limit)
		goto full;
	given = __sync_fetch_and_add(used, 1);
	if (given >= limit)
		goto full;
	slot = (six ? UM_NAMES_SLOTS : 1) + given;
	entry = bpf_map_lookup_elem(&um_resolvers, &slot);
	if (!entry)
		goto full;
	__builtin_memcpy(entry->address, key->address, UM_ADDRESS_LEN);
	entry->first_ns = bpf_ktime_get_ns();
	if (!bpf_map_update_elem(&um_dns_slots, key, &slot, BPF_NOEXIST))
		return slot;
	known = bpf_map_lookup_elem(&um_dns_slots, key); /* another CPU was first */
	if (known)
		return *known;
full:
	UM_COUNT(names_full);
	return 0;
}

/* connect() and sendto() to port 53 of an IPv4 address. */
static __always_inline void um_capture4(struct bpf_sock_addr *ctx)
{
	struct um_resolver_key key = {};
	u32 slot, port;

	if (ctx->user_port != bpf_htons(53) || !um_name_server_of(ctx, &port))
		return;
	um_map_ipv4(key.address, ctx->user_ip4);
	slot = um_resolver_slot(&key, false);
	if (!slot || slot >= UM_NAMES_SLOTS)
		return;
	ctx->user_ip4 = bpf_htonl(UM_NAMES_PREFIX << 16 | slot);
	ctx->user_port = bpf_htons(port);
}

static __always_inline void um_capture6_mapped(struct bpf_sock_addr *ctx,
					       const struct um_resolver_key *key, u32 port)
{
	u32 slot = um_resolver_slot(key, false);

	if (!slot || slot >= UM_NAMES_SLOTS)
		return;
	ctx->user_ip6[3] = bpf_htonl(UM_NAMES_PREFIX << 16 | slot);
	ctx->user_port = bpf_htons(port);
}

/*
 * The same of an IPv6 address. Link-local resolvers are left alone: their scope is not to be seen
 * here. So are those whose port the responder has not opened yet.
 */
static __always_inline void um_capture6(struct bpf_sock_addr *ctx)
{
	const struct um_name_server *server;
	struct um_resolver_key key = {};
	u32 *address = (u32 *)key.address, slot, port;

	if (ctx->user_port != bpf_htons(53))
		return;
	server = um_name_server_of(ctx, &port);
	if (!server)
		return;
	address[0] = ctx->user_ip6[0];
	address[1] = ctx->user_ip6[1];
	address[2] = ctx->user_ip6[2];
	address[3] = ctx->user_ip6[3];
	if (!address[0] && !address[1] && address[2] == bpf_htonl(0xffff)) {
		um_capture6_mapped(ctx, &key, port);
		return;
	}
	if ((address[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000))
		return;
	slot = um_resolver_slot(&key, true);
	if (slot < UM_NAMES_SLOTS)
		return;
	slot -= UM_NAMES_SLOTS;
	if (slot >= server->ports6) {
		UM_COUNT(names_unopened);
		return;
	}
	ctx->user_ip6[0] = 0;
	ctx->user_ip6[1] = 0;
	ctx->user_ip6[2] = 0;
	ctx->user_ip6[3] = bpf_htonl(1);
	ctx->user_port = bpf_htons(port + 1 + slot);
}

/* recvfrom() and getpeername(): the application sees the resolver it asked. */
static __always_inline void um_uncapture4(struct bpf_sock_addr *ctx)
{
	const struct um_resolver *asked;

	asked = um_resolver_behind4(ctx->user_ip4, bpf_ntohs(ctx->user_port));
	if (!asked)
		return;
	ctx->user_ip4 = ((const u32 *)asked->address)[3];
	ctx->user_port = bpf_htons(53);
}

static __always_inline void um_uncapture6(struct bpf_sock_addr *ctx)
{
	u16 port = bpf_ntohs(ctx->user_port);
	const struct um_resolver *asked;
	const u32 *address;
	u32 ip[4];

	ip[0] = ctx->user_ip6[0];
	ip[1] = ctx->user_ip6[1];
	ip[2] = ctx->user_ip6[2];
	ip[3] = ctx->user_ip6[3];
	asked = um_resolver_behind6(ip, port);
	if (!asked)
		return;
	address = (const u32 *)asked->address;
	ctx->user_ip6[0] = address[0];
	ctx->user_ip6[1] = address[1];
	ctx->user_ip6[2] = address[2];
	ctx->user_ip6[3] = address[3];
	ctx->user_port = bpf_htons(53);
}

/* The last descriptor of a socket is closed: a responder that lost one is asked no more. */
static __always_inline void um_name_socket_gone(struct bpf_sock *ctx)
{
	struct um_name_tag *tag = bpf_sk_storage_get(&um_name_tags, ctx, 0, 0);
	u64 netns;

	if (!tag || tag->kind != UM_NAME_TAG_ANSWERS)
		return;
	netns = tag->netns;
	bpf_map_delete_elem(&um_name_servers, &netns);
}

#endif
