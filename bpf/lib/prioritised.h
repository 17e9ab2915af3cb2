// SPDX-License-Identifier: GPL-2.0
/* When a socket meets its rule: made, connecting, listening, accepted, sending a datagram. */
#ifndef UM_LIB_PRIORITISED_H
#define UM_LIB_PRIORITISED_H

#include "lib/priority.h"

#define UM_SOCK_DGRAM 2

/* cgroup/sock_create: nothing can be set here but the priority, and that is all most sockets need. */
static __always_inline void um_prioritise_made(struct bpf_sock *ctx)
{
	u32 revision = um_priority_revision();
	struct um_priority *rule;
	struct um_marked *m;

	if (!revision)
		return;
	rule = um_rule_of(bpf_get_current_cgroup_id(), 0, 0);
	if (!rule)
		return;
	m = bpf_sk_storage_get(&um_marked, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!m) {
		UM_COUNT(storage_failed);
		return;
	}
	m->before.priority = ctx->priority;
	m->given.priority = rule->priority;
	m->active = 1;
	ctx->priority = rule->priority;
}

/* The rule and the storage of a socket; NULL: neither has anything to say. */
static __always_inline struct um_marked *um_marked_of(struct bpf_sock *sk, struct um_socket *s,
						      u16 port, struct um_priority **rule)
{
	struct um_marked *m = bpf_sk_storage_get(&um_marked, sk, 0, 0);

	*rule = s ? um_rule_of(s->cgroup_id, s->steered.service, port) : NULL;
	if (m || !*rule)
		return m;
	m = bpf_sk_storage_get(&um_marked, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!m)
		UM_COUNT(storage_failed);
	return m;
}

/*
 * Before the SYN leaves; before the first connection is accepted; for each that is: it inherits its
 * listener's DSCP and congestion control, but not its priority (net/core/sock.c, sk_clone).
 */
static __always_inline void um_prioritise_connection(struct bpf_sock_ops *ctx)
{
	u32 op = ctx->op, revision = um_priority_revision();
	struct bpf_sock *sk = ctx->sk;
	struct um_priority *rule;
	struct um_marked *m;
	u16 port = 0;

	if (!sk || !revision ||
	    (op != BPF_SOCK_OPS_TCP_CONNECT_CB && op != BPF_SOCK_OPS_TCP_LISTEN_CB &&
	     op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB))
		return;
	if (op != BPF_SOCK_OPS_TCP_CONNECT_CB)
		port = ctx->local_port;
	m = um_marked_of(sk, bpf_sk_storage_get(&um_sockets, sk, 0, 0), port, &rule);
	if (!m)
		return;
	um_prioritise(ctx, m, rule, ctx->family, true);
	m->revision = revision;
}

/* A UDP socket, on connect() and with every datagram that names its destination. */
static __always_inline void um_prioritise_datagram(struct bpf_sock_addr *ctx, bool connecting)
{
	u32 revision = um_priority_revision();
	struct bpf_sock *sk = ctx->sk;
	struct um_priority *rule;
	struct um_socket *s;
	struct um_marked *m;

	if (!sk || !revision || ctx->type != UM_SOCK_DGRAM)
		return;
	m = bpf_sk_storage_get(&um_marked, sk, 0, 0);
	if (m && !connecting && m->revision == revision)
		return;
	s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	m = um_marked_of(sk, s, sk->src_port, &rule);
	if (!m)
		return;
	um_prioritise(ctx, m, rule, sk->family, false);
	m->revision = revision;
}

/*
 * An open TCP socket, in an iterator that has it locked. `s` may be there or not: sockets nobody saw
 * being made carry the cgroup they were made in.
 */
static __always_inline void um_remark(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	u32 revision = um_priority_revision(), service;
	struct um_priority *rule;
	struct um_marked *m;
	struct um_socket *s;
	struct tcp_sock *tp;
	struct sock *sk;
	u64 cgroup_id;
	u16 family, port;

	if (!skc || !revision)
		return;
	tp = bpf_skc_to_tcp_sock(skc); /* none for what waits out its time, or is half open */
	if (!tp)
		return;
	sk = (struct sock *)tp;
	s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	cgroup_id = s ? s->cgroup_id : BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
	service = s ? s->steered.service : 0;
	port = s && s->role == UM_ROLE_CLIENT ? 0 : skc->skc_num;
	rule = um_rule_of(cgroup_id, service, port);
	m = bpf_sk_storage_get(&um_marked, sk, 0, rule ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!m)
		return;
	family = skc->skc_family;
	um_prioritise(skc, m, rule, family, true);
	m->revision = revision;
	if (!rule)
		bpf_sk_storage_delete(&um_marked, sk);
}

#endif
