/* SPDX-License-Identifier: Apache-2.0 */
/* Each layer alone: fed with the reference's input, does it make the reference's output? The errors come from errors.c. */
#include <stdio.h>
#include <string.h>
#include "diag/check/check.h"

static bool wanted(const struct plumb_diag *d, int layer)
{
	return d->options.layer < 0 || d->options.layer == layer;
}

static const char *const inputs[] = { [PLUMB_INPUT_OURS] = "ours", [PLUMB_INPUT_HYBRID] = "hybrid", [PLUMB_INPUT_REFERENCE] = "reference" };

static json_t *row(struct plumb_diag *d, int layer, const struct plumb_gap *gap)
{
	json_t *row = plumb_gap_json(gap);
	plumb_diag_put(d, row, "layer", json_integer(layer));
	plumb_diag_put(d, row, "input", plumb_json_text(inputs[plumb_isolation_input(d, layer)]));
	plumb_diag_put(d, row, "normed", json_boolean(gap->normed));
	if (gap->unsure)
		plumb_diag_put(d, row, "ok", json_null());
	return row;
}

static enum plumb_status run(struct plumb_diag *d, json_t **result)
{
	const struct plumb_errors *e;
	char text[512];
	int seen = 0, bad = 0, unsure = 0, first = -1, worst = -1;
	double most = 0;
	PLUMB_TRY(plumb_diag_errors(d, &e));
	json_t *layers = json_array();
	for (int layer = 0; layer < d->layers; layer++) {
		const struct plumb_gap *gap = plumb_gap_any(e, PLUMB_ISOLATED, layer, PLUMB_POINT_OUTPUT);
		if (!gap || !wanted(d, layer))
			continue;
		seen++;
		unsure += gap->unsure;
		if (!gap->ok && !gap->unsure && !bad++)
			first = layer;
		if (!gap->unsure && gap->excess >= most) {
			most = gap->excess;
			worst = layer;
		}
		plumb_diag_add(d, layers, row(d, layer, gap));
	}
	if (!seen)
		plumb_format(text, sizeof text, "The reference has no output of %s, so no layer can be looked at alone.",
			d->options.layer < 0 ? "any layer" : "this layer");
	else if (!bad)
		plumb_format(text, sizeof text, "Fed with the reference's input, %s the reference's output: the largest error is "
			"%.2g of what rounding explains, in layer %d "
			"(the limit is %g).", seen > 1 ? "every layer makes" : "the layer makes", most, worst, e->limit);
	else if (unsure)
		plumb_format(text, sizeof text, "Fed with the reference's input, layer %d makes another output, %.3g times as far away as rounding explains "
			"(the limit is %g).", first, most, e->limit);
	else
		plumb_format(text, sizeof text, "Fed with the reference's input, %d of %d layers make another output; the first "
			"is layer %d. The largest error is %.3g times "
			"what rounding explains, in layer %d (the limit is %g).", bad, seen, first, most, worst, e->limit);
	size_t used = strlen(text);
	if (unsure)
		plumb_format(text + used, sizeof text - used, " Of %d after layer %d nothing can be said: the reference has not all positions, and those "
			"that it lacks may differ there.", unsure, e->sure);
	*result = json_pack("{s:s, s:o, s:b, s:f, s:s}", "part", "isolate", "layers", layers, "hybrid", e->hybrid, "limit", e->limit, "text", text);
	return *result ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for the isolation");
}

const struct plumb_check plumb_check_isolate = { "isolate",
	"Which layer is wrong by itself, fed with the reference's own input?", true, run };
