// SPDX-License-Identifier: GPL-2.0
/* Who is at an end: numbers for workloads and for external addresses. */
#ifndef UM_LIB_ENDS_H
#define UM_LIB_ENDS_H

#include "lib/kernel.h"
#include "lib/maps_ends.h"
#include "lib/stats.h"

static __always_inline u32 um_next_number(void)
{
	u32 zero = 0;
	u64 *next = bpf_map_lookup_elem(&um_numbers, &zero);

	return next ? (u32)__sync_fetch_and_add(next, 1) : UM_NUMBER_UNKNOWN;
}

/* File name of the task's executable; for kernel threads the task's own name. */
static __always_inline void um_exe_of(struct task_struct *task, char *exe)
{
	const unsigned char *name = BPF_CORE_READ(task, mm, exe_file, f_path.dentry, d_name.name);

	if (!name || bpf_probe_read_kernel_str(exe, UM_EXE_LEN, name) <= 1)
		bpf_probe_read_kernel_str(exe, 16, &task->comm);
}

static __always_inline u32 um_owner_number(struct um_owner_key *key, u64 netns)
{
	struct um_owner *known = bpf_map_lookup_elem(&um_owners, key);
	struct um_owner fresh = {};

	if (known)
		return known->number;
	fresh.number = um_next_number();
	fresh.first_ns = bpf_ktime_get_ns();
	fresh.netns = netns;
	if (!bpf_map_update_elem(&um_owners, key, &fresh, BPF_NOEXIST))
		return fresh.number;
	/* Another CPU was first, or the map is full. */
	known = bpf_map_lookup_elem(&um_owners, key);
	if (known)
		return known->number;
	UM_COUNT(owners_full);
	return UM_NUMBER_UNKNOWN;
}

static __always_inline bool um_is_loopback(const u8 *address)
{
	const u64 *half = (const u64 *)address;

	if (half[0] == 0 && half[1] == bpf_cpu_to_be64(1))
		return true;
	return half[0] == 0 && ((const u32 *)address)[2] == bpf_htonl(0xffff) && address[12] == 127;
}

/* Number of a peer that is not a socket of this host: an external address, or the host itself. */
static __always_inline u32 um_peer_number(const u8 *address)
{
	struct um_peer_key key = {};
	struct um_peer fresh = {};
	struct um_peer *known;

	if (um_is_loopback(address))
		return UM_NUMBER_HOST;
	__builtin_memcpy(key.address, address, UM_ADDRESS_LEN);
	known = bpf_map_lookup_elem(&um_peers, &key);
	if (known)
		return known->number;
	fresh.number = um_next_number();
	fresh.first_ns = bpf_ktime_get_ns();
	if (!bpf_map_update_elem(&um_peers, &key, &fresh, BPF_NOEXIST))
		return fresh.number;
	known = bpf_map_lookup_elem(&um_peers, &key);
	if (known)
		return known->number;
	UM_COUNT(peers_full);
	return UM_NUMBER_WORLD;
}

static __always_inline void um_map_ipv4(u8 *address, __be32 ip)
{
	u32 *word = (u32 *)address;

	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = ip;
}

#endif
