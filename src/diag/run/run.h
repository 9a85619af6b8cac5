/* SPDX-License-Identifier: Apache-2.0 */
/* One evaluation of a model, watched and changed by hooks. Reaches the model through its public header:
 * evaluation and tap. */
#ifndef PLUMB_DIAG_RUN_H
#define PLUMB_DIAG_RUN_H

#include "diag/reference/capture.h"
#include "diag/reference/stored.h"

/* What a hook sees: the value at a point, on the host. */
struct plumb_run;
struct plumb_fault;
struct plumb_live {
	const struct plumb_run *run;
	int layer;
	enum plumb_point point;
	float *v; /* may be changed; then set changed */
	int64_t rows, width, first;
	bool changed;
};
struct plumb_hook {
	unsigned points; /* bits 1 << enum plumb_point that it wants to see */
	enum plumb_status (*see)(void *user, struct plumb_live *live);
	void *user;
};
#define PLUMB_MAX_HOOKS 8
struct plumb_run {
	struct plumb_model *model;
	const int32_t *tokens;
	int64_t n;
	int last_layer;  /* stop after this layer's output; -1: all, with logits */
	bool all_logits; /* of every position, else of the last */
	unsigned points; /* also to be captured, before later hooks change them but after the fault */
	const struct plumb_fault *fault;         /* NULL: none */
	struct plumb_hook hook[PLUMB_MAX_HOOKS]; /* run in order at each point, after fault and capture */
	int hooks;
	struct plumb_capture *out; /* captured points go there (made anew); NULL: nowhere */
	/* while running */
	struct plumb_captured earlier[PLUMB_POINT_COUNT]; /* of this layer; embeddings: the layer's input. For
														 faults and hooks that need them */
	unsigned keep; /* points whose values `earlier` keeps; hooks may set it before the run */
};
/* One session, one pass. Every position from 0. PLUMB_E_LIMIT when n is beyond what one pass may hold. */
enum plumb_status plumb_run_watched(struct plumb_run *run);
/* As above, in two runs: points inside fused operators need the basic operators, so they are taken from a
 * second run; all other points are taken from a run with fusion enabled. A fault inside needs the basic
 * operators. */
enum plumb_status plumb_run_as_used(struct plumb_run *run);
/* A hook that overwrites what it sees with the rows that `from` (a struct plumb_capture) has of it:
 * isolation. */
enum plumb_status plumb_hook_feed(void *from, struct plumb_live *live);
/* Value of an earlier point of this layer as the model went on with it; PLUMB_POINT_EMBEDDINGS is the layer's
 * input. Its bit must be in run->keep. */
const struct plumb_captured *plumb_live_earlier(const struct plumb_live *live, enum plumb_point point);

/* --- rounded.c --- */
/* A watched run that is rounded at `points` as a run in that precision would be. run->out gets what was left
 * at run->points. */
enum plumb_status plumb_run_blurred(
	struct plumb_run *run, enum plumb_stored stored, unsigned points, uint64_t seed);
/* Values that were right and then rounded to that precision when written. */
void plumb_perturb_stored(float *v, int64_t n, enum plumb_stored stored, uint64_t seed);

/* --- fault_rope.c --- */
/* A head of queries or keys, turned in float64 as RoPE turns that of a position; y may be x. freqs NULL: 1.
 */
void plumb_rotate_head(
	float *y, const float *x, const struct plumb_rope *r, const float *freqs, int64_t position);

/* --- weight.c --- */
/* Row `row` of a matrix (row 0 of a vector) as float32. */
enum plumb_status plumb_weight_row(const struct plumb_file_tensor *t, int64_t row, float *v);

#endif
