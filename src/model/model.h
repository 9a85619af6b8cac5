/* SPDX-License-Identifier: Apache-2.0 */
/* Blueprint, weights and the wave of activations: the first two never change after loading,
 * the third belongs to one session. */
#ifndef PLUMB_MODEL_PRIVATE_H
#define PLUMB_MODEL_PRIVATE_H

#include <plumb/model.h>
#include "core/core.h"
#include "model/anatomy.h"

/* Sizes: E hidden, F ffn, Q heads * head_dim, K kv_heads * head_dim, C heads * value_dim,
 * W kv_heads * value_dim, V vocab, H head_dim.
 * Vectors are F32 whatever the file has. No memory: the family, or the file, has none. */
struct plumb_layer {
	struct plumb_tensor attn_norm, attn_post_norm;     /* {E} */
	struct plumb_tensor wq, wk, wv, wo;                /* {Q, E} {K, E} {W, E} {E, C} */
	struct plumb_tensor bq, bk, bv, bo;                /* {Q} {K} {W} {E} */
	struct plumb_tensor q_norm, k_norm;                /* {H}, or {Q} {K} */
	struct plumb_tensor ffn_norm, ffn_post_norm;       /* {E} */
	struct plumb_tensor gate, up, down;                /* {F, E} {F, E} {E, F} */
	struct plumb_tensor gate_bias, up_bias, down_bias; /* {F} {F} {E} */
};
struct plumb_weights {
	struct plumb_tensor embed; /* {V, E} */
	struct plumb_layer *layer;
	struct plumb_tensor norm;        /* {E} */
	struct plumb_tensor output;      /* {V, E}; no memory: the embedding serves */
	struct plumb_tensor output_bias; /* {V}; no memory: no bias */
};

struct plumb_family;
struct plumb_model {
	struct plumb_context *ctx;
	const struct plumb_family *family;
	struct plumb_file *file;
	struct plumb_config config;
	struct plumb_weights weights;
	struct plumb_file_tensor *part; /* of fused tensors, PLUMB_FUSED_PARTS of each layer; NULL: none is */
	struct plumb_tensor freqs[2]; /* {rotated / 2} F32, factors of RoPE's frequencies, and those of LongRoPE's
									 long sequences; no memory: none */
	unsigned points;              /* bits 1 << enum plumb_point: those that a tap is called at */
	struct plumb_made made[PLUMB_POINT_COUNT];
	struct plumb_tokenizer *tokenizer;
	char no_tokenizer[256]; /* why there is none */
};

struct plumb_session {
	struct plumb_model *model;
	int64_t context, batch, position;
	plumb_cancel_fn cancel;
	void *cancel_user;
	enum plumb_type act, kv_type;
	unsigned tap_mask;
	plumb_tap_fn tap;
	void *tap_user;

	/* n tokens of a pass in the first n of `batch` rows */
	struct plumb_tensor ids;          /* {batch} */
	struct plumb_tensor x, norm, out; /* {batch, E}: residual stream, normed, a branch's result */
	/* {batch, Q + K + W}: a pass has all its rows of q, then of k, then of v */
	struct plumb_tensor qkv;
	struct plumb_tensor mix;              /* {batch, C} */
	struct plumb_tensor gate, up;         /* {batch, F} */
	struct plumb_tensor *kcache, *vcache; /* per layer {capacity, K} {capacity, W} */
	int64_t capacity;                     /* positions the caches hold now; grows up to context */
	struct plumb_tensor logits;           /* {rows, V} of the last eval; no memory before */
	int64_t logits_rows;
	float *logits_f32;              /* a copy in float32: of logits that are not, or of a shared step's row */
	int64_t logits_room;            /* values that logits_f32 holds */
	bool logits_copied;             /* logits_f32 holds the last eval's */
	struct plumb_overflow overflow; /* of all evals */
	bool overflow_relative;         /* its position is a row of the pass under way */
	bool overflow_said;
	int64_t first_row; /* of the pass under way: row 0 of what operators work on now */
};

/* --- kind.c --- */
/* PLUMB_E_UNSUPPORTED for a file that is no model by itself: an adapter, a vocabulary and so on, which the
 * text names. */
enum plumb_status plumb_kind_check(const struct plumb_file *file);

/* --- zeros.c --- */
/* PLUMB_E_FORMAT for data that ends in zeros, as an interrupted download leaves it; other matrices of zeros
 * give a notice. */
enum plumb_status plumb_zeros_check(
	struct plumb_context *ctx, const struct plumb_file *file, const char *path);

/* --- weights.c --- */
enum plumb_status plumb_weights_bind(struct plumb_model *model, plumb_progress_fn progress, void *user);
void plumb_weights_free(struct plumb_model *model);
const struct plumb_tensor *plumb_weights_output(const struct plumb_model *model);

/* --- roles.c --- */
struct plumb_weight_row;
enum { PLUMB_FUSED_PARTS = 5 }; /* queries, keys, values, gate, up: rows of a table that are parts */
/* The part of a fused tensor that a row of the family's layers names. */
const struct plumb_file_tensor *plumb_role_fused(
	const struct plumb_model *model, int64_t layer, const struct plumb_weight_row *row);

/* --- rope_scaling.c --- */
#define PLUMB_ROPE_FACTORS_TENSOR "rope_freqs.weight"
#define PLUMB_ROPE_SHORT_TENSOR "rope_factors_short.weight"
#define PLUMB_ROPE_LONG_TENSOR "rope_factors_long.weight"
/* model->freqs, of the configuration and the file. PLUMB_E_SHAPE, PLUMB_E_FORMAT: factors are missing, or
 * not as many as pairs, or not positive. */
enum plumb_status plumb_rope_scaling_make(struct plumb_model *model);

/* --- points.c --- */
/* model->points and made, of the family's table and the norms that there are. */
void plumb_points_of_model(struct plumb_model *model);
/* In the exact mode each operator but attention runs by itself, as it is diagnosed; in FP16 each result is
 * rounded. */
bool plumb_model_one_by_one(const struct plumb_model *model);

/* --- the forward pass: transformer.c --- */
/* Rows [first, first + rows) of a pass: tokens of one session, at its position. */
struct plumb_segment {
	struct plumb_session *session;
	int64_t first, rows;
};
/* One pass over the weights for all rows of the parts, which follow each other. The first session leads: its
 * ids, its activations, its tap, its logits. rows: how many of the last rows get logits. */
enum plumb_status plumb_transformer_forward(const struct plumb_segment *segment, int segments, int64_t rows);

/* --- overflow.c --- */
/* In precision FP16: take down what the operators of this point have noted. Showing a point does so, too. */
void plumb_overflow_note(struct plumb_session *session, int layer, enum plumb_point point);
/* After a pass: overflows are their sequences' own, and said once. */
void plumb_overflow_settle(const struct plumb_segment *segment, int segments);

/* --- tap.c --- */
/* Show a tensor to the tap, if it asked for the point. */
enum plumb_status plumb_session_show(
	struct plumb_session *session, int layer, enum plumb_point point, struct plumb_tensor *t);

#endif
