/* SPDX-License-Identifier: Apache-2.0 */
/* Each layer alone: fed with the reference's input, does it make the reference's output? The errors come from
 * errors.c. */
#include <string.h>
#include "diag/check/check.h"

static bool wanted(const struct plumb_diag *d, int layer)
{
	return d->options.layer < 0 || d->options.layer == layer;
}

static const char *const inputs[] = {
	[PLUMB_INPUT_OURS] = "ours", [PLUMB_INPUT_HYBRID] = "hybrid", [PLUMB_INPUT_REFERENCE] = "reference"
};

/* Where nothing can be said of a layer, `ok` is null. */
static json_t *layer_json(struct plumb_diag *d, int layer, const struct plumb_gap *gap)
{
	json_t *row = plumb_gap_json(gap);
	plumb_diag_put(d, row, "layer", json_integer(layer));
	plumb_diag_put(d, row, "input", plumb_json_text(inputs[plumb_isolation_input(d, layer)]));
	plumb_diag_put(d, row, "normed", json_boolean(gap->normed));
	if (gap->unsure)
		plumb_diag_put(d, row, "ok", json_null());
	return row;
}

struct isolate {
	const struct plumb_errors *errors;
	char text[512];
};

static const struct plumb_gap *gap_of(const struct plumb_diag *d, const struct plumb_errors *e, int layer)
{
	return wanted(d, layer) ? plumb_gap_any(e, PLUMB_ISOLATED, layer, PLUMB_POINT_OUTPUT) : NULL;
}

static enum plumb_status isolate_find(struct plumb_diag *d, void *result)
{
	struct isolate *r = result;
	int seen = 0, bad = 0, unsure = 0, first = -1, worst = -1;
	double most = 0;
	PLUMB_TRY(plumb_diag_errors(d, &r->errors));
	const struct plumb_errors *e = r->errors;
	for (int layer = 0; layer < d->layers; layer++) {
		const struct plumb_gap *gap = gap_of(d, e, layer);
		if (!gap)
			continue;
		seen++;
		unsure += gap->unsure;
		if (!gap->ok && !gap->unsure && !bad++)
			first = layer;
		if (!gap->unsure && gap->excess >= most) {
			most = gap->excess;
			worst = layer;
		}
	}
	if (!seen)
		plumb_format(r->text, sizeof r->text,
			"The reference has no output of %s, so no layer can be looked at alone.",
			d->options.layer < 0 ? "any layer" : "this layer");
	else if (!bad)
		plumb_format(r->text, sizeof r->text,
			"Fed with the reference's input, %s the reference's output: the largest error is "
			"%.2g of what rounding explains, in layer %d "
			"(the limit is %g).",
			seen > 1 ? "every layer makes" : "the layer makes", most, worst, e->limit);
	else if (unsure)
		plumb_format(r->text, sizeof r->text,
			"Fed with the reference's input, layer %d makes another output, %.3g times as far away as rounding explains "
			"(the limit is %g).",
			first, most, e->limit);
	else
		plumb_format(r->text, sizeof r->text,
			"Fed with the reference's input, %d of %d layers make another output; the first "
			"is layer %d. The largest error is %.3g times "
			"what rounding explains, in layer %d (the limit is %g).",
			bad, seen, first, most, worst, e->limit);
	size_t used = strlen(r->text);
	if (unsure)
		plumb_format(r->text + used, sizeof r->text - used,
			" Of %d after layer %d nothing can be said: the reference has not all positions, and those "
			"that it lacks may differ there.",
			unsure, e->sure);
	return PLUMB_OK;
}

static json_t *isolate_emit(struct plumb_diag *d, const void *result)
{
	const struct isolate *r = result;
	json_t *layers = json_array();
	for (int layer = 0; layer < d->layers; layer++)
		if (gap_of(d, r->errors, layer))
			plumb_diag_add(d, layers, layer_json(d, layer, gap_of(d, r->errors, layer)));
	return json_pack("{s:s, s:o, s:b, s:f, s:s}", "part", "isolate", "layers", layers, "hybrid",
		r->errors->hybrid, "limit", r->errors->limit, "text", r->text);
}

const struct plumb_check plumb_check_isolate = { "isolate",
	"Which layer is wrong by itself, fed with the reference's own input?", true, sizeof(struct isolate),
	isolate_find, isolate_emit, NULL };
