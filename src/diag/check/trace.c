/* SPDX-License-Identifier: Apache-2.0 */
/* A full run with every capture point logged: range, mean and deviation of our values, and, where the
 * reference has the point, how far it is. Judges nothing. */
#include <math.h>
#include "diag/check/check.h"

struct range {
	double min, max, mean, std;
	int64_t nan, inf;
};

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
		plumb_point_name(point), "rows", (json_int_t)p->rows, "width", (json_int_t)p->width, "min",
		plumb_json_number(r.min), "max", plumb_json_number(r.max), "mean", plumb_json_number(r.mean), "std",
		plumb_json_number(r.std), "nan", (json_int_t)r.nan, "inf", (json_int_t)r.inf, "measure",
		gap ? plumb_measure_json(&gap->m) : json_null());
}

/* Masked scores are infinite in any run. */
static bool strange(const struct plumb_plane *p, int point, int64_t *count)
{
	struct range r = range_of(p);
	*count = r.nan + (point == PLUMB_POINT_ATTN_SCORES ? 0 : r.inf);
	return *count > 0;
}

struct trace {
	const struct plumb_capture *ours;
	const struct plumb_errors *errors;
	char text[320];
}; /* errors NULL: no reference */

static bool wanted(const struct plumb_diag *d, int layer)
{
	return d->options.layer < 0 || d->options.layer == layer;
}

static enum plumb_status trace_find(struct plumb_diag *d, void *result)
{
	struct trace *r = result;
	int layer = -1, point = -1, seen = 0;
	int64_t count;
	char first[160] = "";
	PLUMB_TRY(plumb_diag_ours(d, &r->ours));
	if (d->reference)
		PLUMB_TRY(plumb_diag_errors(d, &r->errors));
	while (plumb_capture_next(r->ours, &layer, &point)) {
		seen += wanted(d, layer);
		if (wanted(d, layer) && !*first && strange(plumb_capture_at(r->ours, layer, point), point, &count))
			plumb_format(first, sizeof first,
				" The first with a NaN or an infinity is %s of layer %d (%lld of its values).",
				plumb_point_name(point), layer, (long long)count);
	}
	plumb_format(r->text, sizeof r->text, "%d points of %lld token%s.%s%s", seen, (long long)d->n,
		d->n > 1 ? "s" : "", *first ? first : " All their values are finite.",
		r->errors ? " Where the reference has the point, its distance is given." : "");
	return PLUMB_OK;
}

static json_t *trace_emit(struct plumb_diag *d, const void *result)
{
	const struct trace *r = result;
	json_t *points = json_array();
	for (int layer = -1, point = -1; plumb_capture_next(r->ours, &layer, &point);)
		if (wanted(d, layer))
			plumb_diag_add(d, points, row(layer, point, plumb_capture_at(r->ours, layer, point), r->errors));
	return json_pack("{s:s, s:o, s:s}", "part", "trace", "points", points, "text", r->text);
}

const struct plumb_check plumb_check_trace = { "trace", "What does each capture point of a run hold?", false,
	sizeof(struct trace), trace_find, trace_emit, NULL };
