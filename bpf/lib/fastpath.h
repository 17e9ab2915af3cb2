// SPDX-License-Identifier: GPL-2.0
/*
 * From socket to socket: a message of a joined connection is put into the reader's queue, past TCP, where
 * its reader cannot tell the difference. The guards below are what makes that so; whatever does not
 * pass them goes by TCP. SK_DROP is never returned: send() would answer EACCES.
 */
#ifndef UM_LIB_FASTPATH_H
#define UM_LIB_FASTPATH_H

#include "lib/joining.h"
#include "lib/message.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct atomic___guard {
	int counter;
};

struct sock_backlog___guard {
	struct atomic___guard rmem_alloc;
};

struct sock___guard {
	struct sock_common __sk_common;
	struct sock_backlog___guard sk_backlog;
	int sk_rcvbuf;
	int sk_rcvlowat;
};

struct inet_sock___guard {
	struct sock___guard sk;
};

struct inet_connection_sock___guard {
	struct inet_sock___guard icsk_inet;
};

struct tcp_sock___guard {
	struct inet_connection_sock___guard inet_conn;
	u32 copied_seq;
	u32 write_seq;
};

struct sk_msg___guard {
	struct sock *sk_redir;
};

/* include/net/sock.h */
enum sock_flags___guard {
	SOCK_ZEROCOPY___guard = 26,
};

#pragma clang attribute pop

/* linux/bpf.h knows the context as sk_msg_md; this is the kernel's own view of it (6.2). */
extern void *bpf_cast_to_kern_ctx(void *) __ksym;

/* Whether the reader could take this message by the fast path and notice nothing. */
static __always_inline bool um_may_pass_by(const struct tcp_sock___guard *mine, u64 peer_sock)
{
	const struct tcp_sock___guard *peer = (void *)peer_sock;
	const struct sock___guard *reader = &peer->inet_conn.icsk_inet.sk;
	u32 copied = 0;
	int queued = 0, room = 0, low = 0;

	bpf_core_read(&copied, sizeof(copied), &peer->copied_seq);
	if (copied != mine->write_seq) {
		/* Bytes are on TCP's path: this one would overtake them. */
		UM_FAST_COUNT(behind);
		return false;
	}
	bpf_core_read(&queued, sizeof(queued), &reader->sk_backlog.rmem_alloc.counter);
	bpf_core_read(&room, sizeof(room), &reader->sk_rcvbuf);
	if (queued >= room) {
		UM_FAST_COUNT(full); /* TCP makes the sender wait */
		return false;
	}
	bpf_core_read(&low, sizeof(low), &reader->sk_rcvlowat);
	if (low > 1 ||
	    mine->inet_conn.icsk_inet.sk.__sk_common.skc_flags &
		    1UL << bpf_core_enum_value(enum sock_flags___guard, SOCK_ZEROCOPY___guard)) {
		UM_FAST_COUNT(unfit);
		return false;
	}
	return true;
}

/* The end of the connection that is measured: what it sends and receives is kept with it. */
static __always_inline struct um_socket *um_measured(struct sk_msg_md *msg, struct bpf_sock *sk,
						     const struct um_joint *joint)
{
	struct sk_msg___guard *kernel;

	if (joint->client)
		return bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	kernel = bpf_cast_to_kern_ctx(msg);
	return bpf_sk_storage_get(&um_sockets, kernel->sk_redir, 0, 0);
}

/* TLS hellos go by TCP: the tap reads the names in them. */
static __always_inline bool um_is_tls_hello(const struct sk_msg_md *msg,
					    const struct um_joint *joint)
{
	const u8 *data = (void *)(long)msg->data, *end = (void *)(long)msg->data_end;

	return !joint->bytes && data + 2 <= end && data[0] == 0x16 && data[1] == 3;
}

/* Whether the other end is there, and is where `joint` says. */
static __always_inline bool um_is_met(struct sk_msg_md *msg, struct bpf_sock *sk,
				      struct um_joint *joint)
{
	struct um_socket *s;

	if (joint->peer_sock)
		return true;
	if (!joint->client)
		return false;
	s = bpf_sk_storage_get(&um_sockets, sk, 0, 0);
	return s && um_meet_server(s, bpf_get_netns_cookie(msg), joint);
}

/* What was handed over is not in the kernel's own counters of the connection. */
static __always_inline void um_count_message(struct um_socket *s, u32 size, bool sent)
{
	if (sent) {
		s->direct.sent_bytes += size;
		s->direct.sent_messages++;
	} else {
		s->direct.received_bytes += size;
		s->direct.received_messages++;
	}
}

/* Somebody sends on a joined socket. Its lock is held: one message at a time. */
static __always_inline void um_on_message(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct tcp_sock *mine;
	struct um_joint *joint;
	struct um_socket *s;

	if (!sk || um_fastpath_is_off())
		return;
	joint = bpf_sk_storage_get(&um_joints, sk, 0, 0);
	mine = bpf_skc_to_tcp_sock(sk);
	if (!joint || !mine)
		return;
	if (!um_is_met(msg, sk, joint)) {
		UM_FAST_COUNT(unmet);
		return;
	}
	if (um_is_tls_hello(msg, joint)) {
		UM_FAST_COUNT(to_tap);
		return;
	}
	if (!um_may_pass_by((void *)mine, joint->peer_sock))
		return;
	if (bpf_msg_redirect_hash(msg, &um_joined, &joint->peer, BPF_F_INGRESS) != SK_PASS) {
		UM_FAST_COUNT(unmet);
		return;
	}
	UM_FAST_COUNT(redirected);
	joint->bytes += msg->size;
	joint->messages++;
	s = um_measured(msg, sk, joint);
	if (!s)
		return;
	um_count_message(s, msg->size, joint->client);
	um_judge_message(msg, s, joint->client);
}

#endif
