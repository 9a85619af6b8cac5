/* SPDX-License-Identifier: Apache-2.0 */
/* Each component of a layer: fed with the reference's values of the points before it, and fed with ours. The
 * first that is wrong by itself is where to look. The errors come from errors.c. */
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

/* Alone, each point has the reference's earlier points; where it has none inside the layers, the layer's
 * input. */
static const struct plumb_gap *alone(const struct plumb_errors *e, int layer, int point)
{
	return plumb_gap_at(e, e->inner ? PLUMB_COMPONENT : PLUMB_ISOLATED, layer, point);
}

/* The first component that is wrong by itself; point -1: none. */
struct components {
	const struct plumb_errors *errors;
	int layer, point;
	double excess;
	bool any;
	char text[1200];
};

/* Layers in order, the head last. */
static int layer_at(const struct plumb_diag *d, int i) { return i < d->layers ? i : -1; }

static bool wanted(const struct plumb_diag *d, int layer)
{
	return d->options.layer < 0 || d->options.layer == layer;
}

static void find_first(struct plumb_diag *d, struct components *r)
{
	r->point = -1;
	for (int i = 0; i <= d->layers; i++)
		for (int point = 0; wanted(d, layer_at(d, i)) && point < PLUMB_POINT_COUNT; point++) {
			const struct plumb_gap *one = alone(r->errors, layer_at(d, i), point);
			r->any |= one || plumb_gap_at(r->errors, PLUMB_ACCUMULATED, layer_at(d, i), point);
			if (!one || one->ok || r->point >= 0)
				continue;
			r->layer = layer_at(d, i);
			r->point = point;
			r->excess = one->excess;
		}
}

static void describe(struct components *r)
{
	const size_t size = 512;
	if (!r->any)
		plumb_format(r->text, size, "The reference has no values there.");
	else if (r->point < 0)
		plumb_format(r->text, size,
			"Every component that the reference has makes the reference's values from the reference's values%s.",
			r->errors->inner ? "" : "; it has no points inside the layers, so this is of whole layers");
	else
		plumb_format(r->text, size,
			"The first component that is wrong by itself: %s%s%d%s. The reference's values go in and others come out, "
			"%.3g times as far away as rounding explains.",
			plumb_point_name(r->point), r->layer < 0 ? " (after the layers; " : " of layer ", r->layer,
			r->layer < 0 ? ")" : "", r->excess);
}

static enum plumb_status components_find(struct plumb_diag *d, void *result)
{
	struct components *r = result;
	PLUMB_TRY(plumb_diag_errors(d, &r->errors));
	find_first(d, r);
	describe(r);
	if (r->errors->cancels)
		strcat(r->text, " ");
	return plumb_cancel_tell(d, r->errors, r->text + strlen(r->text), sizeof r->text - strlen(r->text));
}

static json_t *points_json(struct plumb_diag *d, const struct plumb_errors *e, int layer)
{
	json_t *points = json_array();
	for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
		const struct plumb_gap *one = alone(e, layer, point),
							   *all = plumb_gap_at(e, PLUMB_ACCUMULATED, layer, point);
		if (!one && !all)
			continue;
		const struct plumb_gap *any = plumb_gap_any(
			e, e->inner ? PLUMB_COMPONENT : PLUMB_ISOLATED, layer, point);
		bool unsure = any && any->unsure, ok = one ? one->ok : all->ok;
		plumb_diag_add(d, points,
			json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "point", plumb_point_name(point),
				"isolated", measure_of(one), "accumulated", measure_of(all), "floor_isolated", floor_of(one),
				"floor_accumulated", floor_of(all), "excess_isolated", excess_of(one), "excess_accumulated",
				excess_of(all), "ok", unsure ? json_null() : json_boolean(ok)));
	}
	return points;
}

static json_t *components_emit(struct plumb_diag *d, const void *result)
{
	const struct components *r = result;
	json_t *layers = json_array();
	for (int i = 0; i <= d->layers; i++) {
		int layer = layer_at(d, i);
		json_t *points = wanted(d, layer) ? points_json(d, r->errors, layer) : NULL;
		if (json_array_size(points))
			plumb_diag_add(d, layers, json_pack("{s:i, s:O}", "layer", layer, "points", points));
		json_decref(points);
	}
	return json_pack("{s:s, s:o, s:o, s:b, s:f, s:s}", "part", "components", "layers", layers, "first_bad",
		r->point < 0 ? json_null()
					 : json_pack("{s:i, s:s, s:o}", "layer", r->layer, "point", plumb_point_name(r->point),
						   "excess", plumb_json_number(r->excess)),
		"inner", r->errors->inner, "limit", r->errors->limit, "text", r->text);
}

const struct plumb_check plumb_check_components = { "components",
	"Which component is wrong by itself, fed with the reference's own input?", true,
	sizeof(struct components), components_find, components_emit, NULL };
