/* SPDX-License-Identifier: Apache-2.0 */
/* Why the error jumps from one layer to the next, in words: a convention, a massive activation, cancellation, rounding or a real
 * divergence. The numbers are growth.c's. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "diag/check/growth.h"

static bool massive(const struct plumb_growth *g)
{
	return g->channel >= 0;
}

static bool diverges(const struct plumb_step *before, const struct plumb_step *s)
{
	bool fine = !before->all || before->all->ok;
	return !strcmp(s->role, "culprit") || (s->all && !s->all->ok && fine);
}

/* The channel is written here, and most of the error lies in it. */
static bool writes(const struct plumb_growth *g, int k)
{
	return massive(g) && fabs(g->step[k].value) > 100 && fabs(g->step[k].value) > 3 * fabs(g->step[k - 1].value);
}

/* The channel shrinks, or the whole vector does, while the error stays. */
static bool cancels(const struct plumb_growth *g, int k)
{
	const struct plumb_step *s = &g->step[k], *before = s - 1;
	bool channel = massive(g) && fabs(before->value) > 100 && fabs(s->value) < 0.9 * fabs(before->value);
	return channel || s->norm < 0.9 * before->norm;
}

static const char *kind_of(const struct plumb_growth *g, int k)
{
	const struct plumb_step *s = &g->step[k], *before = s - 1;
	if (strcmp(s->convention, "raw") && (!s->all || s->raw.rel > 4 * s->all->m.rel))
		return "convention";
	if (diverges(before, s) || (s->all && !s->all->ok))
		return "divergence";
	if (writes(g, k) && s->share > 0.3)
		return "massive activation";
	return cancels(g, k) ? "cancellation" : "rounding";
}

struct words { char *text; size_t size, used; };

static void add(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct words *w, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	int n = plumb_vformat(w->text + w->used, w->size - w->used, format, list);
	va_end(list);
	w->used = n < 0 ? w->used : w->used + (size_t)n < w->size ? w->used + (size_t)n : w->size - 1;
}

static double spacing(enum plumb_stored stored, double x)
{
	return x != 0 ? ldexp(1, ilogb(x) - (stored == PLUMB_STORED_BF16 ? 7 : stored == PLUMB_STORED_FP16 ? 10 : 23)) : 0;
}

static void twin_says(const struct plumb_growth *g, int k, struct words *w)
{
	const struct plumb_step *s = &g->step[k];
	if (s->growth_twin_abs > 0)
		add(w, " A run of ours that is rounded to %s makes an error of %.2g here, %.2gx that of the layer before.",
			plumb_stored_name(g->errors->stored), s->all->floor_abs, s->growth_twin_abs);
}

static void explain(const struct plumb_growth *g, int k, const char *kind, struct words *w)
{
	const struct plumb_step *s = &g->step[k], *before = s - 1;
	add(w, "%d→%d: the mean absolute error goes from %.2g to %.2g (%.3gx). ", k - 1, k, before->raw.mean_abs,
		s->raw.mean_abs, s->growth_abs);
	if (!strcmp(kind, "convention")) {
		add(w, "The file of layer %d is not what its name says but %s", k - 1, s->convention);
		if (s->all)
			add(w, ": with that undone the relative error is %.2g (%.2gx that of the layer before)", s->all->m.rel,
				s->growth_rel);
		add(w, ".");
	} else if (!strcmp(kind, "divergence"))
		add(w, "No rounding explains it: %.3g times what a right port shows.", s->one && !s->one->ok ? s->one->excess :
			s->all->excess);
	else if (!strcmp(kind, "massive activation")) {
		add(w, "Layer %d writes a massive activation: channel %lld goes from %.4g to %.4g, where neighbouring %s "
			"numbers are %g apart; %.0f %% of the squared error lies in it, and "
			"the relative error grows only %.2gx.", k - 1, (long long)g->channel, before->value, s->value,
				plumb_stored_name(g->errors->stored), spacing(g->errors->stored, s->value), 100 * s->share, s->growth_rel);
		twin_says(g, k, w);
	} else if (!strcmp(kind, "cancellation")) {
		if (massive(g) && fabs(s->value) < 0.9 * fabs(before->value))
			add(w, "Layer %d cancels the massive channel %lld (%.4g → %.4g); the rounding made while it was large stays.",
				k - 1, (long long)g->channel, before->value, s->value);
		else
			add(w, "Layer %d cancels a part of its input (norm %.3g → %.3g); the rounding made before stays.", k - 1,
				before->norm, s->norm);
		twin_says(g, k, w);
	} else {
		add(w, "It is within what rounding makes there (%.2g of it).", s->all ? s->all->excess : 0.0);
		twin_says(g, k, w);
	}
}

/* From the embeddings on nothing has been computed yet, so the first step is growth from nothing. */
json_t *plumb_growth_jumps(const struct plumb_growth *g)
{
	json_t *jumps = json_array();
	for (int k = 2; k < g->steps; k++) {
		const struct plumb_step *s = &g->step[k], *before = s - 1;
		char text[768] = "";
		struct words w = { text, sizeof text, 0 };
		if (!s->have || !before->have || !(s->growth_abs > PLUMB_JUMP))
			continue;
		const char *kind = kind_of(g, k);
		explain(g, k, kind, &w);
		plumb_diag_add(g->d, jumps, json_pack("{s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:s, s:s}", "from", k - 1, "to", k,
			"layer", k - 1,
			"growth_abs", plumb_json_number(s->growth_abs), "growth_rel", plumb_json_number(s->growth_rel), "growth_twin",
			plumb_json_number(s->growth_twin_abs),
			"growth_std", plumb_json_number(before->std_ours > 0 ? s->std_ours / before->std_ours : NAN), "kind", kind,
			"text", text));
	}
	return jumps;
}

json_t *plumb_growth_cause(const struct plumb_growth *g, int k)
{
	const struct plumb_step *s = &g->step[k], *before = s - 1;
	char text[320] = "";
	struct words w = { text, sizeof text, 0 };
	if (!(s->growth_rel > PLUMB_EXCEPTION) || !s->all)
		return json_null();
	if (k == 1)
		add(&w, "the first layer that computes");
	else if (!strcmp(s->role, "culprit"))
		add(&w, "divergence: %.3g times what rounding explains", s->one && !s->one->ok ? s->one->excess : s->all->excess);
	else if (!s->all->ok)
		add(&w, "an earlier layer's error, %.3g times what rounding explains", s->all->excess);
	else if (cancels(g, k))
		add(&w, "cancellation: the norm goes from %.3g to %.3g while the rounding stays", before->norm, s->norm);
	else if (writes(g, k))
		add(&w, "massive activation: layer %d writes channel %lld (%.4g)", k - 1, (long long)g->channel, s->value);
	else if (s->growth_twin > PLUMB_EXCEPTION)
		add(&w, "rounding: the rounded twin grows %.2gx here, too", s->growth_twin);
	else
		add(&w, "rounding: %.2g of what a right port shows", s->all->excess);
	return plumb_json_text(text);
}
