// SPDX-License-Identifier: GPL-2.0
/*
 * What an application chooses itself for a socket that a rule holds. The operator's word stands: what
 * the rule gives is kept, and the application is told that its choice was taken. What the rule says
 * nothing of is the application's.
 */
#ifndef UM_LIB_CHOSEN_H
#define UM_LIB_CHOSEN_H

#include "lib/priority.h"

enum um_choice {
	UM_CHOICE_OTHER = 0, /* none of our business */
	UM_CHOICE_PRIORITY = 1,
	UM_CHOICE_TOS = 2,
	UM_CHOICE_TCLASS = 3,
	UM_CHOICE_CONGESTION = 4,
};

static __always_inline enum um_choice um_choice_of(int level, int name)
{
	if (level == UM_SOL_SOCKET && name == UM_SO_PRIORITY)
		return UM_CHOICE_PRIORITY;
	if (level == IPPROTO_IP && name == UM_IP_TOS)
		return UM_CHOICE_TOS;
	if (level == IPPROTO_IPV6 && name == UM_IPV6_TCLASS)
		return UM_CHOICE_TCLASS;
	if (level == IPPROTO_TCP && name == UM_TCP_CONGESTION)
		return UM_CHOICE_CONGESTION;
	return UM_CHOICE_OTHER;
}

/* Sets the application's own DSCP, and the priority again, which the kernel has derived from it. */
static __always_inline bool um_take_tos(struct bpf_sockopt *ctx, struct um_marked *m)
{
	u8 *value = ctx->optval, *end = ctx->optval_end;
	int priority = m->given.priority;

	if (value + 1 > end || um_set_tos(ctx->sk, AF_INET, *value))
		return false;
	return !bpf_setsockopt(ctx->sk, UM_SOL_SOCKET, UM_SO_PRIORITY, &priority, sizeof(priority));
}

/* cgroup/setsockopt. True: it has been dealt with, the kernel is not to set it. */
static __always_inline bool um_overrules(struct bpf_sockopt *ctx)
{
	enum um_choice choice = um_choice_of(ctx->level, ctx->optname);
	struct um_marked *m;

	if (choice == UM_CHOICE_OTHER || !um_priority_revision() || !ctx->sk)
		return false;
	m = bpf_sk_storage_get(&um_marked, ctx->sk, 0, 0);
	if (!m || !m->active)
		return false;
	switch (choice) {
	case UM_CHOICE_PRIORITY:
		return true;
	case UM_CHOICE_TOS:
		return (m->given.flags & UM_PRIORITY_DSCP) || um_take_tos(ctx, m);
	case UM_CHOICE_TCLASS:
		return m->given.flags & UM_PRIORITY_DSCP;
	case UM_CHOICE_CONGESTION:
		return m->given.flags & UM_PRIORITY_CONGESTION;
	default:
		return false;
	}
}

#endif
