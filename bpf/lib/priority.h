// SPDX-License-Identifier: GPL-2.0
/*
 * Important first: a socket's priority, DSCP and congestion control, by the rule that names it.
 *
 * IP_TOS also sets the socket's priority (net/ipv4/ip_sockglue.c), so DSCP always goes first.
 * IP_TOS cannot be set from here on an IPv6 socket that talks IPv4 (dual stack): such a socket gets
 * its priority and no DSCP on IPv4 packets.
 */
#ifndef UM_LIB_PRIORITY_H
#define UM_LIB_PRIORITY_H

#include "lib/kernel.h"
#include "lib/maps_priority.h"
#include "lib/maps_sockets.h"
#include "lib/stats.h"

/* include/uapi/asm-generic/socket.h, linux/in.h, linux/in6.h, linux/tcp.h */
#define UM_SOL_SOCKET 1
#define UM_SO_PRIORITY 12
#define UM_IP_TOS 1
#define UM_IPV6_TCLASS 67
#define UM_TCP_CONGESTION 13

static __always_inline u32 um_priority_revision(void)
{
	u32 zero = 0, *revision = bpf_map_lookup_elem(&um_prio_rev, &zero);

	return revision ? *revision : 0;
}

/* The rule for a socket; `port` is 0 unless it is a server's. */
static __always_inline struct um_priority *um_rule_of(u64 cgroup_id, u32 service, u16 port)
{
	struct um_priority_key key = {};
	struct um_priority *rule;

	if (service) {
		key.service = service;
		rule = bpf_map_lookup_elem(&um_priorities, &key);
		if (rule)
			return rule;
		key.service = 0;
	}
	key.cgroup_id = cgroup_id;
	if (port) {
		key.port = port;
		rule = bpf_map_lookup_elem(&um_priorities, &key);
		if (rule)
			return rule;
		key.port = 0;
	}
	return cgroup_id ? bpf_map_lookup_elem(&um_priorities, &key) : NULL;
}

static __always_inline int um_set_tos(void *ctx, u16 family, u8 tos)
{
	int value = tos;

	if (family == AF_INET)
		return bpf_setsockopt(ctx, IPPROTO_IP, UM_IP_TOS, &value, sizeof(value));
	return bpf_setsockopt(ctx, IPPROTO_IPV6, UM_IPV6_TCLASS, &value, sizeof(value));
}

static __always_inline int um_get_tos(void *ctx, u16 family)
{
	int value = 0;

	if (family == AF_INET)
		bpf_getsockopt(ctx, IPPROTO_IP, UM_IP_TOS, &value, sizeof(value));
	else
		bpf_getsockopt(ctx, IPPROTO_IPV6, UM_IPV6_TCLASS, &value, sizeof(value));
	return value;
}

/* The DSCP a rule gives, or the one from before when it gives none (any longer). */
static __always_inline void um_give_tos(void *ctx, struct um_marked *m, struct um_priority *rule,
					u16 family)
{
	bool wanted = rule && (rule->flags & UM_PRIORITY_DSCP);
	u8 tos = wanted ? rule->tos : m->before.tos;

	if (!wanted && !(m->given.flags & UM_PRIORITY_DSCP))
		return;
	if (wanted && !(m->before.flags & UM_PRIORITY_DSCP)) {
		m->before.tos = um_get_tos(ctx, family);
		m->before.flags |= UM_PRIORITY_DSCP;
	}
	if (um_set_tos(ctx, family, tos))
		UM_COUNT(priority_refused);
	m->given.tos = tos;
	if (wanted)
		m->given.flags |= UM_PRIORITY_DSCP;
	else
		m->given.flags &= ~UM_PRIORITY_DSCP;
}

static __always_inline bool um_same_congestion(const char *a, const char *b)
{
	const u32 *x = (const u32 *)a, *y = (const u32 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

static __always_inline void um_give_congestion(void *ctx, struct um_marked *m,
					       struct um_priority *rule)
{
	bool wanted = rule && (rule->flags & UM_PRIORITY_CONGESTION);
	char *name = wanted ? rule->congestion : m->before.congestion;
	char now[UM_CONGESTION_LEN] __attribute__((aligned(8))) = {};

	if (!wanted && !(m->given.flags & UM_PRIORITY_CONGESTION))
		return;
	if (wanted && !(m->before.flags & UM_PRIORITY_CONGESTION)) {
		bpf_getsockopt(ctx, IPPROTO_TCP, UM_TCP_CONGESTION, m->before.congestion,
			       UM_CONGESTION_LEN);
		m->before.flags |= UM_PRIORITY_CONGESTION;
		__builtin_memcpy(m->given.congestion, m->before.congestion, UM_CONGESTION_LEN);
	}
	__builtin_memcpy(now, name, sizeof(now));
	/* Setting the one that is set starts it anew: what it has learnt of the path would be lost. */
	if (!um_same_congestion(now, m->given.congestion) &&
	    bpf_setsockopt(ctx, IPPROTO_TCP, UM_TCP_CONGESTION, now, sizeof(now)))
		UM_COUNT(priority_refused);
	__builtin_memcpy(m->given.congestion, now, sizeof(now));
	if (wanted)
		m->given.flags |= UM_PRIORITY_CONGESTION;
	else
		m->given.flags &= ~UM_PRIORITY_CONGESTION;
}

static __always_inline void um_give_priority(void *ctx, struct um_marked *m,
					     struct um_priority *rule)
{
	int value = rule ? rule->priority : m->before.priority;

	if (bpf_setsockopt(ctx, UM_SOL_SOCKET, UM_SO_PRIORITY, &value, sizeof(value)))
		UM_COUNT(priority_refused);
	m->given.priority = value;
	m->active = rule != NULL;
}

/* Brings a socket to what `rule` says; without one, to what it was before. */
static __always_inline void um_prioritise(void *ctx, struct um_marked *m, struct um_priority *rule,
					  u16 family, bool tcp)
{
	if (!rule && !m->active)
		return;
	if (!m->active)
		bpf_getsockopt(ctx, UM_SOL_SOCKET, UM_SO_PRIORITY, &m->before.priority,
			       sizeof(m->before.priority));
	um_give_tos(ctx, m, rule, family);
	um_give_priority(ctx, m, rule);
	if (tcp)
		um_give_congestion(ctx, m, rule);
}

#endif
