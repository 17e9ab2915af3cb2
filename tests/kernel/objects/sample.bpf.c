// SPDX-License-Identifier: GPL-2.0
/* One of everything the loader handles; nothing of undermesh itself. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

enum colour { RED = 1, GREEN = 2 };

struct inner {
	__u16 small;
	__s16 negative;
	__u32 pad;
};

struct key {
	__u32 id;
	char name[12];
};

struct value {
	__u64 hits;
	__u32 slots[3];
	__u32 colour;
	struct inner inners[2];
};

struct record {
	__u64 sequence;
	__u32 cpu;
	__u8 tail[5];
	__u8 pad[3];
};

struct settings {
	__u64 threshold;
	__u32 limits[4];
	__u8 on;
	__u8 pad[7];
};

struct order {
	__u32 count; /* records to write */
	__u32 odd;   /* every odd-th record has another size; 0: none */
	__u32 discard;
	__u32 written;
};

const volatile struct settings settings = { .threshold = 7 };
const volatile __u32 plain = 1;

enum colour unused_colour __attribute__((unused));
struct record unused_record __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key);
	__type(value, struct value);
} entries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 8);
	__uint(value_size, 4);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct value);
} sockets SEC(".maps");

static __always_inline void count(__u32 slot)
{
	__u64 *n = bpf_map_lookup_elem(&numbers, &slot);

	if (n)
		__sync_fetch_and_add(n, 1);
}

SEC("cgroup_skb/egress")
int out(struct __sk_buff *skb)
{
	count(0);
	if (skb->sk)
		bpf_sk_storage_get(&sockets, skb->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	return 1;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec)
{
	count(1);
	return 0;
}

struct bpf_map;
struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
} __attribute__((preserve_access_index));

SEC("iter/bpf_map_elem")
int list(struct bpf_iter__bpf_map_elem *ctx)
{
	struct value *value = ctx->value;
	struct key *key = ctx->key;
	struct record record = {};

	if (!key || !value)
		return 0;
	record.sequence = value->hits;
	record.cpu = key->id;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* Writes records as told; test-run is its only caller. */
SEC("syscall")
int emit(struct order *order)
{
	struct record *record;
	__u64 *small;
	__u32 i;

	for (i = 0; i < 200; i++) {
		if (i >= order->count)
			break;
		if (order->odd && i % 16 == order->odd) {
			small = bpf_ringbuf_reserve(&ring, sizeof(*small), 0);
			if (small) {
				*small = i;
				bpf_ringbuf_submit(small, BPF_RB_NO_WAKEUP);
			}
			continue;
		}
		record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
		if (!record)
			break;
		record->sequence = i;
		record->cpu = bpf_get_smp_processor_id();
		__builtin_memset(record->tail, 1, sizeof(record->tail));
		__builtin_memset(record->pad, 0, sizeof(record->pad));
		if (order->discard && i % 16 == order->discard) {
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
			continue;
		}
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
		order->written++;
	}
	return 0;
}

/* Returns what it was configured with. */
SEC("cgroup_skb/ingress")
int told(struct __sk_buff *skb)
{
	return settings.threshold == 42 && settings.limits[2] == 5 && plain == 9;
}
