/* SPDX-License-Identifier: Apache-2.0 */
/* A model family as data: what each metadata key and each tensor of its files means. Binding, checking and
 * listing read these tables; a key that the configuration reads and no table names is a bug (config.c). */
#ifndef PLUMB_FAMILY_H
#define PLUMB_FAMILY_H

#include <stddef.h>
#include "model/anatomy.h"

/* The values of a key that change nothing. Any other value is used as the key's row says. */
enum plumb_neutral { PLUMB_NEUTRAL_NONE, PLUMB_NEUTRAL_0, PLUMB_NEUTRAL_1, PLUMB_NEUTRAL_0_OR_1 };

/* The rows of a table are tried in order; a name may be a shell pattern. */
struct plumb_key_row {
	const char *name; /* of a family's key without the family and its dot */
	enum plumb_use use;
	const char *why;
	enum plumb_neutral neutral;
	/* Where a value alone does not tell, this does; *why holds the row's and may be changed. */
	enum plumb_use (*judge)(const struct plumb_file *file, const struct plumb_meta *m, const char **why);
};

/* Sizes: E hidden, F ffn, Q heads * head_dim, K kv_heads * head_dim, C heads * value_dim, W kv_heads *
 * value_dim, V vocab. */
enum plumb_weight_size {
	PLUMB_SIZE_NONE,
	PLUMB_SIZE_E,
	PLUMB_SIZE_F,
	PLUMB_SIZE_Q,
	PLUMB_SIZE_K,
	PLUMB_SIZE_C,
	PLUMB_SIZE_W,
	PLUMB_SIZE_V
};
/* EXACT: attention scores reach 1,458 (doc/numerics.md), and softmax makes of their absolute error a relative
 * one: queries and keys keep float32's accuracy. A BIAS may be absent from all layers. */
enum plumb_weight_kind { PLUMB_WEIGHT_PLAIN, PLUMB_WEIGHT_EXACT, PLUMB_WEIGHT_BIAS };

/* A tensor that is computed with: {rows, columns}, columns NONE: a vector. The name of a layer's is the part
 * after the layer's own. */
struct plumb_weight_row {
	const char *name;
	size_t member; /* offset in struct plumb_layer or struct plumb_weights */
	enum plumb_weight_size rows, columns;
	enum plumb_weight_kind kind;
	unsigned bias; /* of a BIAS: its bit (enum plumb_bias) */
	enum plumb_role role;
	const char *hf; /* its name in files as Hugging Face has them; NULL: not asked for */
};

/* A tensor that is not: the part of its name after the layer's, or the whole one outside a layer; may be a
 * shell pattern. */
struct plumb_left_row {
	const char *name;
	enum plumb_use use;
	const char *why;
};

struct plumb_segment;
struct plumb_family {
	const char *name;  /* general.architecture, and the prefix of the keys */
	const char *split; /* the pattern that its tokenizers split text by, where a file does not name one */
	enum plumb_rope_pairs pairs;
	const struct plumb_key_row *keys;
	const struct plumb_weight_row *layer, *top;
	const struct plumb_left_row *left;
	int key_count, layer_count, top_count, left_count;
	unsigned points; /* bits 1 << enum plumb_point: the capture points that a tap is called at; `made` has a
						row for each */
	const struct plumb_made *made; /* by point */
	/* One pass over the weights for all rows of the parts; see model.h. */
	enum plumb_status (*forward)(const struct plumb_segment *segment, int segments, int64_t rows);
};
extern const struct plumb_family plumb_family_qwen2;

/* Keys outside the families' namespaces: general.*, tokenizer.* and others. */
extern const struct plumb_key_row plumb_family_common[];
extern const int plumb_family_common_count;

/* The family of a file; NULL with the reason in *status's text: PLUMB_E_FORMAT or PLUMB_E_UNSUPPORTED. */
const struct plumb_family *plumb_family_of(const struct plumb_file *file, enum plumb_status *status);
/* "family.name"; NULL: absent. full receives the whole name. */
#define PLUMB_KEY 128
const struct plumb_meta *plumb_family_key(
	const struct plumb_family *family, const struct plumb_file *file, const char *name, char full[PLUMB_KEY]);
/* A whole number of the family's, for judging: the key's, that of an array of equal ones, or `fallback` where
 * there is none. */
int64_t plumb_family_whole(
	const struct plumb_family *family, const struct plumb_file *file, const char *name, int64_t fallback);
/* Is the number, or each of an array, one of the neutral ones? */
bool plumb_family_is_neutral(const struct plumb_meta *m, enum plumb_neutral neutral);
bool plumb_family_text_is(const struct plumb_meta *m, const char *text);
/* The tensor with this role, by the name that the family's files have it under or else by Hugging Face's;
 * NULL: there is none. */
const struct plumb_file_tensor *plumb_family_tensor(
	const struct plumb_family *family, const struct plumb_file *file, enum plumb_role role, int64_t layer);
/* Does the family compute all that a model file tells? PLUMB_E_UNSUPPORTED: a key or tensor, with the reason.
 */
enum plumb_status plumb_family_check(const struct plumb_file *file);
/* Notices of the context name the keys that are ignored. path begins each. */
void plumb_family_describe(struct plumb_context *ctx, const struct plumb_file *file, const char *path);

#endif
