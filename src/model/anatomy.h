/* SPDX-License-Identifier: Apache-2.0 */
/* What a model is made of, for whoever looks at one from outside: its tensors by what they are for, and its
 * capture points, how wide each is and which operator makes it of what. The rows are the family's
 * (family_X.c); no other file spells a tensor's name. */
#ifndef PLUMB_MODEL_ANATOMY_H
#define PLUMB_MODEL_ANATOMY_H

#include <plumb/model.h>

/* --- roles.c: tensors by what they are for, whatever a file calls them --- */
enum plumb_role {
	PLUMB_ROLE_NONE,
	/* outside the layers */
	PLUMB_ROLE_EMBEDDING,
	PLUMB_ROLE_OUTPUT_NORM,
	PLUMB_ROLE_OUTPUT,
	PLUMB_ROLE_OUTPUT_BIAS,
	/* of each layer */
	PLUMB_ROLE_ATTN_NORM,
	PLUMB_ROLE_Q,
	PLUMB_ROLE_Q_BIAS,
	PLUMB_ROLE_K,
	PLUMB_ROLE_K_BIAS,
	PLUMB_ROLE_V,
	PLUMB_ROLE_V_BIAS,
	PLUMB_ROLE_Q_NORM,
	PLUMB_ROLE_K_NORM,
	PLUMB_ROLE_ATTN_OUT,
	PLUMB_ROLE_ATTN_OUT_BIAS,
	PLUMB_ROLE_ATTN_POST_NORM,
	PLUMB_ROLE_FFN_NORM,
	PLUMB_ROLE_FFN_GATE,
	PLUMB_ROLE_FFN_GATE_BIAS,
	PLUMB_ROLE_FFN_UP,
	PLUMB_ROLE_FFN_UP_BIAS,
	PLUMB_ROLE_FFN_DOWN,
	PLUMB_ROLE_FFN_DOWN_BIAS,
	PLUMB_ROLE_FFN_POST_NORM
};
#define PLUMB_TENSOR_NAME 128
/* The name of a layer's tensor by the part after the layer's: "ffn_down.weight"; layer -1: as it is. Returns
 * name. */
const char *plumb_tensor_name(int64_t layer, const char *part, char name[PLUMB_TENSOR_NAME]);
/* The other way: 7 and "attn_q.weight" of "blk.7.attn_q.weight"; -1 and the whole name of a tensor in no
 * layer. */
int64_t plumb_tensor_layer(struct plumb_span name, struct plumb_span *part);
/* The part of a name that stands for the role in this model's file: "ffn_down.weight"; NULL: the family has
 * no such role. */
const char *plumb_role_part(const struct plumb_model *model, enum plumb_role role);
/* The tensor with this role; layer counts for those of a layer only. NULL: the file has none. Where the
 * embedding serves as output matrix it has that role, too. */
const struct plumb_file_tensor *plumb_model_tensor(
	const struct plumb_model *model, enum plumb_role role, int64_t layer);
/* The same, of the families in their order, in any file (family.c), also one of a model as Hugging Face names
 * its tensors (the embedding and the output norm only). */
const struct plumb_file_tensor *plumb_file_role(
	const struct plumb_file *file, enum plumb_role role, int64_t layer);

/* --- points.c --- */
/* How the value of a capture point is made. */
struct plumb_made {
	enum plumb_op op, fused; /* the operator that makes it by itself, and the one where operators run fused */
	enum plumb_role weight, bias; /* NONE: none */
	int input;   /* the point that it is made of; of a layer's first, EMBEDDINGS stands for the layer's input;
					-1: of tokens */
	bool inside; /* a fused operator does not show it: for a tap, basic ones run in its place */
};
/* NULL: the model has no such point. */
const struct plumb_made *plumb_model_made(const struct plumb_model *model, int point);
/* RoPE as a layer has it for queries and keys of the position; freqs, NULL: none, are its factors of
 * frequency for a sequence of `length` positions. false: the layer does not rotate. */
bool plumb_model_rope(const struct plumb_model *model, int64_t layer, int64_t position, int64_t length,
	struct plumb_rope *rope, const struct plumb_tensor **freqs);
bool plumb_point_in_layer(int point);
/* Values in a row; 0: as many as there are positions (scores). */
int64_t plumb_point_width(const struct plumb_config *config, int point);

#endif
