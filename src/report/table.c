/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of each part, declared once for the terminal and for the page: which array, which columns, which rows matter most. */
#include <math.h>
#include <string.h>
#include "report/report.h"

#define T PLUMB_CELL_TEXT
#define N PLUMB_CELL_WHOLE
#define R PLUMB_CELL_REAL
#define S PLUMB_CELL_SMALL
#define X PLUMB_CELL_TIMES

static bool bad(const json_t *row)
{
	return json_is_false(json_object_get(row, "ok"));
}

static bool unusual(const json_t *row)
{
	return *plumb_field_text(row, "unusual") != 0;
}

static bool unusual_layer(const json_t *row)
{
	return json_array_size(json_object_get(row, "unusual")) > 0;
}

/* Only what must stay in float32 asks for something. */
static bool wide(const json_t *row)
{
	return !strcmp(plumb_field_text(row, "keep"), "float32");
}

static bool not_raw(const json_t *row)
{
	return strcmp(plumb_field_text(row, "winner"), "raw") != 0;
}

/* Close to the end of fp16, or past it. */
static bool tight(const json_t *row)
{
	double bits = plumb_field_number(row, "fp16_bits");
	return !(bits > 3) || plumb_field_number(row, "nan") > 0 || plumb_field_number(row, "inf") > 0;
}

static bool likely(const json_t *row)
{
	return plumb_field_number(row, "score") >= 0.05;
}

static bool never(const json_t *row)
{
	(void)row;
	return false;
}

static const struct plumb_table growth = { .title = "Layer by layer", .rows = "layers", .column = {
	{ "layer", "layer", N }, { "relative", "measure.rel", S }, { "floor", "floor", S }, { "isolated", "isolated.rel", S },
	{ "growth", "growth_rel", X }, { "mean abs", "raw.mean_abs", S }, { "growth", "growth_abs", X }, { "std", "std_ours", R },
	{ "max", "max_ours", R }, { "role", "role", T }, { "cause", "cause", T } } };
static const struct plumb_table jumps = { .title = "Jumps", .rows = "jumps", .folded = true, .brief = never, .column = {
	{ "from", "from", N }, { "to", "to", N }, { "absolute", "growth_abs", X }, { "relative", "growth_rel", X }, { "kind", "kind", T },
	{ "why", "text", T } } };
static const struct plumb_table isolated = { .title = "Each layer from the reference's input", .rows = "layers", .column = {
	{ "layer", "layer", N }, { "input", "input", T }, { "relative", "measure.rel", S }, { "floor", "floor", S }, { "excess", "excess", R },
	{ "max abs", "measure.max_abs", S }, { "mean abs", "measure.mean_abs", S }, { "cosine", "measure.cosine", PLUMB_CELL_FINE },
	{ "mean ulp", "measure.mean_ulp", R }, { "max ulp", "measure.max_ulp", R }, { "good", "ok", PLUMB_CELL_FLAG } } };
static const struct plumb_table components = { .title = "Each component", .rows = "layers", .inner = "points", .brief = bad,
	.none = "No component is beyond what rounding explains.", .column = {
	{ "layer", "^layer", N }, { "point", "point", T }, { "isolated", "isolated.rel", S }, { "floor", "floor_isolated", S },
	{ "accumulated", "accumulated.rel", S }, { "floor", "floor_accumulated", S }, { "max abs", "accumulated.max_abs", S },
	{ "good", "ok", PLUMB_CELL_FLAG } } };
static const struct plumb_table diverge = { .title = "Each capture point in order", .rows = "points", .brief = bad, .none = "None diverges.",
	.column = { { "layer", "layer", N }, { "point", "point", T }, { "relative", "rel", S }, { "floor", "floor", S }, { "excess", "excess", R },
	{ "good", "ok", PLUMB_CELL_FLAG } } };
static const struct plumb_table trace = { .title = "Values", .rows = "points", .column = {
	{ "layer", "layer", N }, { "point", "point", T }, { "rows", "rows", N }, { "width", "width", N }, { "min", "min", R }, { "max", "max", R },
	{ "mean", "mean", R }, { "std", "std", R }, { "NaN", "nan", N }, { "inf", "inf", N }, { "relative error", "measure.rel", S } } };
static const struct plumb_table tensors = { .title = "Tensors", .rows = "tensors", .brief = unusual, .none = "No tensor is unusual.", .column = {
	{ "tensor", "name", T }, { "shape", "shape", T }, { "type", "type", T }, { "mean", "mean", R }, { "std", "std", R }, { "max", "max", R },
	{ "kurtosis", "kurtosis", R }, { "unusual", "unusual", T } } };
static const struct plumb_table layers = { .title = "Unusual layers", .rows = "layers", .brief = unusual_layer, .none = "No layer is unusual.", .column = {
	{ "layer", "layer", N }, { "why", "unusual", T } } };
static const struct plumb_table fp16 = { .title = "Operators in fp16", .rows = "plan.fp16", .brief = wide, .none = "Nothing.", .column = {
	{ "operator", "operator", T }, { "keep", "keep", T }, { "why", "why", T } } };
static const struct plumb_table bf16 = { .title = "Operators in bf16", .rows = "plan.bf16", .brief = wide, .none = "Nothing.", .column = {
	{ "operator", "operator", T }, { "keep", "keep", T }, { "why", "why", T } } };
static const struct plumb_table sums = { .title = "Largest sums inside of operators", .rows = "accumulators", .brief = never,
	.column = { { "layer", "layer", N }, { "point", "point", T },
	{ "largest sum", "worst_sum", R }, { "bits of room, fp16", "fp16_bits", R } } };
static const struct plumb_table ranges = { .title = "Ranges and room", .rows = "points", .brief = tight,
	.none = "All values have 3 bits of room in fp16.", .column = {
	{ "layer", "layer", N }, { "point", "point", T }, { "min", "min", R }, { "max", "max", R }, { "NaN", "nan", N }, { "inf", "inf", N },
	{ "denormal", "denormal", N }, { "bits of room, fp16", "fp16_bits", R }, { "bf16", "bf16_bits", R } } };
static const struct plumb_table files = { .title = "How each file reads best", .rows = "files", .brief = not_raw,
	.none = "Every file is what its name says.", .column = {
	{ "file", "name", T }, { "layer", "layer", N }, { "reads as", "winner", T }, { "error", "error", S }, { "as it stands", "raw_error", S },
	{ "runner-up", "runner_up", T }, { "error", "runner_up_error", S }, { "detail", "detail", T } } };
static const struct plumb_table floors = { .title = "What a right port shows against a reference of this precision", .rows = "floor", .brief = never, .column = {
	{ "layer", "layer", N }, { "relative", "rel", S } } };
static const struct plumb_table written = { .title = "Who writes it", .rows = "channels", .inner = "written", .column = {
	{ "channel", "^channel", N }, { "position", "^token", N }, { "layer", "layer", N }, { "by", "by", T }, { "before", "before", R },
	{ "after", "after", R }, { "neuron", "neuron", N }, { "its share", "neuron_share", PLUMB_CELL_SHARE }, { "its value", "neuron_value", R },
	{ "weight", "weight", R } } };
static const struct plumb_table removed = { .title = "Who takes it back", .rows = "channels", .inner = "removed", .column = {
	{ "channel", "^channel", N }, { "position", "^token", N }, { "layer", "layer", N }, { "by", "by", T }, { "before", "before", R },
	{ "after", "after", R } } };
static const struct plumb_table channels = { .title = "Massive channels", .rows = "channels", .none = "There are none.", .column = {
	{ "channel", "channel", N }, { "position", "token", N }, { "peak", "peak", R }, { "at layer", "layer_peak", N }, { "median", "median", R },
	{ "over median", "over_median", R }, { "share of the error", "error_share", PLUMB_CELL_SHARE } } };
static const struct plumb_table breaks = { .title = "Broken on purpose, one at a time", .rows = "breaks", .folded = true, .column = {
	{ "break", "name", T }, { "seen", "seen", PLUMB_CELL_FLAG }, { "effect", "effect", S }, { "floor", "floor", S },
	{ "why", "why", T } } };
static const struct plumb_table causes = { .title = "Likely causes", .rows = "causes", .folded = true, .brief = likely, .column = {
	{ "likeness", "score", PLUMB_CELL_SCORE }, { "cause", "name", T }, { "layer", "layer", N }, { "size", "size", R }, { "what", "what", T } } };
static const struct plumb_table culprits = { .title = "What must move to the good driver", .rows = "set", .none = "Nothing.", .column = {
	{ "layer", "layer", N }, { "operator", "operator", T } } };

static const struct plumb_section parts[] = {
	{ "growth", "Error and growth per layer", { &jumps, &growth, NULL } },
	{ "isolate", "Layers in isolation", { &isolated, NULL } },
	{ "components", "Components", { &components, NULL } },
	{ "diverge", "First divergence", { &diverge, NULL } },
	{ "trace", "Trace", { &trace, NULL } },
	{ "weights", "Weights", { &layers, &tensors, NULL } },
	{ "stability", "Numerical stability", { &fp16, &bf16, &sums, &ranges, NULL } },
	{ "convention", "Conventions of the reference", { &files, NULL } },
	{ "precision", "Precision of the reference", { &floors, NULL } },
	{ "special", "What makes some layers special", { NULL } },
	{ "biography", "Massive activations", { &channels, &written, &removed, NULL } },
	{ "blindspots", "Blind spots of the reference", { &breaks, NULL } },
	{ "fingerprint", "What it looks like", { &causes, NULL } },
	{ "bisect", "Backend bisect", { &culprits, NULL } },
};

const struct plumb_section *plumb_section(const char *name)
{
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (!strcmp(parts[i].name, name))
			return &parts[i];
	return NULL;
}

size_t plumb_table_rows(const struct plumb_table *table, const json_t *part, bool brief, plumb_table_fn see, void *user)
{
	const json_t *outer = plumb_field(part, table->rows);
	size_t count = 0;
	for (size_t i = 0; i < json_array_size(outer); i++) {
		const json_t *one = json_array_get(outer, i), *inner = table->inner ? plumb_field(one, table->inner) : NULL;
		for (size_t j = 0, n = table->inner ? json_array_size(inner) : 1; j < n; j++) {
			const json_t *row = table->inner ? json_array_get(inner, j) : one;
			if (brief && table->brief && !table->brief(row))
				continue;
			if (see)
				see(user, table, one, row);
			count++;
		}
	}
	return count;
}

bool plumb_table_right(const struct plumb_column *column)
{
	return column->kind != PLUMB_CELL_TEXT && column->kind != PLUMB_CELL_FLAG;
}

/* A list of numbers is a shape, one of texts reads with semicolons. */
static void put_value(struct plumb_string *s, const json_t *value)
{
	if (json_is_string(value))
		plumb_string_put(s, *json_string_value(value) ? json_string_value(value) : "-");
	else if (json_is_number(value))
		plumb_string_format(s, "%.6g", json_number_value(value));
	else if (json_array_size(value))
		for (size_t i = 0; i < json_array_size(value); i++) {
			const json_t *one = json_array_get(value, i);
			plumb_string_put(s, !i ? "" : json_is_number(one) ? " x " : "; ");
			put_value(s, one);
		}
	else
		plumb_string_put(s, json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
}

void plumb_table_cell(struct plumb_string *s, const struct plumb_column *column, const json_t *outer, const json_t *row)
{
	const char *path = column->path;
	const json_t *value = *path == '^' ? plumb_field(outer, path + 1) : plumb_field(row, path);
	double x = json_is_number(value) ? json_number_value(value) : (double)NAN;
	if (column->kind == PLUMB_CELL_TEXT || column->kind == PLUMB_CELL_FLAG)
		put_value(s, value);
	else if (isnan(x)) /* a measure that is null was not finite; elsewhere null is nothing */
		plumb_string_put(s, json_is_null(value) && strchr(path, '.') ? "not finite" : "-");
	else if (column->kind == PLUMB_CELL_WHOLE)
		x < 0 ? plumb_string_put(s, "-") : plumb_string_format(s, "%.0f", x);
	else if (column->kind == PLUMB_CELL_SMALL)
		x == 0 ? plumb_string_put(s, "0") : plumb_string_format(s, "%.1e", x);
	else if (column->kind == PLUMB_CELL_FINE)
		plumb_string_format(s, "%.8g", x);
	else if (column->kind == PLUMB_CELL_TIMES)
		plumb_string_format(s, x >= 100 ? "%.0fx" : x >= 10 ? "%.1fx" : "%.2fx", x);
	else if (column->kind == PLUMB_CELL_SCORE)
		plumb_string_format(s, "%.2f", x);
	else if (column->kind == PLUMB_CELL_SHARE)
		plumb_string_format(s, "%.0f%%", 100 * x);
	else
		plumb_string_format(s, "%.4g", x);
}
