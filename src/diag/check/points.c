/* SPDX-License-Identifier: Apache-2.0 */
/* One table, a row for each capture point: how far our run is from the reference as errors accumulate, how
 * far when fed with the reference's values, and what our values are. Four checks are views of it. `diverge`:
 * the accumulated errors, in order of evaluation. `isolate`: the outputs of layers, each fed with the
 * reference's input. `components`: each point, fed with the reference's earlier points. `trace`: the values.
 * The gaps come from errors.c, the ranges from ranges.c. */
#include <math.h>
#include <string.h>
#include "diag/check/check.h"

enum view { DIVERGE, ISOLATE, COMPONENTS, TRACE };

struct row {
	int layer, point;
	bool head;                   /* COMPONENTS: the layers come first, then what is outside of them */
	const struct plumb_gap *gap; /* that the view judges, also one that proves nothing; NULL: none */
	const struct plumb_gap *accumulated;
	const struct plumb_captured *ours; /* TRACE */
};
#define BEFORE_ALL \
	{ \
		.layer = -1, .point = -1 \
	}

struct points {
	enum view view;
	const struct plumb_errors *errors; /* NULL: no reference */
	const struct plumb_capture *ours;  /* TRACE */
	int seen, bad, unsure;
	struct row first, worst; /* the first that is bad; the largest excess of those that prove something */
	char text[1200];
};

/* Alone, each point has the reference's earlier points; where it has none inside the layers, the layer's
 * input. */
static enum plumb_gap_kind points_kind(const struct points *r)
{
	if (r->view == COMPONENTS && r->errors->inner)
		return PLUMB_COMPONENT;
	return r->view == COMPONENTS || r->view == ISOLATE ? PLUMB_ISOLATED : PLUMB_ACCUMULATED;
}

static bool points_has(const struct plumb_diag *d, const struct points *r, const struct row *row)
{
	bool wanted = d->options.layer < 0 || d->options.layer == row->layer;
	switch (r->view) {
	case DIVERGE: return row->gap;
	case ISOLATE: return wanted && row->gap && row->point == PLUMB_POINT_OUTPUT;
	case TRACE: return wanted && row->ours;
	case COMPONENTS: break;
	}
	return wanted && row->head == (row->layer < 0) && (row->accumulated || (row->gap && !row->gap->unsure));
}

static bool points_next(const struct plumb_diag *d, const struct points *r, struct row *row)
{
	do {
		while (plumb_point_after(d->layers, &row->layer, &row->point)) {
			row->ours = r->ours ? plumb_capture_at(r->ours, row->layer, row->point) : NULL;
			if (r->errors) {
				row->gap = plumb_gap_any(r->errors, points_kind(r), row->layer, row->point);
				row->accumulated = plumb_gap_at(r->errors, PLUMB_ACCUMULATED, row->layer, row->point);
			}
			if (points_has(d, r, row))
				return true;
		}
		*row = (struct row){ .layer = -1, .point = -1, .head = !row->head };
	} while (r->view == COMPONENTS && row->head);
	return false;
}

/* How many values are not finite; masked scores are infinite in any run. */
static int64_t points_strange(const struct row *row)
{
	struct plumb_range range = plumb_range_of(row->layer, row->point, row->ours, true);
	return range.nan + (row->point == PLUMB_POINT_ATTN_SCORES ? 0 : range.inf);
}

static enum plumb_status points_find(struct plumb_diag *d, struct points *r, enum view view)
{
	struct row row = BEFORE_ALL;
	r->view = view;
	r->first = r->worst = row;
	if (view == TRACE)
		PLUMB_TRY(plumb_diag_ours(d, &r->ours));
	if (d->reference)
		PLUMB_TRY(plumb_diag_errors(d, &r->errors));
	while (points_next(d, r, &row)) {
		const struct plumb_gap *gap = row.gap;
		bool proves = gap && !gap->unsure;
		r->seen++;
		r->unsure += gap && gap->unsure;
		if ((view == TRACE ? points_strange(&row) > 0 : proves && !gap->ok) && !r->bad++)
			r->first = row;
		if (proves && gap->excess >= (r->worst.gap ? r->worst.gap->excess : 0))
			r->worst = row;
	}
	return PLUMB_OK;
}

static json_t *points_rows(
	struct plumb_diag *d, const struct points *r, json_t *(*make)(struct plumb_diag *, const struct row *))
{
	json_t *rows = json_array();
	for (struct row row = BEFORE_ALL; points_next(d, r, &row);)
		plumb_diag_add(d, rows, make(d, &row));
	return rows;
}

static json_t *points_measure(const struct plumb_gap *gap)
{
	return gap ? plumb_measure_json(&gap->m) : json_null();
}

/* --- diverge --- */

static enum plumb_status points_diverge(struct plumb_diag *d, void *result)
{
	struct points *r = result;
	PLUMB_TRY(points_find(d, r, DIVERGE));
	if (r->first.layer >= 0)
		plumb_format(r->text, sizeof r->text, "Layer %d, ", r->first.layer);
	if (!r->seen)
		plumb_format(r->text, sizeof r->text, "The reference and this run have no point in common.");
	else if (!r->bad)
		plumb_format(r->text, sizeof r->text,
			"None of the %d points is further from the reference than %g times what rounding explains.",
			r->seen, r->errors->limit);
	else
		plumb_append(r->text, sizeof r->text,
			"%s is the first point that is further away than rounding explains: a relative error of %.3g where a "
			"right port shows %.2g.",
			plumb_point_name(r->first.point), r->first.gap->m.rel, r->first.gap->floor);
	return PLUMB_OK;
}

static json_t *points_diverge_row(struct plumb_diag *d, const struct row *row)
{
	(void)d;
	return json_pack("{s:i, s:s, s:o, s:o, s:o, s:b}", "layer", row->layer, "point",
		plumb_point_name(row->point), "rel", plumb_json_number(row->gap->m.rel), "floor",
		plumb_json_number(row->gap->floor), "excess", plumb_json_number(row->gap->excess), "ok",
		row->gap->ok);
}

static json_t *points_diverge_emit(struct plumb_diag *d, const void *result)
{
	const struct points *r = result;
	return json_pack("{s:s, s:o, s:o, s:f, s:s}", "part", "diverge", "points",
		points_rows(d, r, points_diverge_row), "first",
		r->bad ? points_diverge_row(d, &r->first) : json_null(), "limit", r->errors->limit, "text", r->text);
}

/* --- isolate --- */

static enum plumb_status points_isolate(struct plumb_diag *d, void *result)
{
	struct points *r = result;
	PLUMB_TRY(points_find(d, r, ISOLATE));
	double most = r->worst.gap ? r->worst.gap->excess : 0, limit = r->errors->limit;
	if (!r->seen)
		plumb_format(r->text, sizeof r->text,
			"The reference has no output of %s, so no layer can be looked at alone.",
			d->options.layer < 0 ? "any layer" : "this layer");
	else if (!r->bad)
		plumb_format(r->text, sizeof r->text,
			"Fed with the reference's input, %s the reference's output: the largest error is "
			"%.2g of what rounding explains, in layer %d (the limit is %g).",
			r->seen > 1 ? "every layer makes" : "the layer makes", most, r->worst.layer, limit);
	else if (r->unsure)
		plumb_format(r->text, sizeof r->text,
			"Fed with the reference's input, layer %d makes another output, %.3g times as far away as rounding "
			"explains (the limit is %g).",
			r->first.layer, most, limit);
	else
		plumb_format(r->text, sizeof r->text,
			"Fed with the reference's input, %d of %d layers make another output; the first is layer %d. The "
			"largest error is %.3g times what rounding explains, in layer %d (the limit is %g).",
			r->bad, r->seen, r->first.layer, most, r->worst.layer, limit);
	if (r->unsure)
		plumb_append(r->text, sizeof r->text,
			" Of %d after layer %d nothing can be said: the reference has not all positions, and those "
			"that it lacks may differ there.",
			r->unsure, r->errors->sure);
	return PLUMB_OK;
}

/* Where nothing can be said of a layer, `ok` is null. */
static json_t *points_isolate_row(struct plumb_diag *d, const struct row *row)
{
	static const char *const inputs[] = {
		[PLUMB_INPUT_OURS] = "ours", [PLUMB_INPUT_HYBRID] = "hybrid", [PLUMB_INPUT_REFERENCE] = "reference"
	};
	json_t *json = plumb_gap_json(row->gap);
	plumb_diag_put(d, json, "layer", json_integer(row->layer));
	plumb_diag_put(d, json, "input", plumb_json_text(inputs[plumb_isolation_input(d, row->layer)]));
	plumb_diag_put(d, json, "normed", json_boolean(row->gap->normed));
	if (row->gap->unsure)
		plumb_diag_put(d, json, "ok", json_null());
	return json;
}

static json_t *points_isolate_emit(struct plumb_diag *d, const void *result)
{
	const struct points *r = result;
	return json_pack("{s:s, s:o, s:b, s:f, s:s}", "part", "isolate", "layers",
		points_rows(d, r, points_isolate_row), "hybrid", r->errors->hybrid, "limit", r->errors->limit, "text",
		r->text);
}

/* --- components --- */

static enum plumb_status points_components(struct plumb_diag *d, void *result)
{
	struct points *r = result;
	PLUMB_TRY(points_find(d, r, COMPONENTS));
	if (!r->seen)
		plumb_format(r->text, sizeof r->text, "The reference has no values there.");
	else if (!r->bad)
		plumb_format(r->text, sizeof r->text,
			"Every component that the reference has makes the reference's values from the reference's values%s.",
			r->errors->inner ? "" : "; it has no points inside the layers, so this is of whole layers");
	else
		plumb_format(r->text, sizeof r->text,
			"The first component that is wrong by itself: %s%s%d%s. The reference's values go in and others come "
			"out, %.3g times as far away as rounding explains.",
			plumb_point_name(r->first.point), r->first.layer < 0 ? " (after the layers; " : " of layer ",
			r->first.layer, r->first.layer < 0 ? ")" : "", r->first.gap->excess);
	if (r->errors->cancels)
		strcat(r->text, " ");
	return plumb_cancel_describe(d, r->errors, r->text + strlen(r->text), sizeof r->text - strlen(r->text));
}

static json_t *points_components_row(const struct row *row)
{
	const struct plumb_gap *all = row->accumulated, *one = row->gap && !row->gap->unsure ? row->gap : NULL;
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "point", plumb_point_name(row->point),
		"isolated", points_measure(one), "accumulated", points_measure(all), "floor_isolated",
		plumb_json_number(one ? one->floor : NAN), "floor_accumulated",
		plumb_json_number(all ? all->floor : NAN), "excess_isolated",
		plumb_json_number(one ? one->excess : NAN), "excess_accumulated",
		plumb_json_number(all ? all->excess : NAN), "ok",
		row->gap && !one ? json_null() : json_boolean(one ? one->ok : all->ok));
}

static json_t *points_components_emit(struct plumb_diag *d, const void *result)
{
	const struct points *r = result;
	json_t *layers = json_array(), *points = NULL;
	int last = d->layers;
	for (struct row row = BEFORE_ALL; points_next(d, r, &row); last = row.layer) {
		if (row.layer != last) {
			plumb_diag_add(d, layers, json_pack("{s:i, s:[]}", "layer", row.layer, "points"));
			points = json_object_get(json_array_get(layers, json_array_size(layers) - 1), "points");
		}
		plumb_diag_add(d, points, points_components_row(&row));
	}
	return json_pack("{s:s, s:o, s:o, s:b, s:f, s:s}", "part", "components", "layers", layers, "first_bad",
		!r->bad ? json_null()
				: json_pack("{s:i, s:s, s:o}", "layer", r->first.layer, "point",
					  plumb_point_name(r->first.point), "excess", plumb_json_number(r->first.gap->excess)),
		"inner", r->errors->inner, "limit", r->errors->limit, "text", r->text);
}

/* --- trace: judges nothing --- */

static enum plumb_status points_trace(struct plumb_diag *d, void *result)
{
	struct points *r = result;
	char first[160] = " All their values are finite.";
	PLUMB_TRY(points_find(d, r, TRACE));
	if (r->bad)
		plumb_format(first, sizeof first,
			" The first with a NaN or an infinity is %s of layer %d (%lld of its values).",
			plumb_point_name(r->first.point), r->first.layer, (long long)points_strange(&r->first));
	plumb_format(r->text, sizeof r->text, "%d points of %lld token%s.%s%s", r->seen, (long long)d->n,
		d->n > 1 ? "s" : "", first,
		r->errors ? " Where the reference has the point, its distance is given." : "");
	return PLUMB_OK;
}

static json_t *points_trace_row(struct plumb_diag *d, const struct row *row)
{
	struct plumb_range range = plumb_range_of(row->layer, row->point, row->ours, true);
	(void)d;
	return json_pack("{s:i, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "layer", row->layer, "point",
		plumb_point_name(row->point), "rows", (json_int_t)row->ours->rows, "width",
		(json_int_t)row->ours->width, "min", plumb_json_number(range.min), "max",
		plumb_json_number(range.max), "mean", plumb_json_number(range.mean), "std",
		plumb_json_number(plumb_range_std(&range, row->ours)), "nan", (json_int_t)range.nan, "inf",
		(json_int_t)range.inf, "measure", points_measure(row->accumulated));
}

static json_t *points_trace_emit(struct plumb_diag *d, const void *result)
{
	const struct points *r = result;
	return json_pack(
		"{s:s, s:o, s:s}", "part", "trace", "points", points_rows(d, r, points_trace_row), "text", r->text);
}

#define CHECK(name, reference, question) \
	const struct plumb_check plumb_check_##name = { #name, question, reference, sizeof(struct points), \
		points_##name, points_##name##_emit, NULL }
CHECK(diverge, true, "Which capture point is the first beyond what rounding explains?");
CHECK(isolate, true, "Which layer is wrong by itself, fed with the reference's own input?");
CHECK(components, true, "Which component is wrong by itself, fed with the reference's own input?");
CHECK(trace, false, "What does each capture point of a run hold?");
