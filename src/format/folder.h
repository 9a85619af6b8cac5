/* SPDX-License-Identifier: Apache-2.0 */
/* A model folder as Hugging Face has them, on its way to a file whose names and keys are GGUF's. What of it
 * means what is in tables: folder_config.c (keys of config.json), folder_names.c (tensors). */
#ifndef PLUMB_FOLDER_H
#define PLUMB_FOLDER_H

#include "core/json.h"
#include "format/format.h"

/* By Transformers' name, model_type. What a config.json may leave out is as Transformers' class has it. */
enum plumb_folder_type {
	PLUMB_FOLDER_QWEN2,
	PLUMB_FOLDER_QWEN3,
	PLUMB_FOLDER_LLAMA,
	PLUMB_FOLDER_MISTRAL,
	PLUMB_FOLDER_SMOLLM3,
	PLUMB_FOLDER_GRANITE,
	PLUMB_FOLDER_GEMMA3,
	PLUMB_FOLDER_PHI3,
	PLUMB_FOLDER_OLMO2,
	PLUMB_FOLDER_TYPES
};
struct plumb_folder_family {
	const char *type, *architecture; /* model_type and GGUF's general.architecture */
	const char *class[2];            /* Transformers' classes that compute logits with it */
	int64_t kv_heads, head_dim;      /* 0: as many as heads; hidden / heads */
	int64_t context;
	double eps, base;
	bool tied;
	bool post_norms; /* what post_attention_layernorm norms comes out of attention */
};
extern const struct plumb_folder_family plumb_folder_families[PLUMB_FOLDER_TYPES];

struct plumb_folder {
	const char *path;
	struct plumb_file *file;                  /* gets the metadata; NULL: there is none yet */
	json_t *whole;                            /* config.json ... */
	json_t *config;                           /* ... and what of it describes the text model; borrowed */
	const struct plumb_folder_family *family; /* NULL: one that no table knows */
	enum plumb_folder_type type;              /* its index, where there is one */
	char architecture[64];
	int64_t layers, hidden, heads, head_dim, context;
	struct plumb_meta *meta;
	int64_t metas, room;
	enum plumb_status status; /* the first thing that went wrong in what adds metadata */
};

/* --- folder_json.c: values of a JSON file, checked; an error names the file and the key --- */
/* Whether the folder has a file of this name, be it a link that leads nowhere. */
bool plumb_folder_has(const struct plumb_folder *f, const char *name);
/* "FOLDER/NAME", malloc'ed; NULL: no memory. */
char *plumb_folder_join(const char *folder, const char *name);
/* An object from a file of at most `most` bytes; *root is the caller's. flags: of jansson. */
enum plumb_status plumb_folder_read(
	const struct plumb_folder *f, const char *name, size_t most, size_t flags, json_t **root);
/* The value of a key; NULL: absent or null, which Transformers takes for the same. */
const json_t *plumb_folder_value(const json_t *object, const char *key);
/* A key of config.json. Absent or null: the fallback; no fallback (below 0, NAN): it must be there. */
enum plumb_status plumb_folder_whole(
	const json_t *object, const char *key, int64_t low, int64_t high, int64_t fallback, int64_t *value);
enum plumb_status plumb_folder_number(
	const json_t *object, const char *key, double low, double high, double fallback, double *value);
enum plumb_status plumb_folder_flag(const json_t *object, const char *key, bool fallback, bool *value);
enum plumb_status plumb_folder_string(
	const json_t *object, const char *key, const char *fallback, const char **value);

/* --- folder_meta.c: metadata one by one; a key that begins with a dot is the architecture's. What fails is
 * in f->status, and nothing is added from then on. --- */
void plumb_folder_add_flag(struct plumb_folder *f, const char *key, bool value);
void plumb_folder_add_whole(struct plumb_folder *f, const char *key, int64_t value);
void plumb_folder_add_number(struct plumb_folder *f, const char *key, double value);
void plumb_folder_add_text(struct plumb_folder *f, const char *key, const char *text);
/* The bytes stay the caller's and must live as long as the file. */
void plumb_folder_add_span(struct plumb_folder *f, const char *key, struct plumb_span span);
void plumb_folder_add_flags(struct plumb_folder *f, const char *key, const unsigned char *value, int64_t n);
void plumb_folder_add_wholes(struct plumb_folder *f, const char *key, const int64_t *value, int64_t n);
void plumb_folder_add_numbers(struct plumb_folder *f, const char *key, const double *value, int64_t n);
/* What no table knows, as prefix.key; lists and objects as their text. */
void plumb_folder_add_unknown(
	struct plumb_folder *f, const char *prefix, const char *key, const json_t *value);

/* --- the parts --- */
/* folder_config.c: all of config.json. */
enum plumb_status plumb_folder_config(struct plumb_folder *f);
/* folder_layers.c: what differs from layer to layer. */
enum plumb_status plumb_folder_layers(struct plumb_folder *f);
/* folder_rope.c */
enum plumb_status plumb_folder_rope(struct plumb_folder *f);
/* folder_text.c: tokenizer, its settings, chat template and end tokens. */
enum plumb_status plumb_folder_text(struct plumb_folder *f);
/* folder_names.c: GGUF's names for all tensors that have one there; then the table of names is made anew. */
enum plumb_status plumb_folder_names(struct plumb_folder *f);
/* folder_check.c: do config.json and the tensors agree? A tied output matrix that is there is left out. */
enum plumb_status plumb_folder_check(struct plumb_folder *f);

#endif
