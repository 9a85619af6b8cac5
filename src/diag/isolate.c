/* SPDX-License-Identifier: Apache-2.0 */
/* Each layer alone: fed with the reference's input, does it make the reference's output? The errors come from errors.c. */
#include <stdio.h>
#include "diag/diag.h"

static bool wanted(const struct plumb_diag *d, int layer)
{
	return d->options.layer < 0 || d->options.layer == layer;
}

static json_t *row(struct plumb_diag *d, int layer, const struct plumb_gap *gap)
{
	json_t *row = plumb_gap_json(gap);
	plumb_diag_put(d, row, "layer", json_integer(layer));
	plumb_diag_put(d, row, "input", json_string(plumb_isolation_input(d, layer)));
	plumb_diag_put(d, row, "normed", json_boolean(gap->normed));
	return row;
}

static enum plumb_status run(struct plumb_diag *d, json_t **result)
{
	const struct plumb_errors *e;
	char text[512];
	int seen = 0, bad = 0, first = -1, worst = -1;
	double most = 0;
	PLUMB_TRY(plumb_diag_errors(d, &e));
	json_t *layers = json_array();
	for (int layer = 0; layer < d->layers; layer++) {
		const struct plumb_gap *gap = plumb_gap_at(e, PLUMB_ISOLATED, layer, PLUMB_POINT_OUTPUT);
		if (!gap || !wanted(d, layer))
			continue;
		seen++;
		if (!gap->ok && !bad++)
			first = layer;
		if (gap->excess >= most) {
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
	else
		plumb_format(text, sizeof text, "Fed with the reference's input, %d of %d layers make another output; the first "
			"is layer %d. The largest error is %.3g times "
			"what rounding explains, in layer %d (the limit is %g).", bad, seen, first, most, worst, e->limit);
	*result = json_pack("{s:s, s:o, s:b, s:f, s:s}", "part", "isolate", "layers", layers, "hybrid", e->hybrid, "limit", e->limit, "text", text);
	return *result ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for the isolation");
}

const struct plumb_diag_row plumb_diag_isolate = { "isolate",
	"does each layer alone make the reference's output from the reference's input?", true, run };
