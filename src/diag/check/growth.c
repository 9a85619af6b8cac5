/* SPDX-License-Identifier: Apache-2.0 */
/* How the error grows from layer to layer: accumulated and of each layer alone, joined to one word per layer,
 * and every jump of the absolute error explained. Step k is after k layers. The words are in jump.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "diag/check/check.h"

/* Largest value of a row, if it is massive (massive.h). */
static void growth_look_for_channel(
	struct plumb_growth_result *g, const struct plumb_captured *p, float *room)
{
	for (int64_t r = 0; r < p->rows; r++) {
		const float *v = p->v + r * p->width;
		int64_t at = 0;
		for (int64_t i = 1; i < p->width; i++)
			if (fabsf(v[i]) > fabsf(v[at]))
				at = i;
		double size = fabsf(v[at]);
		if (size > PLUMB_MASSIVE_LEAST && size > g->peak &&
			size > PLUMB_MASSIVE_OVER_MEDIAN * plumb_median_size(v, p->width, room)) {
			g->peak = size;
			g->channel = at;
			g->token = p->first + r;
		}
	}
}

static void growth_spread(const float *v, int64_t n, double *std, double *max, double *norm)
{
	double square = 0;
	*max = 0;
	for (int64_t i = 0; i < n; i++) {
		square += (double)v[i] * v[i];
		*max = fmax(*max, fabsf(v[i]));
	}
	*norm = sqrt(square);
	*std = plumb_std_float(v, n, -1);
}

/* The step as it stands: the file beside our output, no convention undone. */
static enum plumb_status growth_as_it_stands(const struct plumb_growth_result *g, struct plumb_step *s,
	const struct plumb_captured *ours, const struct plumb_captured *raw)
{
	const float *a, *b;
	int64_t n;
	if (!plumb_captured_common(ours, raw, &a, &b, &n))
		return PLUMB_OK;
	s->have = true;
	growth_spread(a, n, &s->std_ours, &s->max_ours, &s->norm);
	double unused;
	growth_spread(b, n, &s->std_reference, &s->max_reference, &unused);
	struct plumb_gap gap;
	PLUMB_TRY(plumb_gap_measure(&gap, ours, raw, false, plumb_stored_type(g->errors->stored)));
	s->raw = gap.m;
	double in = 0, all = 0;
	for (int64_t i = 0; i < n; i++) {
		double e = ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		all += e;
		in += i % ours->width == g->channel ? e : 0;
	}
	s->share = g->channel >= 0 && all > 0 ? in / all : 0;
	int64_t row = g->token - ours->first;
	s->value = g->channel >= 0 && row >= 0 && row < ours->rows ? ours->v[row * ours->width + g->channel] : 0;
	return PLUMB_OK;
}

static void growth_find_convention(struct plumb_step *s, const struct plumb_convention_result *c, int layer)
{
	s->as_named = true;
	plumb_format(s->convention, sizeof s->convention, "raw");
	for (int i = 0; i < c->files; i++) {
		const struct plumb_file_case *f = &c->file[i];
		if (f->layer != layer || f->point != (layer < 0 ? PLUMB_POINT_EMBEDDINGS : PLUMB_POINT_OUTPUT))
			continue;
		s->as_named = plumb_convention_raw(f);
		plumb_convention_name(c, f, s->convention);
		return;
	}
}

static enum plumb_status growth_gather(struct plumb_diag *d, struct plumb_growth_result *g)
{
	const struct plumb_capture *ours;
	const struct plumb_convention_result *convention;
	PLUMB_TRY(plumb_diag_errors(d, &g->errors));
	PLUMB_TRY(plumb_diag_convention(d, &convention));
	PLUMB_TRY(plumb_diag_ours(d, &ours));
	float *room = malloc(sizeof *room * (size_t)d->config->hidden);
	if (!room)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld values", (long long)d->config->hidden);
	/* Of the rows that the reference has: a channel it never saw explains nothing. */
	for (int layer = 0; layer < d->layers; layer++) {
		const struct plumb_captured *p = plumb_capture_at(ours, layer, PLUMB_POINT_OUTPUT),
									*r = plumb_capture_at(&d->given, layer, PLUMB_POINT_OUTPUT);
		const float *a, *b;
		int64_t n;
		if (plumb_captured_common(p, r, &a, &b, &n))
			growth_look_for_channel(g,
				&(struct plumb_captured){
					(float *)(uintptr_t)a, n / p->width, p->width, p->first + (a - p->v) / p->width },
				room);
	}
	free(room);
	for (int k = 0; k < g->steps; k++) {
		int point = k ? PLUMB_POINT_OUTPUT : PLUMB_POINT_EMBEDDINGS;
		struct plumb_step *s = &g->step[k];
		PLUMB_TRY(growth_as_it_stands(
			g, s, plumb_capture_at(ours, k - 1, point), plumb_capture_at(&d->given, k - 1, point)));
		growth_find_convention(s, convention, k - 1);
		s->all = plumb_gap_at(g->errors, PLUMB_ACCUMULATED, k - 1, point);
		s->one = k ? plumb_gap_at(g->errors, PLUMB_ISOLATED, k - 1, point) : NULL;
	}
	return PLUMB_OK;
}

static double growth_ratio(double a, double b) { return b > 0 && isfinite(a) && isfinite(b) ? a / b : NAN; }

/* Does a component of the layer fail by itself, though the layer's output may hide it? */
static bool growth_component_fails(const struct plumb_errors *e, int layer)
{
	for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
		const struct plumb_gap *gap = plumb_gap_at(e, PLUMB_COMPONENT, layer, point);
		if (gap && !gap->ok)
			return true;
	}
	return false;
}

static enum plumb_step_role growth_role_of(const struct plumb_growth_result *g, int k)
{
	const struct plumb_step *s = &g->step[k];
	if ((s->one && !s->one->ok) || growth_component_fails(g->errors, k - 1))
		return PLUMB_STEP_CULPRIT;
	if (s->all && !s->all->ok)
		return PLUMB_STEP_VICTIM;
	/* All channels counted alike: in the norm, a massive channel's error comes and goes by chance. */
	const struct plumb_gap *before = g->step[k - 1].all;
	double growth = s->all && before ? growth_ratio(s->all->elementwise, before->elementwise) : NAN,
		   control = s->all && before ? growth_ratio(s->all->floor_elementwise, before->floor_elementwise)
									  : NAN;
	if (growth > 1.5 && growth > 2 * control && k > 1)
		return PLUMB_STEP_AMPLIFIER;
	return growth < 0.75 && growth < 0.9 * control ? PLUMB_STEP_ABSORBER : PLUMB_STEP_CLEAN;
}

static void growth_grow(struct plumb_growth_result *g)
{
	double rel = 0, abs = 0;
	int rels = 0, abss = 0;
	for (int k = 1; k < g->steps; k++) {
		struct plumb_step *s = &g->step[k], *before = &g->step[k - 1];
		s->growth_abs = s->have && before->have ? growth_ratio(s->raw.mean_abs, before->raw.mean_abs) : NAN;
		s->growth_rel = s->all && before->all ? growth_ratio(s->all->rel, before->all->rel) : NAN;
		s->growth_control = s->all && before->all ? growth_ratio(s->all->floor, before->all->floor) : NAN;
		s->growth_control_abs = s->all && before->all
			? growth_ratio(s->all->floor_abs, before->all->floor_abs)
			: NAN;
		if (k > 1 && s->growth_rel > 0) { /* looking up an embedding computes nothing */
			rel += log(s->growth_rel);
			rels++;
		}
		if (k > 1 && s->growth_abs > 0) {
			abs += log(s->growth_abs);
			abss++;
		}
	}
	for (int k = 1; k < g->steps; k++)
		g->step[k].role = growth_role_of(g, k);
	g->mean_rel = rels ? exp(rel / rels) : NAN;
	g->mean_abs = abss ? exp(abs / abss) : NAN;
}

static const char *const role_names[] = { [PLUMB_STEP_CLEAN] = "clean",
	[PLUMB_STEP_CULPRIT] = "culprit",
	[PLUMB_STEP_VICTIM] = "victim",
	[PLUMB_STEP_AMPLIFIER] = "amplifier",
	[PLUMB_STEP_ABSORBER] = "absorber" };

static json_t *growth_layer_json(struct plumb_diag *d, const struct plumb_growth_result *g, int k)
{
	const struct plumb_step *s = &g->step[k];
	json_t *cause = plumb_growth_cause(g, k);
	json_t *isolated = s->one
		? json_pack("{s:o, s:o, s:o}", "rel", plumb_json_number(s->one->m.rel), "floor",
			  plumb_json_number(s->one->floor), "excess", plumb_json_number(s->one->excess))
		: json_null();
	json_t *o = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o}", "layer", k - 1,
		"measure", s->all ? plumb_measure_json(&s->all->m) : json_null(), "raw",
		s->have ? plumb_measure_json(&s->raw) : json_null(), "growth_abs", plumb_json_number(s->growth_abs),
		"growth_rel", plumb_json_number(s->growth_rel), "floor",
		s->all ? plumb_json_number(s->all->floor) : json_null(), "excess",
		s->all ? plumb_json_number(s->all->excess) : json_null(), "isolated", isolated, "role",
		role_names[s->role], "convention", s->convention, "cause", cause);
	json_t *more = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "std_ours",
		plumb_json_number(s->std_ours), "std_reference", plumb_json_number(s->std_reference), "max_ours",
		plumb_json_number(s->max_ours), "max_reference", plumb_json_number(s->max_reference), "channel",
		g->channel >= 0 ? json_integer(g->channel) : json_null(), "channel_value",
		g->channel >= 0 ? plumb_json_number(s->value) : json_null(), "channel_share",
		g->channel >= 0 ? plumb_json_number(s->share) : json_null());
	d->lost |= !more || json_object_update(o, more) != 0; /* o NULL: an error of its own */
	json_decref(more);
	return o;
}

static void growth_describe(struct plumb_growth_result *g)
{
	int wrong = 0, first = -1, jumps = g->jumps;
	char *text = g->text;
	size_t size = sizeof g->text;
	for (int k = 1; k < g->steps; k++)
		if (g->step[k].role == PLUMB_STEP_CULPRIT && !wrong++)
			first = k - 1;
	if (isnan(g->mean_rel))
		plumb_format(
			text, size, "There is no growth to tell: the reference has too few layers, or no error at all. ");
	else
		plumb_format(text, size,
			"The relative error grows %.3gx a layer (geometric mean), the mean absolute error %.3gx. ",
			g->mean_rel, g->mean_abs);
	if (wrong && g->errors->sure < g->errors->layers - 1)
		plumb_append(text, size,
			"Layer %d is wrong by itself; of those after it nothing can be said, as the reference has not "
			"all positions.",
			first);
	else if (wrong)
		plumb_append(text, size, "%d layer%s wrong by %s; the first is layer %d.", wrong,
			wrong > 1 ? "s are" : " is", wrong > 1 ? "themselves" : "itself", first);
	else if (jumps)
		plumb_append(text, size, "No layer is wrong by itself; %d apparent jump%s explained.", jumps,
			jumps == 1 ? " is" : "s are");
	else
		plumb_append(text, size, "No layer is wrong by itself, and nothing jumps.");
}

static enum plumb_status growth_find(struct plumb_diag *d, void *result)
{
	struct plumb_growth_result *g = result;
	g->steps = d->layers + 1;
	g->channel = -1;
	if (!(g->step = calloc((size_t)g->steps, sizeof *g->step)) ||
		!(g->jump = calloc((size_t)g->steps, sizeof *g->jump)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the growth of %d layers", d->layers);
	PLUMB_TRY(growth_gather(d, g));
	growth_grow(g);
	plumb_growth_jumps(g);
	growth_describe(g);
	return PLUMB_OK;
}

static json_t *growth_jump_json(const struct plumb_growth_result *g, const struct plumb_jump *jump)
{
	const struct plumb_step *s = &g->step[jump->step], *before = s - 1;
	return json_pack("{s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:s, s:s}", "from", jump->step - 1, "to",
		jump->step, "layer", jump->step - 1, "growth_abs", plumb_json_number(s->growth_abs), "growth_rel",
		plumb_json_number(s->growth_rel), "growth_twin", plumb_json_number(s->growth_control_abs),
		"growth_std", plumb_json_number(before->std_ours > 0 ? s->std_ours / before->std_ours : NAN), "kind",
		plumb_jump_name(jump->kind), "text", jump->text);
}

static json_t *growth_emit(struct plumb_diag *d, const void *result)
{
	const struct plumb_growth_result *g = result;
	json_t *layers = json_array(), *jumps = json_array();
	for (int k = 1; k < g->steps; k++)
		if (g->step[k].have || g->step[k].all)
			plumb_diag_add(d, layers, growth_layer_json(d, g, k));
	for (int i = 0; i < g->jumps; i++)
		plumb_diag_add(d, jumps, growth_jump_json(g, &g->jump[i]));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:f, s:o, s:o, s:s}", "part", "growth", "layers", layers,
		"geometric_mean_rel", plumb_json_number(g->mean_rel), "geometric_mean_abs",
		plumb_json_number(g->mean_abs), "jumps", jumps, "limit", g->errors->limit, "channel",
		g->channel >= 0 ? json_integer(g->channel) : json_null(), "token",
		g->channel >= 0 ? json_integer(g->token) : json_null(), "text", g->text);
}

static void growth_free(void *result)
{
	struct plumb_growth_result *g = result;
	free(g->step);
	free(g->jump);
}

const struct plumb_check plumb_check_growth = { "growth",
	"How does the error grow from layer to layer, and why does it jump?", true,
	sizeof(struct plumb_growth_result), growth_find, growth_emit, growth_free };
