# SPDX-License-Identifier: Apache-2.0
"""What is called in libbpf.so.1 and libc, in C, for cffi.

Functions are those of libbpf 1.0 and later (<bpf/bpf.h>, <bpf/libbpf.h>, <bpf/btf.h>). Structs are
the kernel's and libbpf's own interfaces: both take the size the caller knows and ignore or zero the
rest, so a shorter struct than the newest is right on every kernel.
"""

LIBBPF = """
typedef uint8_t __u8; typedef uint32_t __u32; typedef int32_t __s32; typedef uint64_t __u64;
struct bpf_object; struct bpf_program; struct bpf_map; struct btf; struct ring_buffer;

int libbpf_set_print(void *callback);
const char *libbpf_version_string(void);
int libbpf_num_possible_cpus(void);
int libbpf_probe_bpf_prog_type(int type, const void *opts);
int libbpf_probe_bpf_map_type(int type, const void *opts);

struct bpf_object_open_opts {
  size_t sz; const char *object_name; bool relaxed_maps; const char *pin_root_path; __u32 pad;
  const char *kconfig; const char *btf_custom_path; char *kernel_log_buf; size_t kernel_log_size;
  __u32 kernel_log_level; __u32 pad2;
};
struct bpf_object *bpf_object__open_mem(const void *buf, size_t sz,
                                        const struct bpf_object_open_opts *opts);
int bpf_object__load(struct bpf_object *obj);
void bpf_object__close(struct bpf_object *obj);
struct btf *bpf_object__btf(const struct bpf_object *obj);
struct bpf_map *bpf_object__next_map(const struct bpf_object *obj, const struct bpf_map *map);
struct bpf_program *bpf_object__next_program(const struct bpf_object *obj, struct bpf_program *p);

const char *bpf_map__name(const struct bpf_map *map);
int bpf_map__fd(const struct bpf_map *map);
int bpf_map__type(const struct bpf_map *map);
__u32 bpf_map__key_size(const struct bpf_map *map);
__u32 bpf_map__value_size(const struct bpf_map *map);
__u32 bpf_map__max_entries(const struct bpf_map *map);
__u32 bpf_map__map_flags(const struct bpf_map *map);
bool bpf_map__is_internal(const struct bpf_map *map);
__u32 bpf_map__btf_key_type_id(const struct bpf_map *map);
__u32 bpf_map__btf_value_type_id(const struct bpf_map *map);
int bpf_map__set_max_entries(struct bpf_map *map, __u32 max_entries);
void *bpf_map__initial_value(struct bpf_map *map, size_t *size);
int bpf_map__reuse_fd(struct bpf_map *map, int fd);

const char *bpf_program__name(const struct bpf_program *prog);
const char *bpf_program__section_name(const struct bpf_program *prog);
int bpf_program__fd(const struct bpf_program *prog);
int bpf_program__type(const struct bpf_program *prog);
int bpf_program__expected_attach_type(const struct bpf_program *prog);
bool bpf_program__autoload(const struct bpf_program *prog);
int bpf_program__set_autoload(struct bpf_program *prog, bool autoload);
int bpf_program__set_log_buf(struct bpf_program *prog, char *buf, size_t size);

struct btf_type { __u32 name_off; __u32 info; __u32 size_or_type; };
struct btf *btf__load_vmlinux_btf(void);
void btf__free(struct btf *btf);
const void *btf__raw_data(const struct btf *btf, __u32 *size);
__s32 btf__find_by_name_kind(const struct btf *btf, const char *name, __u32 kind);
const struct btf_type *btf__type_by_id(const struct btf *btf, __u32 id);
const char *btf__name_by_offset(const struct btf *btf, __u32 offset);

struct bpf_map_create_opts {
  size_t sz; __u32 btf_fd; __u32 btf_key_type_id; __u32 btf_value_type_id;
  __u32 btf_vmlinux_value_type_id; __u32 inner_map_fd; __u32 map_flags; __u64 map_extra;
  __u32 numa_node; __u32 map_ifindex;
};
int bpf_map_create(int type, const char *name, __u32 key_size, __u32 value_size, __u32 max_entries,
                   const struct bpf_map_create_opts *opts);
int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);
int bpf_map_lookup_elem(int fd, const void *key, void *value);
int bpf_map_delete_elem(int fd, const void *key);
int bpf_map_get_next_key(int fd, const void *key, void *next);
struct bpf_map_batch_opts { size_t sz; __u64 elem_flags; __u64 flags; };
int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
                         const struct bpf_map_batch_opts *opts);
int bpf_map_update_batch(int fd, const void *keys, const void *values, __u32 *count,
                         const struct bpf_map_batch_opts *opts);
int bpf_map_delete_batch(int fd, const void *keys, __u32 *count,
                         const struct bpf_map_batch_opts *opts);

struct bpf_prog_load_opts {
  size_t sz; int attempts; int expected_attach_type; __u32 prog_btf_fd; __u32 prog_flags;
  __u32 prog_ifindex; __u32 kern_version; __u32 attach_btf_id; __u32 attach_prog_fd;
  __u32 attach_btf_obj_fd; const int *fd_array;
  const void *func_info; __u32 func_info_cnt; __u32 func_info_rec_size;
  const void *line_info; __u32 line_info_cnt; __u32 line_info_rec_size;
  __u32 log_level; __u32 log_size; char *log_buf;
};
int bpf_prog_load(int type, const char *name, const char *license, const void *insns, size_t count,
                  const struct bpf_prog_load_opts *opts);
struct bpf_btf_load_opts { size_t sz; char *log_buf; __u32 log_level; __u32 log_size; };
int bpf_btf_load(const void *data, size_t size, const struct bpf_btf_load_opts *opts);

struct bpf_test_run_opts {
  size_t sz; const void *data_in; void *data_out; __u32 data_size_in; __u32 data_size_out;
  const void *ctx_in; void *ctx_out; __u32 ctx_size_in; __u32 ctx_size_out;
  __u32 retval; int repeat; __u32 duration; __u32 flags; __u32 cpu; __u32 batch_size;
};
int bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *opts);

struct bpf_iter_map_target { __u32 map_fd; };
struct bpf_link_create_opts {
  size_t sz; __u32 flags; struct bpf_iter_map_target *iter_info; __u32 iter_info_len;
  __u32 target_btf_id; __u64 pad[6];
};
int bpf_link_create(int prog_fd, int target_fd, int type, const struct bpf_link_create_opts *opts);
struct bpf_link_update_opts { size_t sz; __u32 flags; __u32 old_prog_fd; };
int bpf_link_update(int link_fd, int prog_fd, const struct bpf_link_update_opts *opts);
int bpf_link_detach(int link_fd);
int bpf_iter_create(int link_fd);
int bpf_raw_tracepoint_open(const char *name, int prog_fd);
int bpf_obj_pin(int fd, const char *path);
int bpf_obj_get(const char *path);
int bpf_enable_stats(int type);
int bpf_prog_get_next_id(__u32 start, __u32 *next);
int bpf_link_get_next_id(__u32 start, __u32 *next);
int bpf_prog_get_fd_by_id(__u32 id);
int bpf_map_get_fd_by_id(__u32 id);
int bpf_link_get_fd_by_id(__u32 id);
int bpf_btf_get_fd_by_id(__u32 id);
int bpf_prog_query(int target_fd, int type, __u32 query_flags, __u32 *attach_flags,
                   __u32 *prog_ids, __u32 *count);
int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *len);

struct bpf_prog_info {
  __u32 type; __u32 id; __u8 tag[8]; __u32 jited_prog_len; __u32 xlated_prog_len;
  __u64 jited_prog_insns; __u64 xlated_prog_insns; __u64 load_time; __u32 created_by_uid;
  __u32 nr_map_ids; __u64 map_ids; char name[16]; __u32 ifindex; __u32 gpl_compatible;
  __u64 netns_dev; __u64 netns_ino; __u32 nr_jited_ksyms; __u32 nr_jited_func_lens;
  __u64 jited_ksyms; __u64 jited_func_lens; __u32 btf_id; __u32 func_info_rec_size;
  __u64 func_info; __u32 nr_func_info; __u32 nr_line_info; __u64 line_info;
  __u64 jited_line_info; __u32 nr_jited_line_info; __u32 line_info_rec_size;
  __u32 jited_line_info_rec_size; __u32 nr_prog_tags; __u64 prog_tags;
  __u64 run_time_ns; __u64 run_cnt; __u64 recursion_misses; __u32 verified_insns;
  __u32 attach_btf_obj_id; __u32 attach_btf_id; __u32 pad;
};
struct bpf_map_info {
  __u32 type; __u32 id; __u32 key_size; __u32 value_size; __u32 max_entries; __u32 map_flags;
  char name[16]; __u32 ifindex; __u32 btf_vmlinux_value_type_id; __u64 netns_dev; __u64 netns_ino;
  __u32 btf_id; __u32 btf_key_type_id; __u32 btf_value_type_id; __u32 pad; __u64 map_extra;
};
struct bpf_btf_info {
  __u64 btf; __u32 btf_size; __u32 id; __u64 name; __u32 name_len; __u32 kernel_btf;
};
struct bpf_link_info {
  __u32 type; __u32 id; __u32 prog_id; __u32 pad;
  union {
    struct { __u64 cgroup_id; __u32 attach_type; } cgroup;
    struct { __u64 tp_name; __u32 tp_name_len; } raw_tracepoint;
    struct { __u32 attach_type; __u32 target_obj_id; __u32 target_btf_id; } tracing;
    struct { __u64 target_name; __u32 target_name_len; __u32 map_id; } iter;
    struct { __u32 ifindex; __u32 attach_type; } device;
    struct { __u32 netns_ino; __u32 attach_type; } netns;
    __u64 room[12];
  };
};

typedef int (*ring_buffer_sample_fn)(void *ctx, void *data, size_t size);
struct ring_buffer *ring_buffer__new(int fd, ring_buffer_sample_fn cb, void *ctx, const void *opts);
int ring_buffer__consume(struct ring_buffer *rb);
void ring_buffer__free(struct ring_buffer *rb);
"""

LIBC = """
int vsnprintf(char *buf, size_t size, const char *format, void *args);
int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *data);
long syscall(long number, ...);
int malloc_trim(size_t pad);
int setns(int fd, int nstype);
"""
