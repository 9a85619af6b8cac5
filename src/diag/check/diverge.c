/* SPDX-License-Identifier: Apache-2.0 */
/* Where does our run leave the reference? The accumulated errors point by point in the order of evaluation,
 * and the first that is beyond what rounding explains. */
#include "diag/check/check.h"

struct diverge {
	const struct plumb_errors *errors;
	int points;
	const struct plumb_gap *first; /* NULL: none */
	int layer, point;              /* of it */
	char text[512];
};

static enum plumb_status diverge_find(struct plumb_diag *d, void *result)
{
	struct diverge *r = result;
	const struct plumb_gap *gap;
	PLUMB_TRY(plumb_diag_errors(d, &r->errors));
	for (int layer = -1, point = -1; (gap = plumb_gap_next(r->errors, d->layers, &layer, &point));) {
		r->points++;
		if (gap->ok || r->first)
			continue;
		r->first = gap;
		r->layer = layer;
		r->point = point;
	}
	if (!r->points)
		plumb_format(r->text, sizeof r->text, "The reference and this run have no point in common.");
	else if (!r->first)
		plumb_format(r->text, sizeof r->text,
			"None of the %d points is further from the reference than %g times what rounding explains.",
			r->points, r->errors->limit);
	else {
		char where[32] = "";
		if (r->layer >= 0)
			plumb_format(where, sizeof where, "Layer %d, ", r->layer);
		plumb_format(r->text, sizeof r->text,
			"%s%s is the first point that is further away than rounding explains: a relative error of %.3g where a "
			"right port shows %.2g.",
			where, plumb_point_name(r->point), r->first->m.rel, r->first->floor);
	}
	return PLUMB_OK;
}

static json_t *point_json(int layer, int point, const struct plumb_gap *gap)
{
	return json_pack("{s:i, s:s, s:o, s:o, s:o, s:b}", "layer", layer, "point", plumb_point_name(point),
		"rel", plumb_json_number(gap->m.rel), "floor", plumb_json_number(gap->floor), "excess",
		plumb_json_number(gap->excess), "ok", gap->ok);
}

static json_t *diverge_emit(struct plumb_diag *d, const void *result)
{
	const struct diverge *r = result;
	const struct plumb_gap *gap;
	json_t *points = json_array();
	for (int layer = -1, point = -1; (gap = plumb_gap_next(r->errors, d->layers, &layer, &point));)
		plumb_diag_add(d, points, point_json(layer, point, gap));
	return json_pack("{s:s, s:o, s:o, s:f, s:s}", "part", "diverge", "points", points, "first",
		r->first ? point_json(r->layer, r->point, r->first) : json_null(), "limit", r->errors->limit, "text",
		r->text);
}

const struct plumb_check plumb_check_diverge = { "diverge",
	"Which capture point is the first beyond what rounding explains?", true, sizeof(struct diverge),
	diverge_find, diverge_emit, NULL };
