/* SPDX-License-Identifier: Apache-2.0 */
/* Why the error jumps from one layer to the next, in words: a convention, a massive activation, cancellation,
 * rounding or a real divergence. The numbers are growth.c's. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include "diag/check/check.h"

static bool massive(const struct plumb_growth_result *g) { return g->channel >= 0; }

static bool jump_diverges(const struct plumb_step *before, const struct plumb_step *s)
{
	bool fine = !before->all || before->all->ok;
	return s->role == PLUMB_STEP_CULPRIT || (s->all && !s->all->ok && fine);
}

/* The channel is written here, and most of the error lies in it. */
static bool jump_writes(const struct plumb_growth_result *g, int k)
{
	return massive(g) && fabs(g->step[k].value) > 100 &&
		fabs(g->step[k].value) > 3 * fabs(g->step[k - 1].value);
}

/* The channel shrinks, or the whole vector does, while the error stays. */
static bool jump_cancels(const struct plumb_growth_result *g, int k)
{
	const struct plumb_step *s = &g->step[k], *before = s - 1;
	bool channel = massive(g) && fabs(before->value) > 100 && fabs(s->value) < 0.9 * fabs(before->value);
	return channel || s->norm < 0.9 * before->norm;
}

static enum plumb_jump_kind jump_kind_of(const struct plumb_growth_result *g, int k)
{
	const struct plumb_step *s = &g->step[k], *before = s - 1;
	if (!s->as_named && (!s->all || s->raw.rel > 4 * s->all->m.rel))
		return PLUMB_JUMP_CONVENTION;
	if (jump_diverges(before, s) || (s->all && !s->all->ok))
		return PLUMB_JUMP_DIVERGENCE;
	if (jump_writes(g, k) && s->share > 0.3)
		return PLUMB_JUMP_MASSIVE;
	return jump_cancels(g, k) ? PLUMB_JUMP_CANCELLATION : PLUMB_JUMP_ROUNDING;
}

struct words {
	char *text;
	size_t size, used;
};

static void jump_add(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void jump_add(struct words *w, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	int n = plumb_vformat(w->text + w->used, w->size - w->used, format, list);
	va_end(list);
	w->used = n < 0 ? w->used : w->used + (size_t)n < w->size ? w->used + (size_t)n : w->size - 1;
}

static double jump_spacing(enum plumb_stored stored, double x)
{
	return x != 0 ? ldexp(1,
						ilogb(x) -
							(stored == PLUMB_STORED_BF16          ? 7
									: stored == PLUMB_STORED_FP16 ? 10
																  : 23))
				  : 0;
}

static void jump_control_says(const struct plumb_growth_result *g, int k, struct words *w)
{
	const struct plumb_step *s = &g->step[k];
	if (s->growth_control_abs > 0)
		jump_add(w,
			" A run of ours that is rounded to %s makes an error of %.2g here, %.2gx that of the layer before.",
			plumb_stored_name(g->errors->stored), s->all->floor_abs, s->growth_control_abs);
}

static void jump_explain(
	const struct plumb_growth_result *g, int k, enum plumb_jump_kind kind, struct words *w)
{
	const struct plumb_step *s = &g->step[k], *before = s - 1;
	jump_add(w, "%d→%d: the mean absolute error goes from %.2g to %.2g (%.3gx). ", k - 1, k,
		before->raw.mean_abs, s->raw.mean_abs, s->growth_abs);
	if (kind == PLUMB_JUMP_CONVENTION) {
		jump_add(w, "The file of layer %d is not what its name says but %s", k - 1, s->convention);
		if (s->all)
			jump_add(w, ": with that undone the relative error is %.2g (%.2gx that of the layer before)",
				s->all->m.rel, s->growth_rel);
		jump_add(w, ".");
	} else if (kind == PLUMB_JUMP_DIVERGENCE)
		jump_add(w, "No rounding explains it: %.3g times what a right port shows.",
			s->one && !s->one->ok ? s->one->excess : s->all->excess);
	else if (kind == PLUMB_JUMP_MASSIVE) {
		jump_add(w,
			"Layer %d writes a massive activation: channel %lld goes from %.4g to %.4g, where neighbouring %s "
			"numbers are %g apart; %.0f %% of the squared error lies in it, and "
			"the relative error grows only %.2gx.",
			k - 1, (long long)g->channel, before->value, s->value, plumb_stored_name(g->errors->stored),
			jump_spacing(g->errors->stored, s->value), 100 * s->share, s->growth_rel);
		jump_control_says(g, k, w);
	} else if (kind == PLUMB_JUMP_CANCELLATION) {
		if (massive(g) && fabs(s->value) < 0.9 * fabs(before->value))
			jump_add(w,
				"Layer %d cancels the massive channel %lld (%.4g → %.4g); the rounding made while it was large stays.",
				k - 1, (long long)g->channel, before->value, s->value);
		else
			jump_add(w,
				"Layer %d cancels a part of its input (norm %.3g → %.3g); the rounding made before stays.",
				k - 1, before->norm, s->norm);
		jump_control_says(g, k, w);
	} else {
		jump_add(w, "It is within what rounding makes there (%.2g of it).", s->all ? s->all->excess : 0.0);
		jump_control_says(g, k, w);
	}
}

/* From the embeddings on nothing has been computed yet, so the first step is growth from nothing. */
void plumb_growth_jumps(struct plumb_growth_result *g)
{
	for (int k = 2; k < g->steps; k++) {
		const struct plumb_step *s = &g->step[k], *before = s - 1;
		if (!s->have || !before->have || !(s->growth_abs > PLUMB_JUMP))
			continue;
		struct plumb_jump *jump = &g->jump[g->jumps++];
		jump->step = k;
		jump->kind = jump_kind_of(g, k);
		jump_explain(g, k, jump->kind, &(struct words){ jump->text, sizeof jump->text, 0 });
	}
}

const char *plumb_jump_name(enum plumb_jump_kind kind)
{
	static const char *const names[] = { [PLUMB_JUMP_ROUNDING] = "rounding",
		[PLUMB_JUMP_CONVENTION] = "convention",
		[PLUMB_JUMP_DIVERGENCE] = "divergence",
		[PLUMB_JUMP_MASSIVE] = "massive activation",
		[PLUMB_JUMP_CANCELLATION] = "cancellation" };
	return names[kind];
}

json_t *plumb_growth_cause(const struct plumb_growth_result *g, int k)
{
	const struct plumb_step *s = &g->step[k], *before = s - 1;
	char text[320] = "";
	struct words w = { text, sizeof text, 0 };
	if (!(s->growth_rel > PLUMB_EXCEPTION) || !s->all)
		return json_null();
	if (k == 1)
		jump_add(&w, "the first layer that computes");
	else if (s->role == PLUMB_STEP_CULPRIT)
		jump_add(&w, "divergence: %.3g times what rounding explains",
			s->one && !s->one->ok ? s->one->excess : s->all->excess);
	else if (!s->all->ok)
		jump_add(&w, "an earlier layer's error, %.3g times what rounding explains", s->all->excess);
	else if (jump_cancels(g, k))
		jump_add(&w, "cancellation: the norm goes from %.3g to %.3g while the rounding stays", before->norm,
			s->norm);
	else if (jump_writes(g, k))
		jump_add(&w, "massive activation: layer %d writes channel %lld (%.4g)", k - 1, (long long)g->channel,
			s->value);
	else if (s->growth_control > PLUMB_EXCEPTION)
		jump_add(&w, "rounding: the rounded control run grows %.2gx here, too", s->growth_control);
	else
		jump_add(&w, "rounding: %.2g of what a right port shows", s->all->excess);
	return plumb_json_text(text);
}
