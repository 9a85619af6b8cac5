/* SPDX-License-Identifier: Apache-2.0 */
/* Where does our run leave the reference? The accumulated errors point by point in the order of evaluation, and the first that is
 * beyond what rounding explains. */
#include <stdio.h>
#include "diag/check/check.h"

static json_t *row(int layer, int point, const struct plumb_gap *gap)
{
	return json_pack("{s:i, s:s, s:o, s:o, s:o, s:b}", "layer", layer, "point", plumb_point_name(point), "rel",
		plumb_json_number(gap->m.rel),
		"floor", plumb_json_number(gap->floor), "excess", plumb_json_number(gap->excess), "ok", gap->ok);
}

/* Order of evaluation: embeddings, the layers, final norm, logits. */
static json_t *all_points(struct plumb_diag *d, const struct plumb_errors *e, json_t **first)
{
	json_t *points = json_array();
	for (int stage = 0; stage < d->layers + 2; stage++)
		for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
			int layer = stage && stage <= d->layers ? stage - 1 : -1;
			const struct plumb_gap *gap = plumb_gap_at(e, PLUMB_ACCUMULATED, layer, point);
			if (!gap || (layer < 0 && (stage == 0) != (point == PLUMB_POINT_EMBEDDINGS)))
				continue;
			plumb_diag_add(d, points, row(layer, point, gap));
			if (!gap->ok && !*first && !(*first = row(layer, point, gap)))
				d->lost = true;
		}
	return points;
}

static enum plumb_status run(struct plumb_diag *d, json_t **result)
{
	const struct plumb_errors *e;
	json_t *first = NULL;
	char text[512];
	PLUMB_TRY(plumb_diag_errors(d, &e));
	json_t *points = all_points(d, e, &first);
	long long layer = json_integer_value(json_object_get(first, "layer"));
	const char *name = json_string_value(json_object_get(first, "point"));
	if (!json_array_size(points))
		plumb_format(text, sizeof text, "The reference and this run have no point in common.");
	else if (!first)
		plumb_format(text, sizeof text, "None of the %zu points is further from the reference than %g times what rounding "
			"explains.", json_array_size(points), e->limit);
	else if (layer < 0)
		plumb_format(text, sizeof text, "%s is the first point that is further away than rounding explains: a relative "
			"error of %.3g where a right port shows %.2g.",
			name, json_number_value(json_object_get(first, "rel")), json_number_value(json_object_get(first, "floor")));
	else
		plumb_format(text, sizeof text, "Layer %lld, %s is the first point that is further away than rounding explains: a "
			"relative error of %.3g where a right port "
			"shows %.2g.", layer, name, json_number_value(json_object_get(first, "rel")),
				json_number_value(json_object_get(first, "floor")));
	*result = json_pack("{s:s, s:o, s:o, s:f, s:s}", "part", "diverge", "points", points, "first", first ? first : json_null(), "limit", e->limit, "text", text);
	return *result ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for the differences");
}

const struct plumb_check plumb_check_diverge = { "diverge", "Which capture point is the first beyond what rounding explains?", true,
	run };
