/* SPDX-License-Identifier: Apache-2.0 */
/* A model family as data: what each metadata key and each tensor of its files means. Binding, checking and
 * listing read these tables; a key that the configuration reads and no table names is a bug (config.c). */
#ifndef PLUMB_FAMILY_H
#define PLUMB_FAMILY_H

#include <stddef.h>
#include "model/anatomy.h"

struct plumb_family;

/* The values of a key that change nothing. Any other value is used as the key's row says. */
enum plumb_neutral { PLUMB_NEUTRAL_NONE, PLUMB_NEUTRAL_0, PLUMB_NEUTRAL_1, PLUMB_NEUTRAL_0_OR_1 };

/* The rows of a table are tried in order; a name may be a shell pattern. A row without a name ends a table.
 */
struct plumb_key_row {
	const char *name; /* of a family's key without the family and its dot */
	enum plumb_use use;
	const char *why;
	enum plumb_neutral neutral;
	/* Where a value alone does not tell, this does; *why holds the row's and may be changed. family: NULL of
	 * a key outside the families' namespaces. */
	enum plumb_use (*judge)(const struct plumb_family *family, const struct plumb_file *file,
		const struct plumb_meta *m, const char **why);
};

/* Sizes: E hidden, F ffn, Q heads * head_dim, K kv_heads * head_dim, C heads * value_dim, W kv_heads *
 * value_dim, V vocab, H head_dim. */
enum plumb_weight_size {
	PLUMB_SIZE_NONE,
	PLUMB_SIZE_E,
	PLUMB_SIZE_F,
	PLUMB_SIZE_Q,
	PLUMB_SIZE_K,
	PLUMB_SIZE_C,
	PLUMB_SIZE_W,
	PLUMB_SIZE_V,
	PLUMB_SIZE_H
};
/* EXACT: attention scores reach 1,458 (doc/numerics.md), and softmax makes of their absolute error a relative
 * one: queries and keys keep float32's accuracy. A BIAS may be absent from all layers. NORM: the weight of a
 * norm, which a file may keep less 1. */
enum plumb_weight_kind { PLUMB_WEIGHT_PLAIN, PLUMB_WEIGHT_EXACT, PLUMB_WEIGHT_BIAS, PLUMB_WEIGHT_NORM };

/* A tensor that is computed with: {rows, columns}, columns NONE: a vector. The name of a layer's is the part
 * after the layer's own. */
struct plumb_weight_row {
	const char *name;
	size_t member; /* offset in struct plumb_layer or struct plumb_weights */
	enum plumb_weight_size rows, columns;
	enum plumb_weight_kind kind;
	unsigned bias;  /* of a BIAS: its bit (enum plumb_bias) */
	unsigned norms; /* only families with one of these norms have it (enum plumb_norms); 0: all */
	enum plumb_role role;
	const char *hf; /* its name in files as Hugging Face has them; NULL: not asked for */
	/* Where a family keeps several tensors in one, one after another by rows: that one, and how many rows of
	 * it come before: of two sizes. NULL: it never does. */
	const char *fused;
	enum plumb_weight_size before[2];
};

/* A tensor that is not, or not as it is: the part of its name after the layer's, or the whole one outside a
 * layer; may be a shell pattern. */
struct plumb_left_row {
	const char *name;
	enum plumb_use use;
	const char *why;
};

/* What tells a family from the others; what is 0 or NULL is as in Llama. Files may set the numbers anew. */
struct plumb_family {
	const char *name;  /* general.architecture, and the prefix of the keys */
	const char *split; /* the pattern that its tokenizers split text by, where a file does not name one; NULL:
						  a file must */
	enum plumb_rope_pairs pairs; /* as its GGUF files have them */
	unsigned norms;              /* bits of enum plumb_norms */
	enum plumb_activation activation;
	bool fused; /* files keep queries, keys and values in one tensor, and gate and up */
	/* A sliding window that a file tells, but not of which layers, is: of all but each window_step-th; 1: of
	 * all; 0: refused. */
	int window_step;
	int rope_step;      /* each such layer does not rotate; 0: all do */
	double window_base; /* RoPE's base in layers with a window, where the file tells none; 0: as in others */
	/* Numbers that follow from others and that a file need not tell; they are set before its keys are read.
	 * NULL: none. */
	void (*defaults)(struct plumb_config *config);
	const struct plumb_key_row *own; /* keys that it alone has, or that mean something else in it: first */
	const struct plumb_key_row *keys;
	const struct plumb_weight_row *layer, *top;
	const struct plumb_left_row *left;
	const struct plumb_made *made; /* how each capture point is made, by point */
};
extern const struct plumb_family plumb_family_qwen2, plumb_family_qwen3, plumb_family_llama,
	plumb_family_smollm3, plumb_family_granite, plumb_family_gemma3, plumb_family_phi3, plumb_family_olmo2;

/* Architectures that are known and not computed, and what is missing for them; ends with a NULL. */
struct plumb_architecture {
	const char *name; /* shell pattern */
	const char *missing;
};
extern const struct plumb_architecture plumb_architectures_missing[];

/* What most families share: keys, tensors that are computed with in a layer and outside, other tensors, and
 * how capture points are made. */
extern const struct plumb_key_row plumb_family_keys[];
extern const struct plumb_weight_row plumb_family_layer[], plumb_family_top[];
extern const struct plumb_left_row plumb_family_left[];
extern const struct plumb_made plumb_family_made[];
#define PLUMB_FAMILY_USUAL \
	.keys = plumb_family_keys, .layer = plumb_family_layer, .top = plumb_family_top, \
	.left = plumb_family_left, .made = plumb_family_made

/* Keys outside the families' namespaces: general.*, tokenizer.* and others. */
extern const struct plumb_key_row plumb_family_common[];

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
/* Whether files of the family have this tensor, whatever its biases. */
static inline bool plumb_family_has(const struct plumb_family *family, const struct plumb_weight_row *row)
{
	return !row->norms || row->norms & family->norms;
}
/* Does the family compute all that a model file tells? PLUMB_E_UNSUPPORTED: a key or tensor, with the reason.
 */
enum plumb_status plumb_family_check(const struct plumb_file *file);
/* Notices of the context name the keys that are ignored. path begins each. */
void plumb_family_describe(struct plumb_context *ctx, const struct plumb_file *file, const char *path);

#endif
