/* SPDX-License-Identifier: Apache-2.0 */
/* How near is a file of the reference to each of its readings: a layer off, normed, at another position,
 * scaled? Only measures; which reading is right is decided in convention.c. */
#include <math.h>
#include <stdlib.h>
#include "diag/check/check.h"

#define MOST_WORK 4e7 /* multiplications spent on other positions of one file */
#define OUTLIER 10.0  /* a value counts at most like one of so many times the usual size */

/* Weights for a row of the trusted run: a massive channel, which all layers carry and which would make them
 * all alike, counts no more than a large value does. The usual size is a mean that such a channel hardly
 * moves. */
static void convention_fit_weigh(const float *v, int64_t n, bool all_alike, float *weight)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		sum += isfinite(v[i]) ? sqrt(fabs((double)v[i])) : 0;
	double most = OUTLIER * (sum / (double)n) * (sum / (double)n);
	for (int64_t i = 0; i < n; i++)
		weight[i] = (float)(all_alike || !isfinite(v[i]) || fabs((double)v[i]) <= most
				? 1
				: most / fabs((double)v[i]));
}

/* ||a - b * scale|| / ||a||, weighted, where masked scores that agree do not count. */
static double convention_fit_distance(
	const float *a, const float *b, const float *weight, int64_t n, double scale)
{
	double error = 0, size = 0;
	for (int64_t i = 0; i < n; i++) {
		if (!isfinite(a[i]) && a[i] == b[i])
			continue;
		double d = weight[i] * (a[i] - scale * b[i]), x = weight[i] * (double)a[i];
		error += d * d;
		size += x * x;
	}
	return error == 0 ? 0 : size > 0 && isfinite(error) ? sqrt(error / size) : INFINITY;
}

static enum plumb_status convention_fit_norm_rows(
	struct plumb_judge *j, const struct plumb_captured *from, struct plumb_captured *to)
{
	if (from->rows > j->room) {
		free(j->normed);
		j->room = 0;
		if (!(j->normed = malloc(sizeof *j->normed * (size_t)(from->rows * from->width))))
			return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld normed rows", (long long)from->rows);
		j->room = from->rows;
	}
	for (int64_t i = 0; i < from->rows * from->width; i += from->width)
		plumb_rms_norm(j->normed + i, from->v + i, j->weight, from->width, j->eps);
	*to = *from;
	to->v = j->normed;
	return PLUMB_OK;
}

/* What the trusted run has where the file would belong under this reading; v NULL: nothing. */
static enum plumb_status convention_fit_target(
	struct plumb_judge *j, const struct plumb_file_case *f, int shift, bool normed, struct plumb_captured *to)
{
	int layer = f->layer + shift, point = f->point;
	*to = (struct plumb_captured){ NULL, 0, 0, 0 };
	if (normed && (!plumb_point_chained(point) || layer < 0 || !j->weight))
		return PLUMB_OK;
	if (plumb_point_chained(point))
		point = layer < 0 ? PLUMB_POINT_EMBEDDINGS : PLUMB_POINT_OUTPUT;
	const struct plumb_captured *p = layer >= -1 ? plumb_capture_at(j->trusted_run, layer, point) : NULL;
	if (!p || p->width != f->captured->width)
		return PLUMB_OK;
	*to = *p;
	return normed ? convention_fit_norm_rows(j, p, to) : PLUMB_OK;
}

static void convention_fit_add_guess(struct plumb_file_case *f, struct plumb_guess g)
{
	if (f->guesses < PLUMB_MOST_GUESSES)
		f->guess[f->guesses++] = g;
}

/* The declared position, and the best of the others. */
static void convention_fit_try_positions(
	struct plumb_file_case *f, const struct plumb_captured *t, const float *weight, int shift, bool normed)
{
	const struct plumb_captured *p = f->captured;
	struct plumb_guess declared = { shift, normed, p->first, 1, INFINITY }, other = declared;
	double work = (double)p->rows * (double)p->width * (double)t->rows;
	for (int64_t first = t->first; first + p->rows <= t->first + t->rows; first++) {
		if (first != p->first && (work > MOST_WORK || plumb_point_square(f->point)))
			continue;
		int64_t at = (first - t->first) * t->width;
		double e = convention_fit_distance(p->v, t->v + at, weight + at, p->rows * p->width, 1);
		struct plumb_guess *g = first == p->first ? &declared : &other;
		if (e < g->error) {
			g->error = e;
			g->first = first;
		}
	}
	if (isfinite(declared.error))
		convention_fit_add_guess(f, declared);
	if (isfinite(other.error))
		convention_fit_add_guess(f, other);
}

/* By a factor that is the same for all values: only where a bug within a layer could not do the same. */
static enum plumb_status convention_fit_try_scale(
	struct plumb_file_case *f, const struct plumb_captured *t, const float *weight, int shift)
{
	const struct plumb_captured *p = f->captured;
	double dot = 0, size = 0;
	if (p->first < t->first || p->first + p->rows > t->first + t->rows ||
		(!plumb_point_chained(f->point) && f->point < PLUMB_POINT_FINAL_NORM))
		return PLUMB_OK;
	const float *v = t->v + (p->first - t->first) * t->width,
				*counts = weight + (p->first - t->first) * t->width;
	float *room = malloc(sizeof *room * (size_t)p->width);
	if (!room)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld values", (long long)p->width);
	/* Every channel counted alike: else the rounding of one massive channel would pass for a factor. */
	for (int64_t r = 0; r < p->rows; r++) {
		double m = plumb_median_size(v + r * p->width, p->width, room);
		for (int64_t i = r * p->width; i < (r + 1) * p->width; i++) {
			double elementwise = v[i] != 0 || m > 0 ? 1 / ((double)v[i] * v[i] + m * m) : 0;
			dot += elementwise * p->v[i] * v[i];
			size += elementwise * v[i] * v[i];
		}
	}
	free(room);
	double scale = size > 0 ? dot / size : 0;
	if (isfinite(scale) && fabs(scale) > 1e-6 && fabs(scale - 1) > 0.01)
		convention_fit_add_guess(f,
			(struct plumb_guess){ shift, false, p->first, scale,
				convention_fit_distance(p->v, v, counts, p->rows * p->width, scale) });
	return PLUMB_OK;
}

/* One reading of a file: against `t`. */
static enum plumb_status convention_fit_consider_as(
	struct plumb_file_case *f, const struct plumb_captured *t, int shift, bool normed)
{
	float *weight = malloc(sizeof *weight * (size_t)(t->rows * t->width));
	enum plumb_status s = PLUMB_OK;
	if (!weight)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld weights", (long long)(t->rows * t->width));
	for (int64_t r = 0; r < t->rows; r++)
		convention_fit_weigh(
			t->v + r * t->width, t->width, plumb_point_square(f->point), weight + r * t->width);
	convention_fit_try_positions(f, t, weight, shift, normed);
	if (!normed)
		s = convention_fit_try_scale(f, t, weight, shift);
	free(weight);
	return s;
}

enum plumb_status plumb_convention_consider(struct plumb_judge *j, struct plumb_file_case *f)
{
	struct plumb_captured t;
	f->guesses = 0;
	for (int shift = -1; shift <= 1; shift++)
		for (int normed = 0; normed <= 1; normed++) {
			PLUMB_TRY(convention_fit_target(j, f, shift, normed, &t));
			if (t.v)
				PLUMB_TRY(convention_fit_consider_as(f, &t, shift, normed));
		}
	return PLUMB_OK;
}
