/* SPDX-License-Identifier: Apache-2.0 */
/* The values of every capture point of a run in numbers: range, mean, deviation, what is not finite. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include "diag/check/check.h"

/* A prompt's scores are {heads * n, n}; a query does not see the keys behind it. */
static int64_t ranges_seen(const struct plumb_captured *p, int point, int64_t row, bool masked)
{
	return point == PLUMB_POINT_ATTN_SCORES && !masked ? row % p->width + 1 : p->width;
}

struct plumb_range plumb_range_of(int layer, int point, const struct plumb_captured *p, bool masked)
{
	struct plumb_range range = { .layer = layer, .point = point, .bad = -1 }, *r = &range;
	double sum = 0, squares = 0;
	int64_t n = 0;
	r->min = r->max = r->top = NAN;
	for (int64_t row = 0; row < p->rows; row++) {
		double top = -INFINITY;
		int64_t seen = ranges_seen(p, r->point, row, masked);
		for (int64_t i = row * p->width; i < row * p->width + seen; i++) {
			double x = (double)p->v[i];
			if (!isfinite(x)) {
				*(isnan(x) ? &r->nan : &r->inf) += 1;
				r->bad = r->bad < 0 ? i : r->bad;
				continue;
			}
			r->denormal += x != 0 && fabs(x) < (double)FLT_MIN;
			r->min = x >= r->min ? r->min : x;
			r->max = x <= r->max ? r->max : x;
			top = x > top ? x : top;
			sum += x;
			squares += x * x;
			n++;
		}
		if (r->point == PLUMB_POINT_ATTN_SCORES && seen > 1 && isfinite(top))
			r->top = fabs(top) <= r->top ? r->top : fabs(top);
	}
	r->rms = n ? sqrt(squares / (double)n) : NAN;
	r->mean = n ? sum / (double)n : 0;
	return range;
}

double plumb_range_std(const struct plumb_range *r, const struct plumb_captured *p)
{
	double squares = 0;
	int64_t n = 0;
	for (int64_t i = 0; i < p->rows * p->width; i++)
		if (isfinite(p->v[i])) {
			squares += ((double)p->v[i] - r->mean) * ((double)p->v[i] - r->mean);
			n++;
		}
	return n ? sqrt(squares / (double)n) : 0;
}

enum plumb_status plumb_ranges_of(const struct plumb_capture *c, struct plumb_range **range, int *ranges)
{
	*ranges = 0;
	if (!(*range = calloc(((size_t)c->layers + 1) * PLUMB_POINT_COUNT, sizeof **range)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the ranges of %d layers", c->layers);
	for (int layer = -1, point = -1; plumb_capture_next(c, &layer, &point);)
		(*range)[(*ranges)++] = plumb_range_of(layer, point, plumb_capture_at(c, layer, point), false);
	return PLUMB_OK;
}
