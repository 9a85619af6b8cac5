/* SPDX-License-Identifier: Apache-2.0 */
/* A model file, mapped: named tensors and metadata. GGUF v2 and v3, safetensors, and folders as Hugging Face
 * has them.
 * Every length, offset, count and type is checked when the file is opened, so what the
 * functions below return lies inside the mapping. Knows no transformer. */
#ifndef PLUMB_FILE_H
#define PLUMB_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plumb_file;

/* Bytes that live as long as the file is open; not NUL-terminated. */
struct plumb_span {
	const char *p;
	size_t n;
};

struct plumb_file_tensor {
	struct plumb_span name;
	enum plumb_type type;  /* PLUMB_TYPE_COUNT: one that plumb does not compute with */
	const char *type_name; /* "Q4_K"; also of those ("IQ3_S"); never NULL */
	int rank;
	int64_t dim[PLUMB_MAX_RANK]; /* outermost first */
	const void *data;            /* aligned as the file aligns it */
	size_t bytes;
};

/* Kinds of metadata values. Integers of every width are INT, floats of either width FLOAT. */
enum plumb_meta_kind {
	PLUMB_META_BOOL,
	PLUMB_META_INT,
	PLUMB_META_FLOAT,
	PLUMB_META_STRING,
	PLUMB_META_ARRAY
};
struct plumb_meta {
	struct plumb_span key;
	enum plumb_meta_kind kind;
	/* BOOL, INT; INT64_MAX stands for an unsigned value above it, which is in u and f */
	int64_t i;
	uint64_t u;              /* BOOL, INT that is not negative */
	double f;                /* FLOAT, and INT converted */
	struct plumb_span s;     /* STRING */
	enum plumb_meta_kind of; /* ARRAY: kind of its elements (not ARRAY) */
	uint64_t n;              /* ARRAY: elements */
	const struct plumb_meta_array *array;
};

/* Open and check. The format is recognised by content. A GGUF model in several files (split.count) is opened
 * as a whole from any of them; they are found by their names. A folder with a config.json, or that file or
 * its model.safetensors.index.json, opens as one file with GGUF's keys and tensor names: what plumb knows of
 * config.json, generation_config.json, tokenizer_config.json and chat_template.jinja under the key that a
 * GGUF file has it, tokenizer.json as the text tokenizer.huggingface.json, other keys of config.json as
 * config.json.KEY, tensors that have no such name under their own. Where the file system cannot map files,
 * the file is read into memory instead. PLUMB_E_IO: cannot open or read, neither a regular file nor such a
 * folder; PLUMB_E_FORMAT: broken, with the byte offset and what was expected, or parts that do not belong
 * together; PLUMB_E_UNSUPPORTED: a version or tensor type whose layout plumb does not know. *file is NULL on
 * failure.
 */
PLUMB_API enum plumb_status plumb_file_open(struct plumb_file **file, const char *path);
/* The same on bytes in memory, which must outlive the file and begin at a multiple of 8
 * (PLUMB_E_ARGUMENT otherwise). For fuzzing and embedding. */
PLUMB_API enum plumb_status plumb_file_from_memory(struct plumb_file **file, const void *bytes, size_t size);
/* Unmap the file; every pointer into it becomes invalid. NULL is harmless. */
PLUMB_API void plumb_file_close(struct plumb_file *file);

/* What the file is: "GGUF v3", "safetensors", "safetensors folder" */
PLUMB_API const char *plumb_file_format(const struct plumb_file *file);
PLUMB_API uint64_t plumb_file_size(const struct plumb_file *file); /* bytes, of all parts */
PLUMB_API int64_t plumb_file_shards(
	const struct plumb_file *file); /* how many parts; 1 of a file that is whole */

/* The number of tensors. */
PLUMB_API int64_t plumb_file_tensors(const struct plumb_file *file);
/* Tensor `index` in file order; NULL past the end. It is valid as long as the file. */
PLUMB_API const struct plumb_file_tensor *plumb_file_tensor(const struct plumb_file *file, int64_t index);
/* The tensor of this name, found by a hash table; NULL: there is none. */
PLUMB_API const struct plumb_file_tensor *plumb_file_find(const struct plumb_file *file, const char *name);

/* Metadata values: their number, value `index` in file order (NULL past the end), and the value of a key
 * (NULL: there is none). They are valid as long as the file. */
PLUMB_API int64_t plumb_file_metas(const struct plumb_file *file);
PLUMB_API const struct plumb_meta *plumb_file_meta(const struct plumb_file *file, int64_t index);
PLUMB_API const struct plumb_meta *plumb_file_meta_find(const struct plumb_file *file, const char *key);
/* Element `index` of an array value, in constant time; index must be below meta->n, and the function that of
 * the array's kind. */
PLUMB_API struct plumb_span plumb_meta_string_at(const struct plumb_meta *meta, uint64_t index);
PLUMB_API int64_t plumb_meta_int_at(const struct plumb_meta *meta, uint64_t index); /* as i */
/* as u; 0 of a negative one */
PLUMB_API uint64_t plumb_meta_uint_at(const struct plumb_meta *meta, uint64_t index);
PLUMB_API double plumb_meta_float_at(const struct plumb_meta *meta, uint64_t index);

#ifdef __cplusplus
}
#endif
#endif
