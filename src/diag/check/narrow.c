/* SPDX-License-Identifier: Apache-2.0 */
/* The plan for fp16 and for bf16: which operators can be narrow and which must stay float32, with the number
 * that decides. The numbers themselves (ranges, sums) are made elsewhere. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

static const struct plumb_format formats[2] = { { "fp16", 65504, 0x1p-14, 11 },
	{ "bf16", 0x1.fep127, 0x1p-126, 8 } };

/* One bit of room is asked for: another prompt is larger. A score's rounding may change a softmax weight by
 * 5%. What a removed massive activation leaves behind may reach the typical value of the final row. */
#define ROOM 1.0
#define SCORE_ERROR 0.05
#define RESIDUE 1.0

double plumb_narrow_bits(double size, bool bf16)
{
	return size > 0 ? log2(formats[bf16].largest / size) : NAN;
}

static double narrow_size_of(const struct plumb_range *r) { return fmax(fabs(r->min), fabs(r->max)); }

/* Half the distance between neighbours of x in the format. */
static double narrow_half_spacing(const struct plumb_format *f, double x)
{
	int exponent;
	frexp(fmax(fabs(x), f->smallest), &exponent);
	return ldexp(1, exponent - f->bits - 1);
}

static bool narrow_too_large(const struct plumb_format *f, double size)
{
	return log2(f->largest / size) < ROOM;
}

static void narrow_blame(struct plumb_plan_row *j, int layer) { j->layer[j->layers++] = layer; }

static void narrow_ranges(struct plumb_plan_row *j, const struct plumb_values *v)
{
	double worst = 0, rms = 0;
	int at = -1;
	for (int i = 0; i < v->ranges; i++) {
		if (v->range[i].point != j->point)
			continue;
		if (v->range[i].bad >= 0) {
			j->stay = true;
			plumb_format(
				j->why, sizeof j->why, "it is not finite even in float32 (layer %d)", v->range[i].layer);
			narrow_blame(j, v->range[i].layer);
			return;
		}
		if (narrow_too_large(j->f, narrow_size_of(&v->range[i])))
			narrow_blame(j, v->range[i].layer);
		if (narrow_size_of(&v->range[i]) > worst) {
			worst = narrow_size_of(&v->range[i]);
			at = v->range[i].layer;
		}
		rms = fmax(rms, v->range[i].rms);
	}
	j->stay = worst > 0 && (narrow_too_large(j->f, worst) || rms < j->f->smallest);
	plumb_format(j->why, sizeof j->why,
		at >= 0 ? "the largest value is %.4g, in layer %d" : "the largest value is %.4g", worst, at);
	if (narrow_too_large(j->f, worst) && worst > 0)
		plumb_append(j->why, sizeof j->why, "; %s ends at %.5g", j->f->name, j->f->largest);
	else if (j->stay)
		plumb_append(
			j->why, sizeof j->why, ", the root mean square %.3g: below %s's normal numbers", rms, j->f->name);
	else if (j->f == &formats[0] && worst > 0)
		plumb_append(j->why, sizeof j->why, ", %.1f bits below the end of %s", log2(j->f->largest / worst),
			j->f->name);
}

static void narrow_sums(struct plumb_plan_row *j, const struct plumb_values *v)
{
	double worst = 0;
	int64_t terms = 0;
	int at = -1;
	for (int i = 0; i < v->sums; i++) {
		if (v->sum[i].point != j->point || !(v->sum[i].worst > 0))
			continue;
		if (narrow_too_large(j->f, v->sum[i].worst))
			narrow_blame(j, v->sum[i].layer);
		if (v->sum[i].worst > worst) {
			worst = v->sum[i].worst;
			at = v->sum[i].layer;
		}
		terms = v->sum[i].terms;
	}
	bool squares = j->op == PLUMB_OP_rmsnorm;
	if (!(worst > 0))
		return;
	if (narrow_too_large(j->f, worst)) {
		plumb_format(j->why, sizeof j->why,
			squares ? "its sum of squares reaches %.4g" : "a sum of %2$lld terms may reach %1$.4g on the way",
			worst, (long long)terms);
		if (at >= 0)
			plumb_append(j->why, sizeof j->why, " in layer %d", at);
		plumb_append(j->why, sizeof j->why, "; %s ends at %.5g", j->f->name, j->f->largest);
		j->stay = true;
	} else if (squares && terms > INT64_C(1) << j->f->bits) {
		plumb_format(j->why, sizeof j->why,
			"a sum of %lld squares: in %s it stops growing after %d equal terms", (long long)terms,
			j->f->name, 1 << j->f->bits);
		j->stay = true;
	}
}

/* softmax turns an absolute error of the top score into a relative one of its weights. */
static void narrow_scores(struct plumb_plan_row *j, const struct plumb_values *v)
{
	double top = 0;
	int at = -1;
	for (int i = 0; i < v->ranges; i++) {
		if (v->range[i].point != j->point || !(v->range[i].top > 0))
			continue;
		if (narrow_half_spacing(j->f, v->range[i].top) > SCORE_ERROR)
			narrow_blame(j, v->range[i].layer);
		if (v->range[i].top > top) {
			top = v->range[i].top;
			at = v->range[i].layer;
		}
	}
	double error = narrow_half_spacing(j->f, top);
	if (at < 0 || error <= SCORE_ERROR)
		return;
	j->stay = true;
	plumb_format(j->why, sizeof j->why,
		"a row's top score is %.4g in layer %d, rounded by up to %.3g in %s: softmax weights may change by a factor of %.3g",
		top, at, error, j->f->name, exp(error));
}

/* A channel that grows large and is taken back: the rounding of its large days stays. */
static enum plumb_status narrow_stream(struct plumb_plan_row *j, const struct plumb_capture *c)
{
	const struct plumb_captured *end = plumb_capture_at(c, c->layers - 1, PLUMB_POINT_OUTPUT);
	double most = RESIDUE;
	float *v = end ? malloc(sizeof *v * (size_t)end->width) : NULL;
	if (end && !v)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld values", (long long)end->width);
	for (int64_t row = 0; end && row < end->rows; row++) {
		double middle = plumb_median_abs(end->v + row * end->width, end->width, v);
		for (int64_t k = row * end->width; k < (row + 1) * end->width; k++) {
			double peak = 0, last = fabs((double)end->v[k]);
			for (int layer = 0; layer < c->layers; layer++) {
				const struct plumb_captured *p = plumb_capture_at(c, layer, PLUMB_POINT_OUTPUT);
				peak = p ? fmax(peak, fabs((double)p->v[k])) : peak;
			}
			double ratio = narrow_half_spacing(j->f, peak) / middle;
			if (!(ratio > most) || last > peak / 2 || !isfinite(peak))
				continue;
			most = ratio;
			j->stay = true;
			plumb_format(j->why, sizeof j->why,
				"channel %lld of position %lld passes %.4g and ends at %.4g: there its rounding in %s, up to %.3g, is %.1f times the typical value",
				(long long)(k % end->width), (long long)row, peak, last, j->f->name,
				narrow_half_spacing(j->f, peak), ratio);
		}
	}
	free(v);
	return PLUMB_OK;
}

/* Could rounding change the best token? */
static void narrow_logits(struct plumb_plan_row *j, const struct plumb_capture *c)
{
	const struct plumb_captured *p = plumb_capture_at(c, -1, PLUMB_POINT_LOGITS);
	if (!p || p->width < 2)
		return;
	const float *l = p->v + (p->rows - 1) * p->width;
	double best = -INFINITY, second = -INFINITY;
	for (int64_t i = 0; i < p->width; i++)
		if ((double)l[i] > best) {
			second = best;
			best = (double)l[i];
		} else if ((double)l[i] > second)
			second = (double)l[i];
	double error = narrow_half_spacing(j->f, best);
	if (!(2 * error > best - second))
		return;
	j->stay = true;
	plumb_format(j->why, sizeof j->why,
		"the two best are %.4g and %.4g, nearer than %s's spacing of %.3g there", best, second, j->f->name,
		2 * error);
}

static enum plumb_status narrow_judge(struct plumb_plan_row *j, const struct plumb_values *v)
{
	narrow_ranges(j, v);
	if (!j->stay)
		narrow_sums(j, v);
	if (!j->stay && j->point == PLUMB_POINT_ATTN_SCORES)
		narrow_scores(j, v);
	if (!j->stay && j->point == PLUMB_POINT_LOGITS)
		narrow_logits(j, v->c);
	if (!j->stay && (j->point == PLUMB_POINT_OUTPUT || j->point == PLUMB_POINT_ATTN_RESIDUAL))
		return narrow_stream(j, v->c);
	return PLUMB_OK;
}

enum plumb_status plumb_narrow_plan(
	struct plumb_diag *d, const struct plumb_values *v, bool bf16, struct plumb_plan *plan)
{
	int *layer = plan->layer = malloc(sizeof *layer * ((size_t)v->ranges + (size_t)v->sums + 1));
	if (!layer)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the plan of %d layers", v->c->layers);
	for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
		const struct plumb_made *made = plumb_model_made(d->port, point);
		bool met = false;
		for (int i = 0; i < v->ranges; i++)
			met |= v->range[i].point == point;
		for (int i = 0; i < v->sums; i++)
			met |= v->sum[i].point == point;
		if (!made || !met)
			continue;
		struct plumb_plan_row *row = &plan->row[plan->rows++];
		*row = (struct plumb_plan_row){ .f = &formats[bf16], .point = point, .op = made->op, .layer = layer };
		PLUMB_TRY(narrow_judge(row, v));
		layer += row->layers;
	}
	return PLUMB_OK;
}
