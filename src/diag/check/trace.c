/* SPDX-License-Identifier: Apache-2.0 */
/* A full run with every capture point logged: range, mean and deviation of our values, and, where the reference has the point, how far
 * it is. Judges nothing. */
#include <math.h>
#include <stdio.h>
#include "diag/check/check.h"

struct range { double min, max, mean, std; int64_t nan, inf; };

static struct range range_of(const struct plumb_plane *p)
{
	struct range r = { INFINITY, -INFINITY, 0, 0, 0, 0 };
	double sum = 0, square = 0;
	int64_t n = p->rows * p->width, finite = 0;
	for (int64_t i = 0; i < n; i++) {
		double x = p->v[i];
		r.nan += isnan(x);
		r.inf += isinf(x) != 0;
		if (!isfinite(x))
			continue;
		finite++;
		sum += x;
		r.min = fmin(r.min, x);
		r.max = fmax(r.max, x);
	}
	r.mean = finite ? sum / (double)finite : 0;
	for (int64_t i = 0; i < n; i++)
		if (isfinite(p->v[i]))
			square += (p->v[i] - r.mean) * (p->v[i] - r.mean);
	r.std = finite ? sqrt(square / (double)finite) : 0;
	return r;
}

static json_t *row(int layer, int point, const struct plumb_plane *p, const struct plumb_errors *e)
{
	struct range r = range_of(p);
	const struct plumb_gap *gap = e ? plumb_gap_at(e, PLUMB_ACCUMULATED, layer, point) : NULL;
	return json_pack("{s:i, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "layer", layer, "point",
		plumb_point_name(point), "rows", (json_int_t)p->rows,
		"width", (json_int_t)p->width, "min", plumb_json_number(r.min), "max", plumb_json_number(r.max), "mean",
		plumb_json_number(r.mean), "std", plumb_json_number(r.std),
		"nan", (json_int_t)r.nan, "inf", (json_int_t)r.inf, "measure", gap ? plumb_measure_json(&gap->m) : json_null());
}

/* Masked scores are infinite in any run. */
static bool strange(const struct plumb_plane *p, int point, int64_t *count)
{
	struct range r = range_of(p);
	*count = r.nan + (point == PLUMB_POINT_ATTN_SCORES ? 0 : r.inf);
	return *count > 0;
}

static enum plumb_status run(struct plumb_diag *d, json_t **result)
{
	const struct plumb_errors *e = NULL;
	const struct plumb_capture *ours;
	int layer = -1, point = -1, seen = 0;
	int64_t count;
	char text[320], first[160] = "";
	PLUMB_TRY(plumb_diag_ours(d, &ours));
	if (d->reference)
		PLUMB_TRY(plumb_diag_errors(d, &e));
	json_t *points = json_array();
	while (plumb_capture_next(ours, &layer, &point)) {
		const struct plumb_plane *p = plumb_capture_at(ours, layer, point);
		if (d->options.layer >= 0 && d->options.layer != layer)
			continue;
		seen++;
		if (!*first && strange(p, point, &count))
			plumb_format(first, sizeof first, " The first with a NaN or an infinity is %s of layer %d (%lld of its values).",
				plumb_point_name(point), layer, (long long)count);
		plumb_diag_add(d, points, row(layer, point, p, e));
	}
	plumb_format(text, sizeof text, "%d points of %lld token%s.%s%s", seen, (long long)d->n, d->n > 1 ? "s" : "", *first ?
		first : " All their values are finite.",
		e ? " Where the reference has the point, its distance is given." : "");
	*result = json_pack("{s:s, s:o, s:s}", "part", "trace", "points", points, "text", text);
	return *result ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for the trace");
}

const struct plumb_check plumb_check_trace = { "trace", "What does each capture point of a run hold?", false, run };
