/* SPDX-License-Identifier: Apache-2.0 */
/* The gaps of all points that the reference has: as they accumulate, of each layer alone and of each
 * component alone, each beside the gap that the control run shows when it is treated as if it were the
 * reference. Two kinds of control run, since a narrow reference was either computed so or only stored so;
 * what either explains is explained. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

#define BIT(point) (1u << (point))
#define ENDS (BIT(PLUMB_POINT_EMBEDDINGS) | BIT(PLUMB_POINT_OUTPUT))
#define OUTER (ENDS | BIT(PLUMB_POINT_FINAL_NORM) | BIT(PLUMB_POINT_LOGITS))
/* What an unbroken run may be beyond its floor. Measured (tests/check_diag, 972 small cases; PyTorch's eight
 * sets of the real model): fp32 at most 1.2 and 2.6, bf16 and fp16 1.9 and 1.6. The mildest break of the real
 * model (an epsilon of 1e-5 for 1e-6 in one layer) is 31 times beyond the fp32 floor, so that limit has room
 * on both sides; a narrow reference pays for each step of its limit with bugs it cannot see. */
#define LIMIT_FP32 10
#define LIMIT_NARROW 6

/* One reference, or what stands in for it, and the run that is compared with it. */
struct side {
	const struct plumb_capture *whole; /* the run as it is */
	struct plumb_capture
		given; /* the reference's captured tensors; of controls: the control run's values there */
	bool trusted;
};

/* What of `from` lies where `like` has values: the same rows, or all that there is. stored: written so. */
static enum plumb_status errors_masked(struct plumb_capture *out, const struct plumb_capture *from,
	const struct plumb_capture *like, int layers, const enum plumb_stored *stored)
{
	int layer = -1, point = -1;
	PLUMB_TRY(plumb_capture_new(out, like->layers));
	while (plumb_capture_next(like, &layer, &point)) {
		const struct plumb_captured *a = plumb_capture_at(from, layer, point),
									*b = plumb_capture_at(like, layer, point);
		const float *va, *vb;
		struct plumb_captured *p;
		int64_t n;
		if (layer >= layers || !plumb_captured_common(a, b, &va, &vb, &n))
			continue;
		PLUMB_TRY(plumb_capture_put(
			out, layer, point, n / a->width, a->width, a->first > b->first ? a->first : b->first, &p));
		memcpy(p->v, va, sizeof *va * (size_t)n);
		if (stored)
			plumb_perturb_stored(p->v, n, *stored, (uint64_t)layer << 8 | (uint64_t)point);
	}
	return PLUMB_OK;
}

/* Which points the reference has, and whether some have fewer rows than the prompt. */
static unsigned errors_points_of(const struct plumb_diag *d, const struct plumb_capture *c, bool *hybrid)
{
	int layer = -1, point = -1;
	unsigned points = 0;
	while (plumb_capture_next(c, &layer, &point)) {
		points |= BIT(point);
		if (BIT(point) & ENDS && plumb_capture_at(c, layer, point)->rows < d->n)
			*hybrid = true;
	}
	return points;
}

/* A run in which every point of `points` that the side has is overwritten with it, after what our layer made
 * of it was kept. The rows that it lacks come from the trusted run: what earlier layers did wrong there must
 * not be held against this one. */
static enum plumb_status errors_fed(
	struct plumb_diag *d, struct side *side, unsigned points, bool hybrid, struct plumb_capture *out)
{
	struct plumb_run run = plumb_diag_run(d, side->trusted);
	const struct plumb_capture *trusted_run;
	PLUMB_TRY(plumb_diag_trusted(d, &trusted_run));
	run.points = points | OUTER;
	run.out = out;
	if (hybrid)
		run.hook[run.hooks++] = (struct plumb_hook){ points & ENDS, plumb_hook_feed,
			(void *)(uintptr_t)trusted_run };
	run.hook[run.hooks++] = (struct plumb_hook){ points, plumb_hook_feed, &side->given };
	return plumb_run_as_used(&run);
}

/* The final norm of an output, for references that hold the last layer only so. */
static enum plumb_status errors_normed(
	const struct plumb_diag *d, const struct plumb_captured *x, struct plumb_captured *y)
{
	const struct plumb_file_tensor *t = plumb_model_tensor(d->port, PLUMB_ROLE_OUTPUT_NORM, -1);
	*y = (struct plumb_captured){ NULL, 0, 0, 0 };
	if (!x || !t)
		return PLUMB_OK;
	float *v = malloc(sizeof *v * (size_t)((x->rows + 1) * x->width));
	if (!v)
		return plumb_fail(
			PLUMB_E_MEMORY, "no memory for %lld normed values", (long long)(x->rows * x->width));
	float *w = v + x->rows * x->width;
	enum plumb_status s = t->dim[t->rank - 1] == x->width
		? plumb_weight_row(t, 0, w)
		: plumb_fail(PLUMB_E_SHAPE, "the final norm is not %lld wide", (long long)x->width);
	for (int64_t i = 0; !s && i < x->rows * x->width; i += x->width)
		plumb_rms_norm(v + i, x->v + i, w, x->width, d->config->norm_eps);
	if (s)
		free(v);
	else
		*y = (struct plumb_captured){ v, x->rows, x->width, x->first };
	return s;
}

/* Compare a run with its side at one point; the first time measures, later ones (controls) raise the floor.
 */
static enum plumb_status errors_compare_at(const struct plumb_diag *d, struct plumb_errors *e,
	struct plumb_gap *gap, const struct plumb_capture *run, const struct side *side, int layer, int point)
{
	bool scores = point == PLUMB_POINT_ATTN_SCORES,
		 last = layer == d->config->layers - 1 && point == PLUMB_POINT_OUTPUT;
	const struct plumb_captured *theirs = plumb_capture_at(&side->given, layer, point),
								*ours = plumb_capture_at(run, layer, point);
	struct plumb_captured own = { NULL, 0, 0, 0 };
	bool through = last && !theirs;
	enum plumb_status s = PLUMB_OK;
	if (through) {
		theirs = plumb_capture_at(&side->given, -1, PLUMB_POINT_FINAL_NORM);
		if (theirs)
			s = errors_normed(d, ours, &own);
		ours = own.v ? &own : NULL;
	}
	if (!s && theirs && !side->trusted)
		s = plumb_gap_measure(gap, ours, theirs, scores, plumb_stored_type(e->stored));
	else if (!s && theirs && gap->have)
		s = plumb_gap_floor(gap, ours, theirs, scores);
	gap->normed = through;
	free(own.v);
	return s;
}

static enum plumb_status errors_compare_all(const struct plumb_diag *d, struct plumb_errors *e,
	enum plumb_gap_kind kind, const struct plumb_capture *run, const struct side *side)
{
	for (int layer = -1; layer < d->layers; layer++)
		for (int point = 0; point < PLUMB_POINT_COUNT; point++)
			if (plumb_point_in_layer(point) == (layer >= 0) && (kind != PLUMB_ISOLATED || BIT(point) & OUTER))
				PLUMB_TRY(errors_compare_at(
					d, e, &e->gap[kind][(layer + 1) * PLUMB_POINT_COUNT + point], run, side, layer, point));
	return PLUMB_OK;
}

static enum plumb_status errors_compare_side(
	struct plumb_diag *d, struct plumb_errors *e, struct side *side, unsigned points)
{
	struct plumb_capture run = { .layers = 0 };
	PLUMB_TRY(errors_compare_all(d, e, PLUMB_ACCUMULATED, side->whole, side));
	enum plumb_status s = errors_fed(d, side, points & ENDS, e->hybrid, &run);
	if (!s)
		s = errors_compare_all(d, e, PLUMB_ISOLATED, &run, side);
	plumb_capture_free(&run);
	if (s || !e->inner)
		return s;
	s = errors_fed(d, side, points, e->hybrid, &run);
	if (!s)
		s = errors_compare_all(d, e, PLUMB_COMPONENT, &run, side);
	plumb_capture_free(&run);
	return s;
}

/* `whole` beside what `from` has where the reference has values. */
static enum plumb_status errors_compare_with(struct plumb_diag *d, struct plumb_errors *e,
	const struct plumb_capture *whole, const struct plumb_capture *from, const enum plumb_stored *stored,
	bool trusted, unsigned points)
{
	struct side side = { .whole = whole, .trusted = trusted };
	enum plumb_status s = errors_masked(&side.given, from, &d->fixed, d->layers, stored);
	if (!s)
		s = errors_compare_side(d, e, &side, points);
	plumb_capture_free(&side.given);
	return s;
}

/* A massive channel makes one value of a tensor outweigh all others, and its error is then one draw of
 * chance: several draws tell its size. Longer prompts have more values to draw, and cost more. */
static int errors_twins_for(int64_t tokens) { return tokens <= 16 ? 8 : tokens <= 64 ? 4 : 2; }

static enum plumb_status errors_compare_twins(
	struct plumb_diag *d, struct plumb_errors *e, const struct plumb_capture *trusted_run, unsigned points)
{
	const struct plumb_capture *control;
	int controls = errors_twins_for(d->n);
	PLUMB_TRY(plumb_diag_control(d, &control));
	PLUMB_TRY(errors_compare_with(d, e, trusted_run, control, NULL, true, points));
	for (int i = 1; i < controls; i++) {
		struct plumb_capture other = { .layers = 0 };
		PLUMB_TRY(plumb_diag_progress(d, "what rounding does", i, controls));
		enum plumb_status s = plumb_control_run(d, i, points, &other);
		if (!s)
			s = errors_compare_with(d, e, trusted_run, &other, NULL, true, points);
		plumb_capture_free(&other);
		PLUMB_TRY(s);
	}
	/* The exact run whose values were only rounded when they were written. */
	return errors_compare_with(d, e, trusted_run, trusted_run, &e->stored, true, points);
}

static enum plumb_status errors_compare_sides(struct plumb_diag *d, struct plumb_errors *e)
{
	const struct plumb_capture *ours, *trusted_run, *fixed = &d->fixed;
	unsigned points = errors_points_of(d, fixed, &e->hybrid);
	PLUMB_TRY(plumb_diag_ours(d, &ours));
	PLUMB_TRY(plumb_diag_trusted(d, &trusted_run));
	e->inner = (points & ~OUTER) != 0;
	PLUMB_TRY(plumb_diag_progress(d, "comparing with the reference", 0, 1));
	PLUMB_TRY(errors_compare_with(d, e, ours, fixed, NULL, false, points));
	return errors_compare_twins(d, e, trusted_run, points);
}

/* The trusted run's output of a layer as far from the reference as no rounding explains? Floors are those of
 * our own run there. */
static enum plumb_status errors_trusted_leaves(struct plumb_diag *d, const struct plumb_errors *e,
	const struct plumb_capture *trusted_run, int layer, bool *leaves)
{
	int point = layer < 0 ? PLUMB_POINT_EMBEDDINGS : PLUMB_POINT_OUTPUT;
	const struct plumb_gap *ours = plumb_gap_any(e, PLUMB_ACCUMULATED, layer, point);
	struct plumb_gap gap;
	*leaves = ours && !ours->ok;
	if (!*leaves || ours->normed || (d->trusted == d->port && !d->broken))
		return PLUMB_OK;
	PLUMB_TRY(plumb_gap_measure(&gap, plumb_capture_at(trusted_run, layer, point),
		plumb_capture_at(&d->fixed, layer, point), false, plumb_stored_type(e->stored)));
	*leaves = gap.have && fmax(gap.rel / ours->floor, gap.elementwise / ours->floor_elementwise) > e->limit;
	return PLUMB_OK;
}

/* A layer's attention sees all positions. Those that the reference has not are the trusted run's, which are
 * the reference's own only as long as both agree: from the first layer on after which they do not, a later
 * layer may differ for that alone. */
static enum plumb_status errors_find_sure(struct plumb_diag *d, struct plumb_errors *e)
{
	const struct plumb_capture *trusted_run;
	e->sure = e->layers - 1;
	if (!e->hybrid)
		return PLUMB_OK;
	PLUMB_TRY(plumb_diag_trusted(d, &trusted_run));
	for (int layer = -1; layer < e->layers; layer++) {
		bool leaves;
		PLUMB_TRY(errors_trusted_leaves(d, e, trusted_run, layer, &leaves));
		if (leaves) {
			e->sure = layer;
			break;
		}
	}
	for (int kind = PLUMB_ISOLATED; kind < PLUMB_GAP_KINDS; kind++)
		for (int layer = e->sure + 1; layer < e->layers; layer++)
			for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
				struct plumb_gap *gap = &e->gap[kind][(layer + 1) * PLUMB_POINT_COUNT + point];
				gap->unsure = gap->have && !gap->ok;
			}
	return PLUMB_OK;
}

static enum plumb_status errors_compute(struct plumb_diag *d, struct plumb_errors *e)
{
	const struct plumb_capture *fixed;
	size_t count = (size_t)(d->config->layers + 1) * PLUMB_POINT_COUNT;
	PLUMB_TRY(plumb_diag_fixed(d, &fixed));
	e->layers = (int)d->config->layers;
	e->reference = plumb_reference_stored(d->reference);
	e->stored = plumb_diag_stored(d, e->reference);
	e->limit = e->stored == PLUMB_STORED_FP32 ? LIMIT_FP32 : LIMIT_NARROW;
	for (int i = 0; i < PLUMB_GAP_KINDS; i++)
		if (!(e->gap[i] = calloc(count, sizeof *e->gap[i])))
			return plumb_fail(PLUMB_E_MEMORY, "no memory for the errors of %d layers", e->layers);
	PLUMB_TRY(errors_compare_sides(d, e));
	for (int i = 0; i < PLUMB_GAP_KINDS; i++)
		for (size_t j = 0; j < count; j++)
			plumb_gap_judge(&e->gap[i][j], plumb_least_floor(e->stored), e->limit);
	PLUMB_TRY(plumb_errors_cancel(d, e));
	return errors_find_sure(d, e);
}

enum plumb_status plumb_diag_errors(struct plumb_diag *d, const struct plumb_errors **errors)
{
	*errors = d->errors;
	if (d->errors)
		return PLUMB_OK;
	struct plumb_errors *e = calloc(1, sizeof *e);
	if (!e)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the errors");
	enum plumb_status s = errors_compute(d, e);
	if (s) {
		plumb_errors_free(e);
		return s;
	}
	*errors = d->errors = e;
	return PLUMB_OK;
}
