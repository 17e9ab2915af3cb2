// SPDX-License-Identifier: GPL-2.0
/*
 * What lies between two joined sockets. A socket that leaves the map takes its queue with it, so it may
 * leave only when the queue is empty and nobody is about to put something into it.
 */
#ifndef UM_LIB_QUEUES_H
#define UM_LIB_QUEUES_H

#include "lib/fastpath.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};

struct refcount___psock {
	int refs;
};

/* include/linux/skmsg.h: what the kernel keeps for a socket in such a map. */
struct sk_psock___joined {
	struct list_head ingress_msg;
	struct refcount___psock refcnt;
};

struct sock___joined {
	void *sk_user_data;
	struct sock_backlog___guard sk_backlog;
};

struct bpf_iter__sockmap {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	struct sock *sk;
};

#pragma clang attribute pop

#define UM_USER_DATA_FLAGS 7UL /* include/net/sock.h: SK_USER_DATA_* */

static __always_inline void um_queue_of(struct sock *sk, struct um_joined_end *out)
{
	struct sock___joined *reader = (void *)sk;
	struct sk_psock___joined *psock;
	struct list_head *first = 0;

	psock = (void *)((unsigned long)reader->sk_user_data & ~UM_USER_DATA_FLAGS);
	if (!psock)
		return;
	bpf_probe_read_kernel(&out->users, sizeof(out->users),
			      __builtin_preserve_access_index(&psock->refcnt));
	bpf_core_read(&first, sizeof(first), &psock->ingress_msg.next);
	if (first == __builtin_preserve_access_index(&psock->ingress_msg))
		return;
	out->queued = reader->sk_backlog.rmem_alloc.counter;
	if (!out->queued)
		out->queued = 1; /* before 6.14 the kernel does not account for it */
}

/* iter/sockmap over um_joined: one struct um_joined_end a socket. */
static __always_inline void um_write_end(struct bpf_iter__sockmap *ctx)
{
	struct um_joined_end end = {};
	struct sock *sk = ctx->sk;
	struct um_joint *joint;
	struct um_socket *s;

	if (!sk || !ctx->key || bpf_probe_read_kernel(&end.key, sizeof(end.key), ctx->key))
		return;
	joint = bpf_sk_storage_get(&um_joints, sk, 0, 0);
	if (joint) {
		end.peer = joint->peer;
		end.client = joint->client;
		end.bytes = joint->bytes;
	}
	s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	if (s) {
		end.cgroup_id = s->cgroup_id;
		end.owner = s->owner;
		end.pid = s->pid;
	}
	um_queue_of(sk, &end);
	bpf_seq_write(ctx->meta->seq, &end, sizeof(end));
}

#define UM_MSG_WAITALL 0x100

/* tp_btf/sock_recv_length (6.3): somebody has received from a socket. */
static __always_inline void um_on_received(struct sock *sk, int flags)
{
	struct um_misuse_key key = { .misuse = UM_MISUSE_WAITALL };
	struct um_socket *s;
	u64 *times, one = 1;

	if (!(flags & UM_MSG_WAITALL) || !sk || !bpf_sk_storage_get(&um_joints, sk, 0, 0))
		return;
	s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	if (!s)
		return;
	key.owner = s->owner;
	times = bpf_map_lookup_elem(&um_misuses, &key);
	if (times)
		__sync_fetch_and_add(times, 1);
	else
		bpf_map_update_elem(&um_misuses, &key, &one, BPF_NOEXIST);
}

#endif
