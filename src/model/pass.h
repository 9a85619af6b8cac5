/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that a forward pass is written in: each runs an operator on what the pass holds and shows what it
 * made at its capture point. After a failure no step does anything, and `status` says what failed, so that a
 * family's pass reads as a list of steps. */
#ifndef PLUMB_MODEL_PASS_H
#define PLUMB_MODEL_PASS_H

#include "model/model.h"

/* The first n rows of the lead session's tensors: x is the residual stream, the others hold what their names
 * say. */
struct plumb_pass {
	struct plumb_session *lead;
	const struct plumb_segment *segment; /* rows that belong to one sequence each */
	int segments;
	int layer; /* under way; -1: outside the layers */
	struct plumb_tensor ids, x, norm, out, qkv, q, k, v, mix, gate, up; /* q, k and v: views of qkv */
	enum plumb_status status;
};
void plumb_pass_begin(struct plumb_pass *p, const struct plumb_segment *segment, int segments);
/* Go on to a layer, unless the session's user has cancelled. */
void plumb_pass_layer(struct plumb_pass *p, int layer);
/* The last `rows` rows of x, of norm, and the rows of logits that they become. */
void plumb_pass_last(struct plumb_pass *p, int64_t rows, struct plumb_tensor *x, struct plumb_tensor *norm,
	struct plumb_tensor *logits);
void plumb_pass_show(struct plumb_pass *p, enum plumb_point point, struct plumb_tensor *t);

/* Does the model have one of these norms (bits of enum plumb_norms)? */
bool plumb_pass_has(const struct plumb_pass *p, unsigned norms);

/* --- basic operators; b without memory: no bias --- */
/* Scaled, where the model scales embeddings. */
void plumb_pass_embed(struct plumb_pass *p, struct plumb_tensor *y, const struct plumb_tensor *w,
	const struct plumb_tensor *ids);
void plumb_pass_norm(struct plumb_pass *p, struct plumb_tensor *y, const struct plumb_tensor *x,
	const struct plumb_tensor *w, enum plumb_point point);
/* In place: each head of x by itself, or all of a row together. */
void plumb_pass_norm_heads(
	struct plumb_pass *p, struct plumb_tensor *x, const struct plumb_tensor *w, enum plumb_point point);
void plumb_pass_matmul(struct plumb_pass *p, struct plumb_tensor *y, const struct plumb_tensor *x,
	const struct plumb_tensor *w, const struct plumb_tensor *b, enum plumb_point point);
/* The model's activation of gate, times up. */
void plumb_pass_activate(struct plumb_pass *p, struct plumb_tensor *y, const struct plumb_tensor *gate,
	const struct plumb_tensor *up);
/* A product, scaled where the model scales logits. */
void plumb_pass_logits(struct plumb_pass *p, struct plumb_tensor *y, const struct plumb_tensor *x,
	const struct plumb_tensor *w, const struct plumb_tensor *b);
/* The points of what a block makes, of its norm, and of the residual stream that it is added to. */
struct plumb_branch {
	enum plumb_point product, norm, sum;
};
/* The pass's x gets x w^T + b, normed and scaled where the model does so. One operator where it can be. */
void plumb_pass_add_matmul(struct plumb_pass *p, const struct plumb_tensor *x, const struct plumb_tensor *w,
	const struct plumb_tensor *b, const struct plumb_tensor *norm, struct plumb_branch points);

/* --- fused ones: true where one has run in the place of the basic ones that follow; not where the mode or a
 * tap asks for those --- */
bool plumb_pass_qkv(struct plumb_pass *p, const struct plumb_layer *w);
bool plumb_pass_gate_up(struct plumb_pass *p, const struct plumb_layer *w);

/* --- what depends on positions: of the rows of one sequence --- */
struct plumb_sequence {
	struct plumb_pass *p;
	struct plumb_session *session;
	struct plumb_tensor q, k, v, mix;     /* its rows */
	struct plumb_tensor *kcache, *vcache; /* of the layer */
};
struct plumb_sequence plumb_pass_sequence(struct plumb_pass *p, int segment);
void plumb_sequence_rope(struct plumb_sequence *s);      /* of q and k, where the layer has it */
void plumb_sequence_store(struct plumb_sequence *s);     /* k and v, into the caches */
bool plumb_sequence_attention(struct plumb_sequence *s); /* fused; as above */
/* Queries [first, ...) at a time whose scores are held: all where somebody looks at them. */
int64_t plumb_sequence_queries(const struct plumb_sequence *s, int64_t first);
void plumb_sequence_scores(struct plumb_sequence *s, struct plumb_tensor *scores, int64_t first,
	int64_t n); /* made anew; the caller frees */
void plumb_sequence_softmax(struct plumb_sequence *s, struct plumb_tensor *scores);
void plumb_sequence_mix(
	struct plumb_sequence *s, const struct plumb_tensor *scores, int64_t first, int64_t n);

#endif
