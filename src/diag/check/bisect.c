/* SPDX-License-Identifier: Apache-2.0 */
/* Which operators of a driver, in which layers, must run on a good driver for the answer to be right? Moves
 * them for real, through the dispatch of the bad driver's own context, and asks again. What is wrong with the
 * one that is found is not asked here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/bisect.h"
#include "drivers/drivers.h"

#define BIT(point) (1u << (point))
#define TOLERANCE 1e-3
#define MOST_MEMBERS 4 /* layers of an operator that are looked for one by one */

static int32_t bisect_largest(const float *v, int64_t n)
{
	int64_t best = 0;
	for (int64_t i = 1; i < n; i++)
		if (v[i] > v[best])
			best = i;
	return (int32_t)best;
}

static enum plumb_status bisect_last_logits(struct plumb_session *s, const float **row, int64_t vocab)
{
	int64_t rows;
	PLUMB_TRY(plumb_session_logits(s, row, &rows));
	*row += (rows - 1) * vocab;
	return PLUMB_OK;
}

/* --- placing: the operators of a slot go to the good driver --- */

static void bisect_place(struct bisect_state *h, unsigned operators)
{
	for (int i = 0; i < h->ctx->drivers; i++)
		h->ctx->avoid[i] = h->before[i] | (strcmp(plumb_driver_name(h->ctx, i), h->good) ? operators : 0);
}

static uint64_t bisect_on_bad(const struct bisect_state *h, int op)
{
	uint64_t sum = 0;
	for (int i = 0; i < h->ctx->drivers; i++)
		sum += strcmp(plumb_driver_name(h->ctx, i), h->good) ? plumb_placement(h->ctx, op, i) : 0;
	return sum;
}

/* What the bad driver ran since the last call belongs to this slot. */
static void bisect_note(struct bisect_state *h, int slot)
{
	for (int op = 0; h->looking && op < PLUMB_OP_COUNT; op++) {
		uint64_t now = bisect_on_bad(h, op);
		if (now != h->placed[op] && slot >= 0)
			h->present[slot] |= 1u << op;
		h->placed[op] = now;
	}
}

/* Between two slots. The values are not touched: all that is done here is to choose who computes the next
 * ones. */
static enum plumb_status bisect_between(void *user, int layer, enum plumb_point point, struct plumb_tensor *t)
{
	struct bisect_state *h = user;
	(void)point;
	(void)t;
	bisect_note(h, layer + 1);
	bisect_place(h, h->moved[layer + 2]);
	return PLUMB_OK;
}

/* --- asking --- */

static enum plumb_status bisect_ask(struct bisect_state *h, bool tapped, double *error)
{
	const float *v;
	double wrong = 0, size = 0;
	if (h->options->progress &&
		!h->options->progress(
			h->options->user, "moving operators", h->runs, h->runs < h->expected ? h->expected : h->runs + 1))
		return plumb_fail(PLUMB_E_CANCELLED, "stopped while moving operators");
	h->runs++;
	bisect_place(h, h->moved[0]);
	bisect_note(h, -1);
	plumb_session_tap(
		h->session, BIT(PLUMB_POINT_EMBEDDINGS) | BIT(PLUMB_POINT_OUTPUT), tapped ? bisect_between : NULL, h);
	PLUMB_TRY(plumb_session_rewind(h->session, 0));
	PLUMB_TRY(plumb_session_eval(h->session, h->tokens, h->n, PLUMB_LOGITS_LAST));
	bisect_note(h, h->slots - 1);
	PLUMB_TRY(bisect_last_logits(h->session, &v, h->vocab));
	for (int64_t i = 0; i < h->vocab; i++) {
		wrong += ((double)v[i] - h->right[i]) * ((double)v[i] - h->right[i]);
		size += (double)h->right[i] * h->right[i];
	}
	*error = isfinite(wrong) ? sqrt(wrong / size) : INFINITY;
	h->token = bisect_largest(v, h->vocab);
	return PLUMB_OK;
}

static enum plumb_status bisect_repairs(struct bisect_state *h, bool *yes)
{
	double error;
	PLUMB_TRY(bisect_ask(h, true, &error));
	*yes = error <= h->tolerance;
	return PLUMB_OK;
}

/* --- searching: things (operators, or layers of one) that can be moved --- */

struct things {
	int op;    /* whose layers these are; -1: the things are operators */
	int *item; /* operators, or slots */
	int count;
	int found[PLUMB_OP_COUNT + MOST_MEMBERS];
	int members;
};

/* Move the first n things and those found. */
static void bisect_move(struct bisect_state *h, const struct things *t, int n)
{
	for (int s = 0; s < h->slots; s++) {
		if (t->op >= 0)
			h->moved[s] &= ~(1u << t->op);
		else
			h->moved[s] = 0;
	}
	for (int i = 0; i < n + t->members; i++) {
		int what = i < n ? t->item[i] : t->found[i - n];
		for (int s = 0; s < h->slots; s++)
			if (t->op < 0)
				h->moved[s] |= 1u << what;
			else if (s == what)
				h->moved[s] |= 1u << t->op;
	}
}

/* All of them repair, none does not: find a smallest set that does. Each member is the last of the shortest
 * prefix that, with the members found before, repairs. Stops at `most` members; then the first `count` things
 * belong to the set, too. */
static enum plumb_status bisect_search(struct bisect_state *h, struct things *t, int most)
{
	bool yes = false;
	while (t->members < most) {
		if (t->members) {
			bisect_move(h, t, 0);
			PLUMB_TRY(bisect_repairs(h, &yes));
		}
		if (yes) {
			t->count = 0;
			break;
		}
		int low = 0, high = t->count; /* a prefix of low does not repair, one of high does */
		while (high - low > 1) {
			int middle = low + (high - low) / 2;
			bisect_move(h, t, middle);
			PLUMB_TRY(bisect_repairs(h, &yes));
			if (yes)
				high = middle;
			else
				low = middle;
		}
		yes = false;
		t->count = high - 1;
		t->found[t->members++] = t->item[high - 1];
		if (!t->count)
			break;
	}
	bisect_move(h, t, t->count);
	return PLUMB_OK;
}

/* Does it do without this one? */
static enum plumb_status bisect_needed(struct bisect_state *h, struct things *t, int index, bool *yes)
{
	bool good;
	bisect_move(h, t, t->count);
	h->moved[t->item[index]] &= ~(1u << t->op);
	PLUMB_TRY(bisect_repairs(h, &good));
	*yes = !good;
	return PLUMB_OK;
}

/* The layers of an operator that must be moved. *whole: it is all of them, as far as the first, the middle
 * and the last tell. */
static enum plumb_status bisect_search_layers(struct bisect_state *h, struct things *t, int op, bool *whole)
{
	bool yes;
	t->op = op;
	t->count = t->members = 0;
	for (int s = 0; s < h->slots; s++)
		if (h->present[s] >> op & 1)
			t->item[t->count++] = s;
	int ends[3] = { t->count - 1, 0, t->count / 2 };
	*whole = t->count > 1;
	for (int i = 0; *whole && i < (t->count == 2 ? 2 : 3); i++) {
		PLUMB_TRY(bisect_needed(h, t, ends[i], &yes));
		*whole = yes;
	}
	bisect_move(h, t, t->count);
	return *whole || t->count == 1 ? PLUMB_OK : bisect_search(h, t, MOST_MEMBERS);
}

/* --- the bisection --- */

static enum plumb_status bisect_measure_good(struct bisect_state *h, struct plumb_model *good)
{
	struct plumb_session *session;
	const float *v;
	PLUMB_TRY(plumb_session_new(&session, good, PLUMB_SESSION_OPTIONS(.context = h->n, .batch = h->n)));
	enum plumb_status s = plumb_session_eval(session, h->tokens, h->n, PLUMB_LOGITS_LAST);
	if (!s)
		s = bisect_last_logits(session, &v, h->vocab);
	if (!s) {
		memcpy(h->right, v, sizeof *v * (size_t)h->vocab);
		h->right_token = bisect_largest(v, h->vocab);
	}
	plumb_session_free(session);
	return s;
}

/* The bad answer, with and without a tap, and the answer of everything moved. */
static enum plumb_status bisect_measure_bad(struct bisect_state *h, struct findings *v)
{
	PLUMB_TRY(bisect_ask(h, false, &v->bad));
	v->bad_token = h->token;
	if (v->bad <= h->tolerance) {
		v->trouble = "Nothing to repair: the answer is right";
		return PLUMB_OK;
	}
	h->looking = true;
	PLUMB_TRY(bisect_ask(h, true, &v->tapped));
	h->looking = false;
	for (int s = 0; s < h->slots; s++) {
		for (unsigned bits = h->present[s]; bits; bits &= bits - 1)
			v->units++;
		h->moved[s] = h->present[s];
	}
	if (v->tapped <= h->tolerance) {
		v->trouble =
			"The answer is right as soon as somebody looks between the layers, so it is no single operator: what a plain run does across layers is wrong";
		return PLUMB_OK;
	}
	PLUMB_TRY(bisect_ask(h, true, &v->all));
	if (v->all > h->tolerance)
		v->trouble =
			"Even with every operator on the good driver the answer is wrong: it is not in the kernels, but in what lies around them (weights, transfers, other settings)";
	return PLUMB_OK;
}

static enum plumb_status bisect_find(struct bisect_state *h, struct things *t, struct findings *v)
{
	unsigned anywhere = 0;
	bool whole;
	t->op = -1;
	for (int slot = 0; slot < h->slots; slot++)
		anywhere |= h->present[slot];
	for (int op = 0; op < PLUMB_OP_COUNT; op++)
		if (anywhere >> op & 1)
			t->item[t->count++] = op;
	h->expected = h->runs + 16;
	PLUMB_TRY(bisect_search(h, t, PLUMB_OP_COUNT));
	for (int i = 0; i < t->members; i++)
		v->operators |= 1u << t->found[i];
	for (int op = 0; op < PLUMB_OP_COUNT; op++)
		if (v->operators >> op & 1) {
			PLUMB_TRY(bisect_search_layers(h, t, op, &whole));
			v->whole |= whole ? 1u << op : 0;
		}
	return PLUMB_OK;
}

/* As the user will run it: whole operators, no tap. */
static enum plumb_status bisect_confirm(struct bisect_state *h, struct findings *v)
{
	unsigned first = h->moved[0];
	h->moved[0] = v->operators;
	enum plumb_status s = bisect_ask(h, false, &v->after);
	h->moved[0] = first;
	v->after_token = h->token;
	return s;
}

static enum plumb_status bisect_run(
	struct bisect_state *h, struct plumb_model *good, struct plumb_model *bad, char **json)
{
	struct findings v = { .after = NAN };
	bool there = false;
	for (int i = 0; i < h->ctx->drivers; i++)
		there |= !strcmp(plumb_driver_name(h->ctx, i), h->good);
	if (!there)
		PLUMB_TRY(plumb_driver_add(h->ctx, h->good));
	PLUMB_TRY(bisect_measure_good(h, good));
	PLUMB_TRY(plumb_session_new(&h->session, bad, PLUMB_SESSION_OPTIONS(.context = h->n, .batch = h->n)));
	PLUMB_TRY(bisect_measure_bad(h, &v));
	if (!v.trouble) {
		struct things t = { .item = calloc((size_t)h->slots + PLUMB_OP_COUNT, sizeof *t.item) };
		enum plumb_status s = t.item ? bisect_find(h, &t, &v)
									 : plumb_fail(PLUMB_E_MEMORY, "no memory for a search");
		free(t.item);
		PLUMB_TRY(s);
		PLUMB_TRY(bisect_confirm(h, &v));
	}
	return plumb_bisect_describe(h, &v, json);
}

enum plumb_status plumb_diag_bisect(struct plumb_model *good, struct plumb_model *bad, const int32_t *tokens,
	int64_t n, const struct plumb_bisect_options *options, char **json)
{
	const struct plumb_config *c = plumb_model_config(bad);
	struct plumb_context *ctx = plumb_model_context(bad);
	struct plumb_bisect_options taken;
	*json = NULL;
	PLUMB_TRY(plumb_options_take("plumb_bisect_options", &taken, sizeof taken, sizeof taken, options));
	struct bisect_state h = { .ctx = ctx,
		.options = &taken,
		.good = plumb_driver_name(plumb_model_context(good), 0),
		.bad = plumb_driver_name(ctx, 0),
		.tokens = tokens,
		.n = n,
		.vocab = c->vocab,
		.slots = (int)c->layers + 2,
		.expected = 24,
		.tolerance = taken.tolerance > 0 ? taken.tolerance : TOLERANCE };
	if (!tokens || n < 1)
		return plumb_fail(PLUMB_E_ARGUMENT, "bisect needs the tokens of a prompt");
	if (plumb_model_config(good)->layers != c->layers || plumb_model_config(good)->vocab != c->vocab)
		return plumb_fail(PLUMB_E_ARGUMENT, "the two models are not of the same file");
	if (plumb_model_context(good) == ctx || !strcmp(h.good, h.bad))
		return plumb_fail(PLUMB_E_ARGUMENT, "both models run on %s: bisect compares two drivers", h.bad);
	void (*notice)(void *, const char *) = ctx->notice;
	memcpy(h.before, ctx->avoid, sizeof h.before);
	h.right = malloc(sizeof *h.right * (size_t)h.vocab);
	h.moved = calloc((size_t)h.slots + 1, sizeof *h.moved);
	h.present = calloc((size_t)h.slots + 1, sizeof *h.present);
	ctx->notice = NULL; /* what moves here is no news */
	enum plumb_status s = h.right && h.moved && h.present
		? bisect_run(&h, good, bad, json)
		: plumb_fail(PLUMB_E_MEMORY, "no memory for a search");
	plumb_session_free(h.session);
	ctx->notice = notice;
	memcpy(ctx->avoid, h.before, sizeof h.before);
	free(h.right);
	free(h.moved);
	free(h.present);
	return s;
}
