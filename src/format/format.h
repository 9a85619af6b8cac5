/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of model files share: the table row of a format, the open file, a cursor
 * that cannot leave its bytes, and the check of names. Knows no tensor's meaning. */
#ifndef PLUMB_FORMAT_H
#define PLUMB_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/file.h>

/* One format. `open` fills tensors, metas and format_name of a file whose bytes are set; what
 * it leaves in the file, after a failure too, plumb_file_close frees. */
struct plumb_format {
	const char *name;
	bool (*probe)(const unsigned char *bytes, size_t size);
	enum plumb_status (*open)(struct plumb_file *file);
};
extern const struct plumb_format plumb_format_gguf;
extern const struct plumb_format plumb_format_safetensors;

/* Open addressing over an array of structs that begin with their name; 0 marks a free slot. */
struct plumb_names {
	uint32_t *slot; /* index + 1 */
	size_t mask;    /* slots - 1; a power of two */
	uint64_t seed;  /* core/hash.h */
};

/* Scalars stay in the mapping and are decoded when asked for. Strings are spans, not lengths to
 * be read again: a file that changes on disk must not move a bound that was checked. */
struct plumb_meta_array {
	const unsigned char *p;
	int width; /* bytes of a scalar */
	bool is_signed;
	struct plumb_span string[];
};

/* The bytes of a file. anonymous: they were read, and their pages must not be given up. */
struct plumb_map {
	unsigned char *base;
	size_t size;
	bool anonymous;
};

struct plumb_kept;
struct plumb_file {
	const char *format_name;
	const unsigned char *base;
	size_t size;
	bool mapped;    /* base is a mapping of ours ... */
	bool anonymous; /* ... of memory that the file was read into */
	struct plumb_file_tensor *tensor;
	int64_t tensors;
	struct plumb_meta *meta; /* each `array` is one allocation of the file's */
	int64_t metas;
	struct plumb_names tensor_names, meta_names;
	char *text;                /* names that are not in the mapping as they are (JSON escapes); NULL: none */
	struct plumb_kept *kept;   /* what plumb_file_keep gave */
	struct plumb_file **shard; /* the other parts of a split model, whose tensors are in `tensor`, too */
	int64_t shards;
	struct plumb_map tokenizer; /* of a model folder, which metadata point into; base NULL: none */
};

/* --- cursor: every read names what it reads; E_FORMAT has offset, need and what is left --- */
struct plumb_cursor {
	const unsigned char *base;
	size_t size, at;
};
static inline size_t plumb_cursor_left(const struct plumb_cursor *c) { return c->size - c->at; }
enum plumb_status plumb_cursor_bytes(
	struct plumb_cursor *c, uint64_t n, const unsigned char **p, const char *what);
enum plumb_status plumb_cursor_u32(struct plumb_cursor *c, uint32_t *value, const char *what);
enum plumb_status plumb_cursor_u64(struct plumb_cursor *c, uint64_t *value, const char *what);
/* A count of items of at least `least` bytes each: more than fit into what is left is E_FORMAT,
 * so whoever allocates by a count stays within a small multiple of the file's size. */
enum plumb_status plumb_cursor_count(struct plumb_cursor *c, uint64_t *count, size_t least, const char *what);

/* --- little-endian scalars; width 1, 2, 4 or 8 (floats 4 or 8) --- */
uint64_t plumb_load_uint(const unsigned char *p, int width);
int64_t plumb_load_int(
	const unsigned char *p, int width, bool is_signed); /* INT64_MAX for an unsigned one above it */
double plumb_load_float(const unsigned char *p, int width);

/* Ends the text about a file that is shorter than it says. */
#define PLUMB_TRUNCATED ": the file is incomplete; fetch it again"
/* The same where `more` bytes would have been enough; a size that no file has is no sign of truncation. */
static inline const char *plumb_lacks(uint64_t more)
{
	return more < UINT64_C(1) << 43 ? PLUMB_TRUNCATED : ": the file is damaged";
}

/* Printable start of a name from a file, for error texts; returns text. */
#define PLUMB_QUOTE 72
const char *plumb_quote(struct plumb_span s, char text[PLUMB_QUOTE]);

/* The bytes of a tensor whose rank, dim and type_name are set (name is for the text), of blocks of so many
 * elements and bytes. E_FORMAT: dimension below 1, overflow, or a row that is not whole blocks. */
enum plumb_status plumb_file_tensor_blocks(struct plumb_file_tensor *t, int64_t elements, size_t bytes);

/* A copy of the bytes that lives as long as the file, with a 0 behind it; p NULL: bytes to be filled. NULL:
 * no memory. */
char *plumb_file_keep(struct plumb_file *file, const char *p, size_t n);

/* These bytes of the mapping need not stay in memory; whoever reads them again gets them from the file. */
void plumb_file_release(const struct plumb_file *file, const void *data, size_t bytes);

/* --- map.c --- */
/* A regular file whole; munmap gives it back. PLUMB_E_IO, PLUMB_E_MEMORY; PLUMB_E_FORMAT: it is empty. */
enum plumb_status plumb_map_file(const char *path, struct plumb_map *map);

/* --- shards.c --- */
/* Which part of how many a file says it is; 0 of 1 of a whole one. */
enum plumb_status plumb_shards_of(const struct plumb_file *file, int64_t *no, int64_t *count);
/* A file as it is, be it a part. */
typedef enum plumb_status (*plumb_open_fn)(struct plumb_file **file, const char *path);
/* Open the other parts of a split model beside path; *file becomes the first. What is wrong names the part;
 * *file then is still the caller's to close. */
enum plumb_status plumb_shards_join(struct plumb_file **file, const char *path, plumb_open_fn open);

/* The tensors of all parts in the first, whose names are indexed anew; two of one name are E_FORMAT. */
enum plumb_status plumb_shards_merge(struct plumb_file *root);

/* --- folder.c --- */
/* Does a path mean a folder: itself, or that of the config.json or index that it is? *folder is malloc'ed;
 * NULL: no memory. */
bool plumb_folder_of(const char *path, char **folder);
enum plumb_status plumb_folder_open(struct plumb_file **file, const char *path, plumb_open_fn open);

/* After all tensors and metas are filled in: index the names (a duplicate is E_FORMAT) ... */
enum plumb_status plumb_file_index_metas(struct plumb_file *file);
enum plumb_status plumb_file_index_tensors(struct plumb_file *file);
/* ... and make sure that no two tensors share a byte. *total: bytes of all tensors. */
enum plumb_status plumb_file_check_overlap(const struct plumb_file *file, size_t *total);

#endif
