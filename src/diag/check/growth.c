/* SPDX-License-Identifier: Apache-2.0 */
/* How the error grows from layer to layer: accumulated and of each layer alone, joined to one word per layer, and every jump of the
 * absolute error explained. Step k is after k layers. The words are in jump.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/growth.h"

/* Largest value of a row, if it is massive: over 100 and over 300 times the row's median (why so: biography.c). */
static void look_for_channel(struct plumb_growth *g, const struct plumb_plane *p, float *room)
{
	for (int64_t r = 0; r < p->rows; r++) {
		const float *v = p->v + r * p->width;
		int64_t at = 0;
		for (int64_t i = 1; i < p->width; i++)
			if (fabsf(v[i]) > fabsf(v[at]))
				at = i;
		double size = fabsf(v[at]);
		if (size > 100 && size > g->peak && size > 300 * plumb_median_size(v, p->width, room)) {
			g->peak = size;
			g->channel = at;
			g->token = p->first + r;
		}
	}
}

static void spread(const float *v, int64_t n, double *std, double *max, double *norm)
{
	double sum = 0, square = 0;
	*max = 0;
	for (int64_t i = 0; i < n; i++) {
		sum += v[i];
		square += (double)v[i] * v[i];
		*max = fmax(*max, fabsf(v[i]));
	}
	*norm = sqrt(square);
	*std = sqrt(fmax(square / (double)n - sum / (double)n * (sum / (double)n), 0));
}

/* The step as it stands: the file beside our output, no convention undone. */
static enum plumb_status as_it_stands(const struct plumb_diag *d, const struct plumb_growth *g, struct plumb_step *s,
	const struct plumb_plane *ours, const struct plumb_plane *raw)
{
	const float *a, *b;
	int64_t n;
	(void)d;
	if (!plumb_plane_common(ours, raw, &a, &b, &n))
		return PLUMB_OK;
	s->have = true;
	spread(a, n, &s->std_ours, &s->max_ours, &s->norm);
	double unused;
	spread(b, n, &s->std_reference, &s->max_reference, &unused);
	struct plumb_gap gap;
	PLUMB_TRY(plumb_gap_measure(&gap, ours, raw, false, plumb_stored_type(d->errors->stored)));
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

static const char *convention_of(json_t *part, int layer)
{
	size_t i;
	json_t *file;
	json_array_foreach(json_object_get(part, "files"), i, file) {
		const char *point = json_string_value(json_object_get(file, "point")),
			*winner = json_string_value(json_object_get(file, "winner"));
		bool here = point && !strcmp(point, layer < 0 ? "embeddings" : "output") && json_integer_value(json_object_get(file,
			"layer")) == layer;
		if (here && winner)
			return winner;
	}
	return "raw";
}

static enum plumb_status gather(struct plumb_diag *d, struct plumb_growth *g)
{
	const struct plumb_capture *ours;
	json_t *convention;
	PLUMB_TRY(plumb_diag_errors(d, &g->errors));
	PLUMB_TRY(plumb_check_result(d, &plumb_check_convention, &convention));
	PLUMB_TRY(plumb_diag_ours(d, &ours));
	float *room = malloc(sizeof *room * (size_t)d->config->hidden);
	if (!room)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld values", (long long)d->config->hidden);
	/* Of the rows that the reference has: a channel it never saw explains nothing. */
	for (int layer = 0; layer < d->layers; layer++) {
		const struct plumb_plane *p = plumb_capture_at(ours, layer, PLUMB_POINT_OUTPUT),
			*r = plumb_capture_at(&d->given, layer, PLUMB_POINT_OUTPUT);
		const float *a, *b;
		int64_t n;
		if (plumb_plane_common(p, r, &a, &b, &n))
			look_for_channel(g, &(struct plumb_plane){ (float *)(uintptr_t)a, n / p->width, p->width,
				p->first + (a - p->v) / p->width }, room);
	}
	free(room);
	for (int k = 0; k < g->steps; k++) {
		int point = k ? PLUMB_POINT_OUTPUT : PLUMB_POINT_EMBEDDINGS;
		struct plumb_step *s = &g->step[k];
		PLUMB_TRY(as_it_stands(d, g, s, plumb_capture_at(ours, k - 1, point), plumb_capture_at(&d->given, k - 1,
			point)));
		s->convention = convention_of(convention, k - 1);
		s->all = plumb_gap_at(g->errors, PLUMB_ACCUMULATED, k - 1, point);
		s->one = k ? plumb_gap_at(g->errors, PLUMB_ISOLATED, k - 1, point) : NULL;
	}
	return PLUMB_OK;
}

static double ratio(double a, double b)
{
	return b > 0 && isfinite(a) && isfinite(b) ? a / b : NAN;
}

/* Does a component of the layer fail by itself, though the layer's output may hide it? */
static bool component_fails(const struct plumb_errors *e, int layer)
{
	for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
		const struct plumb_gap *gap = plumb_gap_at(e, PLUMB_COMPONENT, layer, point);
		if (gap && !gap->ok)
			return true;
	}
	return false;
}

static const char *role_of(const struct plumb_growth *g, int k)
{
	const struct plumb_step *s = &g->step[k];
	if ((s->one && !s->one->ok) || component_fails(g->errors, k - 1))
		return "culprit";
	if (s->all && !s->all->ok)
		return "victim";
	/* All channels counted alike: in the norm, a massive channel's error comes and goes by chance. */
	const struct plumb_gap *before = g->step[k - 1].all;
	double growth = s->all && before ? ratio(s->all->even, before->even) : NAN, twin = s->all && before ?
		ratio(s->all->floor_even, before->floor_even) : NAN;
	if (growth > 1.5 && growth > 2 * twin && k > 1)
		return "amplifier";
	return growth < 0.75 && growth < 0.9 * twin ? "absorber" : "clean";
}

static void grow(struct plumb_growth *g)
{
	double rel = 0, abs = 0;
	int rels = 0, abss = 0;
	for (int k = 1; k < g->steps; k++) {
		struct plumb_step *s = &g->step[k], *before = &g->step[k - 1];
		s->growth_abs = s->have && before->have ? ratio(s->raw.mean_abs, before->raw.mean_abs) : NAN;
		s->growth_rel = s->all && before->all ? ratio(s->all->rel, before->all->rel) : NAN;
		s->growth_twin = s->all && before->all ? ratio(s->all->floor, before->all->floor) : NAN;
		s->growth_twin_abs = s->all && before->all ? ratio(s->all->floor_abs, before->all->floor_abs) : NAN;
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
		g->step[k].role = role_of(g, k);
	g->mean_rel = rels ? exp(rel / rels) : NAN;
	g->mean_abs = abss ? exp(abs / abss) : NAN;
}

static json_t *layer_json(const struct plumb_growth *g, int k)
{
	const struct plumb_step *s = &g->step[k];
	json_t *cause = plumb_growth_cause(g, k);
	json_t *isolated = s->one ? json_pack("{s:o, s:o, s:o}", "rel", plumb_json_number(s->one->m.rel), "floor",
		plumb_json_number(s->one->floor),
		"excess", plumb_json_number(s->one->excess)) : json_null();
	json_t *o = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o}", "layer", k - 1, "measure", s->all ?
		plumb_measure_json(&s->all->m) : json_null(),
		"raw", s->have ? plumb_measure_json(&s->raw) : json_null(), "growth_abs", plumb_json_number(s->growth_abs),
		"growth_rel", plumb_json_number(s->growth_rel),
		"floor", s->all ? plumb_json_number(s->all->floor) : json_null(), "excess", s->all ?
		plumb_json_number(s->all->excess) : json_null(), "isolated", isolated,
		"role", s->role, "convention", s->convention, "cause", cause);
	json_t *more = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "std_ours", plumb_json_number(s->std_ours),
		"std_reference", plumb_json_number(s->std_reference),
		"max_ours", plumb_json_number(s->max_ours), "max_reference", plumb_json_number(s->max_reference),
		"channel", g->channel >= 0 ? json_integer(g->channel) : json_null(), "channel_value", g->channel >= 0 ?
		plumb_json_number(s->value) : json_null(),
		"channel_share", g->channel >= 0 ? plumb_json_number(s->share) : json_null());
	g->d->lost |= !more || json_object_update(o, more) != 0; /* o NULL: an error of its own */
	json_decref(more);
	return o;
}

static void say(const struct plumb_growth *g, size_t jumps, char *text, size_t size)
{
	int culprits = 0, first = -1;
	for (int k = 1; k < g->steps; k++)
		if (!strcmp(g->step[k].role, "culprit") && !culprits++)
			first = k - 1;
	int used = plumb_format(text, size, "The relative error grows %.3gx a layer (geometric mean), the mean absolute error "
		"%.3gx. ", g->mean_rel, g->mean_abs);
	if (used > 0 && (size_t)used < size && isnan(g->mean_rel))
		used = plumb_format(text, size, "There is no growth to tell: the reference has too few layers, or no error at all. ");
	if (used < 0 || (size_t)used >= size)
		return;
	if (culprits && g->errors->sure < g->errors->layers - 1)
		plumb_format(text + used, size - (size_t)used, "Layer %d is wrong by itself; of those after it nothing can be said, as the reference has not "
			"all positions.", first);
	else if (culprits)
		plumb_format(text + used, size - (size_t)used, "%d layer%s wrong by %s; the first is layer %d.", culprits, culprits > 1 ?
			"s are" : " is", culprits > 1 ? "themselves" : "itself", first);
	else if (jumps)
		plumb_format(text + used, size - (size_t)used, "No layer is wrong by itself; %zu apparent jump%s explained.", jumps,
			jumps == 1 ? " is" : "s are");
	else
		plumb_format(text + used, size - (size_t)used, "No layer is wrong by itself, and nothing jumps.");
}

static enum plumb_status run(struct plumb_diag *d, json_t **result)
{
	struct plumb_growth g = { .d = d, .steps = d->layers + 1, .channel = -1 };
	char text[512];
	if (!(g.step = calloc((size_t)g.steps, sizeof *g.step)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the growth of %d layers", d->layers);
	enum plumb_status s = gather(d, &g);
	if (!s) {
		grow(&g);
		json_t *layers = json_array(), *jumps = plumb_growth_jumps(&g);
		for (int k = 1; k < g.steps; k++)
			if (g.step[k].have || g.step[k].all)
				plumb_diag_add(d, layers, layer_json(&g, k));
		say(&g, json_array_size(jumps), text, sizeof text);
		*result = json_pack("{s:s, s:o, s:o, s:o, s:o, s:f, s:o, s:o, "
			"s:s}", "part", "growth", "layers", layers, "geometric_mean_rel", plumb_json_number(g.mean_rel),
			"geometric_mean_abs", plumb_json_number(g.mean_abs), "jumps", jumps, "limit", g.errors->limit,
			"channel", g.channel >= 0 ? json_integer(g.channel) : json_null(), "token", g.channel >= 0 ?
			json_integer(g.token) : json_null(), "text", text);
	}
	free(g.step);
	return s ? s : *result ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for the growth");
}

const struct plumb_check plumb_check_growth = { "growth", "How does the error grow from layer to layer, and why does it jump?", true,
	run };
