/* SPDX-License-Identifier: Apache-2.0 */
/* Each component of a layer: fed with the reference's values of the points before it, and fed with ours. The first that is wrong by
 * itself is where to look. The errors come from errors.c. */
#include <stdio.h>
#include <string.h>
#include "diag/check/check.h"

static json_t *floor_of(const struct plumb_gap *gap)
{
	return gap ? plumb_json_number(gap->floor) : json_null();
}

static json_t *measure_of(const struct plumb_gap *gap)
{
	return gap ? plumb_measure_json(&gap->m) : json_null();
}

static json_t *excess_of(const struct plumb_gap *gap)
{
	return gap ? plumb_json_number(gap->excess) : json_null();
}

/* Alone, each point has the reference's earlier points; where it has none inside the layers, the layer's input. */
static const struct plumb_gap *alone(const struct plumb_errors *e, int layer, int point)
{
	return plumb_gap_at(e, e->inner ? PLUMB_COMPONENT : PLUMB_ISOLATED, layer, point);
}

static json_t *points_of(struct plumb_diag *d, const struct plumb_errors *e, int layer, json_t **first)
{
	json_t *points = json_array();
	for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
		const struct plumb_gap *one = alone(e, layer, point), *all = plumb_gap_at(e, PLUMB_ACCUMULATED, layer, point);
		if (!one && !all)
			continue;
		const struct plumb_gap *any = plumb_gap_any(e, e->inner ? PLUMB_COMPONENT : PLUMB_ISOLATED, layer, point);
		bool unsure = any && any->unsure, ok = one ? one->ok : all && all->ok;
		if (one && !ok && !*first && !(*first = json_pack("{s:i, s:s, s:o}", "layer", layer, "point", plumb_point_name(point), "excess", excess_of(one))))
			d->lost = true;
		plumb_diag_add(d, points, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "point", plumb_point_name(point),
			"isolated", measure_of(one), "accumulated", measure_of(all), "floor_isolated", floor_of(one),
			"floor_accumulated", floor_of(all),
			"excess_isolated", excess_of(one), "excess_accumulated", excess_of(all), "ok", unsure ? json_null() : json_boolean(ok)));
	}
	return points;
}

static void say(char *text, size_t size, const struct plumb_errors *e, const json_t *first, bool any)
{
	if (!any)
		plumb_format(text, size, "The reference has no values there.");
	else if (!first)
		plumb_format(text, size, "Every component that the reference has makes the reference's values from the reference's values%s.",
			e->inner ? "" : "; it has no points inside the layers, so this is of whole layers");
	else
		plumb_format(text, size, "The first component that is wrong by itself: %s%s%lld%s. The reference's values go in "
			"and others come out, %.3g times as far away as "
			"rounding explains.", json_string_value(json_object_get(first, "point")),
				json_integer_value(json_object_get(first, "layer")) < 0 ? " (after the layers; " : " of layer ",
			(long long)json_integer_value(json_object_get(first, "layer")), json_integer_value(json_object_get(first,
			"layer")) < 0 ? ")" : "", json_number_value(json_object_get(first, "excess")));
}

static enum plumb_status run(struct plumb_diag *d, json_t **result)
{
	const struct plumb_errors *e;
	json_t *first = NULL;
	char text[1200];
	PLUMB_TRY(plumb_diag_errors(d, &e));
	json_t *layers = json_array();
	for (int i = 0; i <= d->layers; i++) {
		int layer = i < d->layers ? i : -1; /* the head comes last */
		if (d->options.layer >= 0 && d->options.layer != layer)
			continue;
		json_t *points = points_of(d, e, layer, &first);
		d->lost |= !points;
		if (json_array_size(points))
			plumb_diag_add(d, layers, json_pack("{s:i, s:O}", "layer", layer, "points", points));
		json_decref(points);
	}
	say(text, 512, e, first, json_array_size(layers) > 0);
	if (e->cancels)
		strcat(text, " ");
	enum plumb_status s = plumb_cancel_tell(d, e, text + strlen(text), sizeof text - strlen(text));
	*result = json_pack("{s:s, s:o, s:o, s:b, s:f, "
		"s:s}", "part", "components", "layers", layers, "first_bad", first ? first : json_null(),
		"inner", e->inner, "limit", e->limit, "text", text);
	return s ? s : *result ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for the components");
}

const struct plumb_check plumb_check_components = { "components", "Which component is wrong by itself, fed with the reference's own input?", true,
	run };
