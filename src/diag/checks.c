/* SPDX-License-Identifier: Apache-2.0 */
/* Every check, declared once: its place, its share of a report, and its tables. The only file that names all
 * checks. */
#include <string.h>
#include "diag/check/check.h"
#include "diag/checks.h"

#define T PLUMB_CELL_TEXT
#define N PLUMB_CELL_WHOLE
#define R PLUMB_CELL_REAL
#define S PLUMB_CELL_SMALL
#define X PLUMB_CELL_TIMES

static const char *checks_text(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));
	return text ? text : "";
}

/* --- rows that a report shows first --- */

static bool checks_bad(const json_t *row) { return json_is_false(json_object_get(row, "ok")); }

static bool checks_unusual(const json_t *row) { return *checks_text(row, "unusual"); }

static bool checks_unusual_layer(const json_t *row)
{
	return json_array_size(json_object_get(row, "unusual")) > 0;
}

/* Only what must stay in float32 asks for something. */
static bool checks_wide(const json_t *row) { return !strcmp(checks_text(row, "keep"), "float32"); }

static bool checks_not_raw(const json_t *row) { return strcmp(checks_text(row, "winner"), "raw") != 0; }

/* Close to the end of fp16, or past it. */
static bool checks_tight(const json_t *row)
{
	double bits = plumb_json_real(row, "fp16_bits");
	return !(bits > 3) || plumb_json_real(row, "nan") > 0 || plumb_json_real(row, "inf") > 0;
}

static bool checks_likely(const json_t *row) { return plumb_json_real(row, "score") >= 0.05; }

static bool checks_never(const json_t *row)
{
	(void)row;
	return false;
}

/* --- rows of special's tables --- */

static bool checks_acts(const json_t *row)
{
	return json_object_get(row, "before") || json_object_get(row, "to") || json_object_get(row, "std_before");
}

static bool checks_weighed(const json_t *row)
{
	return json_object_get(row, "neuron") || json_object_get(row, "norm_rank");
}

static bool checks_stands_out(const json_t *row) { return json_object_get(row, "unusual"); }

/* --- tables --- */

static const struct plumb_table growth = { .title = "Layer by layer",
	.rows = "layers",
	.column = { { "layer", "layer", N }, { "relative", "measure.rel", S }, { "floor", "floor", S },
		{ "isolated", "isolated.rel", S }, { "growth", "growth_rel", X }, { "mean abs", "raw.mean_abs", S },
		{ "growth", "growth_abs", X }, { "std", "std_ours", R }, { "max", "max_ours", R },
		{ "role", "role", T }, { "cause", "cause", T } } };
static const struct plumb_table jumps = { .title = "Jumps",
	.rows = "jumps",
	.folded = true,
	.brief = checks_never,
	.column = { { "from", "from", N }, { "to", "to", N }, { "absolute", "growth_abs", X },
		{ "relative", "growth_rel", X }, { "kind", "kind", T }, { "why", "text", T } } };
static const struct plumb_table isolated = { .title = "Each layer from the reference's input",
	.rows = "layers",
	.column = { { "layer", "layer", N }, { "input", "input", T }, { "relative", "measure.rel", S },
		{ "floor", "floor", S }, { "excess", "excess", R }, { "max abs", "measure.max_abs", S },
		{ "mean abs", "measure.mean_abs", S }, { "cosine", "measure.cosine", PLUMB_CELL_FINE },
		{ "mean ulp", "measure.mean_ulp", R }, { "max ulp", "measure.max_ulp", R },
		{ "good", "ok", PLUMB_CELL_FLAG } } };
static const struct plumb_table components = { .title = "Each component",
	.rows = "layers",
	.inner = "points",
	.brief = checks_bad,
	.none = "No component is beyond what rounding explains.",
	.column = { { "layer", "^layer", N }, { "point", "point", T }, { "isolated", "isolated.rel", S },
		{ "floor", "floor_isolated", S }, { "accumulated", "accumulated.rel", S },
		{ "floor", "floor_accumulated", S }, { "max abs", "accumulated.max_abs", S },
		{ "good", "ok", PLUMB_CELL_FLAG } } };
static const struct plumb_table diverge = { .title = "Each capture point in order",
	.rows = "points",
	.brief = checks_bad,
	.none = "None diverges.",
	.column = { { "layer", "layer", N }, { "point", "point", T }, { "relative", "rel", S },
		{ "floor", "floor", S }, { "excess", "excess", R }, { "good", "ok", PLUMB_CELL_FLAG } } };
static const struct plumb_table trace = { .title = "Values",
	.rows = "points",
	.column = { { "layer", "layer", N }, { "point", "point", T }, { "rows", "rows", N },
		{ "width", "width", N }, { "min", "min", R }, { "max", "max", R }, { "mean", "mean", R },
		{ "std", "std", R }, { "NaN", "nan", N }, { "inf", "inf", N },
		{ "relative error", "measure.rel", S } } };
static const struct plumb_table tensors = { .title = "Tensors",
	.rows = "tensors",
	.brief = checks_unusual,
	.none = "No tensor is unusual.",
	.column = { { "tensor", "name", T }, { "shape", "shape", T }, { "type", "type", T },
		{ "mean", "mean", R }, { "std", "std", R }, { "max", "max", R }, { "kurtosis", "kurtosis", R },
		{ "unusual", "unusual", T } } };
static const struct plumb_table layers = { .title = "Unusual layers",
	.rows = "layers",
	.brief = checks_unusual_layer,
	.none = "No layer is unusual.",
	.column = { { "layer", "layer", N }, { "why", "unusual", T } } };
static const struct plumb_table fp16 = { .title = "Operators in fp16",
	.rows = "plan.fp16",
	.brief = checks_wide,
	.none = "Nothing.",
	.column = { { "operator", "operator", T }, { "keep", "keep", T }, { "why", "why", T } } };
static const struct plumb_table bf16 = { .title = "Operators in bf16",
	.rows = "plan.bf16",
	.brief = checks_wide,
	.none = "Nothing.",
	.column = { { "operator", "operator", T }, { "keep", "keep", T }, { "why", "why", T } } };
static const struct plumb_table sums = { .title = "Largest sums inside of operators",
	.rows = "accumulators",
	.brief = checks_never,
	.column = { { "layer", "layer", N }, { "point", "point", T }, { "largest sum", "worst_sum", R },
		{ "bits of room, fp16", "fp16_bits", R } } };
static const struct plumb_table ranges = { .title = "Ranges and room",
	.rows = "points",
	.brief = checks_tight,
	.none = "All values have 3 bits of room in fp16.",
	.column = { { "layer", "layer", N }, { "point", "point", T }, { "min", "min", R }, { "max", "max", R },
		{ "NaN", "nan", N }, { "inf", "inf", N }, { "denormal", "denormal", N },
		{ "bits of room, fp16", "fp16_bits", R }, { "bf16", "bf16_bits", R } } };
static const struct plumb_table files = { .title = "How each file reads best",
	.rows = "files",
	.brief = checks_not_raw,
	.none = "Every file is what its name says.",
	.column = { { "file", "name", T }, { "layer", "layer", N }, { "reads as", "winner", T },
		{ "error", "error", S }, { "as it stands", "raw_error", S }, { "runner-up", "runner_up", T },
		{ "error", "runner_up_error", S }, { "detail", "detail", T } } };
static const struct plumb_table floors = {
	.title = "What a right port shows against a reference of this precision",
	.rows = "floor",
	.brief = checks_never,
	.column = { { "layer", "layer", N }, { "relative", "rel", S } }
};
static const struct plumb_table written = { .title = "Who writes it",
	.rows = "channels",
	.inner = "written",
	.column = { { "channel", "^channel", N }, { "position", "^token", N }, { "layer", "layer", N },
		{ "by", "by", T }, { "before", "before", R }, { "after", "after", R }, { "neuron", "neuron", N },
		{ "its share", "neuron_share", PLUMB_CELL_SHARE }, { "its value", "neuron_value", R },
		{ "weight", "weight", R } } };
static const struct plumb_table removed = { .title = "Who takes it back",
	.rows = "channels",
	.inner = "removed",
	.column = { { "channel", "^channel", N }, { "position", "^token", N }, { "layer", "layer", N },
		{ "by", "by", T }, { "before", "before", R }, { "after", "after", R } } };
static const struct plumb_table channels = { .title = "Massive channels",
	.rows = "channels",
	.none = "There are none.",
	.column = { { "channel", "channel", N }, { "position", "token", N }, { "peak", "peak", R },
		{ "at layer", "layer_peak", N }, { "median", "median", R }, { "over median", "over_median", R },
		{ "share of the error", "error_share", PLUMB_CELL_SHARE } } };
static const struct plumb_table breaks = { .title = "Broken on purpose, one at a time",
	.rows = "breaks",
	.folded = true,
	.column = { { "break", "name", T }, { "seen", "seen", PLUMB_CELL_FLAG }, { "effect", "effect", S },
		{ "floor", "floor", S }, { "why", "why", T } } };
static const struct plumb_table causes = { .title = "Likely causes",
	.rows = "causes",
	.folded = true,
	.brief = checks_likely,
	.column = { { "likeness", "score", PLUMB_CELL_SCORE }, { "cause", "name", T }, { "layer", "layer", N },
		{ "size", "size", R }, { "what", "what", T } } };
static const struct plumb_table wrong = { .title = "What must move to the good driver",
	.rows = "set",
	.none = "Nothing.",
	.column = { { "layer", "layer", N }, { "operator", "operator", T } } };

static const struct plumb_table acting = {
	.title = "What each layer does",
	.rows = "facts",
	.of = checks_acts,
	.column = { { "layer", "layer", N }, { "to", "to", N }, { "what", "what", T }, { "by", "by", T },
		{ "channel", "channel", N }, { "position", "position", N }, { "before", "before", R },
		{ "after", "after", R }, { "std before", "std_before", R }, { "after", "std_after", R },
		{ "without it", "std_without", R } },
	.note =
		"before, after: the channel's value; std: the standard deviation of all channels there, without it: of all others, after the layer."
};
static const struct plumb_table weighing = { .title = "The weights behind it",
	.rows = "facts",
	.of = checks_weighed,
	.column = { { "layer", "layer", N }, { "neuron", "neuron", N },
		{ "its share", "neuron_share", PLUMB_CELL_SHARE }, { "its value", "neuron_value", R },
		{ "weight", "weight", R }, { "in std", "weight_over_std", R },
		{ "usual", "weight_over_std_usual", R }, { "largest", "largest", PLUMB_CELL_FLAG },
		{ "norm", "norm_over_median", R }, { "rank", "norm_rank", N }, { "of", "norm_rank_of", N },
		{ "carriers", "norm_over_median_carried", R } },
	.note =
		"The neuron that adds most, its weight to the channel, that in standard deviations of its matrix (usual: the largest one of a usual layer), "
		"and whether no weight of the matrix is larger. norm: the weight of the branch's norm at the channel over that norm's median, its rank by size, "
		"and the same of layers that only carry the channel." };
static const struct plumb_table standing_out = { .title = "Other weights that stand out",
	.rows = "facts",
	.of = checks_stands_out,
	.column = { { "layer", "layer", N }, { "tensor", "role", T }, { "why", "unusual", T } } };

static const struct plumb_check bisect = { .name = "bisect",
	.question = "Which operators must leave one driver for the answer to be right?" };

static const struct plumb_check_row rows[] = {
	{ .check = &plumb_check_verdict, .when = PLUMB_WHEN_COMPARED, .turn = 5, .share = 8 },
	{ &plumb_check_fingerprint, "What it looks like", PLUMB_WHEN_DIVERGED, 10, 1, PLUMB_FIGURE_CAUSES,
		{ &causes } },
	{ &plumb_check_growth, "Error and growth per layer", PLUMB_WHEN_COMPARED, 3, 16, PLUMB_FIGURE_LAYERS,
		{ &jumps, &growth } },
	{ &plumb_check_diverge, "First divergence", .table = { &diverge } },
	{ &plumb_check_isolate, "Layers in isolation", .table = { &isolated } },
	{ &plumb_check_components, "Components", PLUMB_WHEN_INNER, 4, 4, PLUMB_FIGURE_HEAT, { &components } },
	{ &plumb_check_special, "What makes some layers special", PLUMB_WHEN_ALWAYS, 11, 0, PLUMB_FIGURE_NONE,
		{ &acting, &weighing, &standing_out } },
	{ &plumb_check_biography, "Massive activations", PLUMB_WHEN_ALWAYS, 7, 4, PLUMB_FIGURE_CHANNEL,
		{ &channels, &written, &removed } },
	{ &plumb_check_weights, "Weights", PLUMB_WHEN_ALWAYS, 6, 16, PLUMB_FIGURE_NONE, { &layers, &tensors } },
	{ &plumb_check_stability, "Numerical stability", PLUMB_WHEN_ALWAYS, 8, 14, PLUMB_FIGURE_NONE,
		{ &fp16, &bf16, &sums, &ranges } },
	{ &plumb_check_trace, "Trace", .table = { &trace } },
	{ &plumb_check_blindspots, "Blind spots of the reference", PLUMB_WHEN_JUDGED, 9, 31, PLUMB_FIGURE_NOTICED,
		{ &breaks } },
	{ &plumb_check_convention, "Conventions of the reference", PLUMB_WHEN_COMPARED, 1, 5, PLUMB_FIGURE_NONE,
		{ &files } },
	{ &plumb_check_precision, "Precision of the reference", PLUMB_WHEN_COMPARED, 2, 1, PLUMB_FIGURE_NONE,
		{ &floors } },
	{ &bisect, "Backend bisect", .table = { &wrong } },
};
static const int count = (int)(sizeof rows / sizeof *rows);

const struct plumb_check_row *plumb_check_row(int index)
{
	return index >= 0 && index < count ? &rows[index] : NULL;
}

const struct plumb_check_row *plumb_check_named(const char *name)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(rows[i].check->name, name))
			return &rows[i];
	return NULL;
}
