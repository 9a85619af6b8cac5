/* SPDX-License-Identifier: Apache-2.0 */
/* Differences inside a layer that cancel before its output: positions counted from 1 turn Q and K alike,
 * channels in another order in both, a factor in Q that the scores lack. What is made of such values is
 * right, so no port is to blame. A bug that only does not show must not pass for one: with a single key
 * softmax hides everything before it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "diag/check/check.h"

#define BIT(point) (1u << PLUMB_POINT_##point)
#define CLEAR \
	10.0 /* limits that such a difference is beyond: one that is just beyond would be just within a step \
			later */
#define LARGE 0.01   /* relative, where nothing between it and the layer's output was captured */
#define FADES 1000.0 /* and so many times less of it is left there than a residual would explain */
#define SAME 0.01    /* relative distance of a reason's values from the reference's */
#define KEYS (BIT(Q_PROJ) | BIT(K_PROJ) | BIT(Q_NORM) | BIT(K_NORM) | BIT(Q_ROPE) | BIT(K_ROPE))
#define BEFORE_SOFTMAX (KEYS | BIT(ATTN_SCORES))

/* What is made of a point, step by step (one of several will do: the others are points themselves); -1: the
 * residual stream. */
static int cancel_next_of(int point)
{
	static const signed char next[PLUMB_POINT_COUNT] = {
		[PLUMB_POINT_INPUT_NORM] = PLUMB_POINT_V_PROJ,
		[PLUMB_POINT_POST_ATTN_NORM] = PLUMB_POINT_FFN_UP,
		[PLUMB_POINT_Q_PROJ] = PLUMB_POINT_Q_ROPE,
		[PLUMB_POINT_K_PROJ] = PLUMB_POINT_K_ROPE,
		[PLUMB_POINT_Q_NORM] = PLUMB_POINT_Q_ROPE,
		[PLUMB_POINT_K_NORM] = PLUMB_POINT_K_ROPE,
		[PLUMB_POINT_V_PROJ] = PLUMB_POINT_ATTN_CONTEXT,
		[PLUMB_POINT_Q_ROPE] = PLUMB_POINT_ATTN_SCORES,
		[PLUMB_POINT_K_ROPE] = PLUMB_POINT_ATTN_SCORES,
		[PLUMB_POINT_ATTN_SCORES] = PLUMB_POINT_ATTN_SOFTMAX,
		[PLUMB_POINT_ATTN_SOFTMAX] = PLUMB_POINT_ATTN_CONTEXT,
		[PLUMB_POINT_ATTN_CONTEXT] = PLUMB_POINT_ATTN_OUT,
		[PLUMB_POINT_FFN_GATE] = PLUMB_POINT_FFN_ACT,
		[PLUMB_POINT_FFN_UP] = PLUMB_POINT_FFN_ACT,
		[PLUMB_POINT_FFN_ACT] = PLUMB_POINT_FFN_DOWN,
	};
	return next[point] ? next[point] : -1;
}

static bool cancel_fails(const struct plumb_errors *e, enum plumb_gap_kind kind, int layer, int point)
{
	const struct plumb_gap *gap = plumb_gap_any(e, kind, layer, point);
	return gap && !gap->ok;
}

/* A layer whose input is right already differs by its own doing alone; of another only what each component
 * makes of the reference's values tells anything. */
struct layer {
	const struct plumb_diag *d;
	const struct plumb_errors *e;
	const struct plumb_capture *ours;
	int layer;
	enum plumb_gap_kind kind;
	unsigned differ;
};

static const struct plumb_gap *cancel_own(const struct layer *l, int point)
{
	return plumb_gap_any(l->e, l->kind, l->layer, point);
}

static double cancel_size_of(const struct plumb_captured *p)
{
	double sum = 0;
	for (int64_t i = 0; p && i < p->rows * p->width; i++)
		sum += isfinite(p->v[i]) ? (double)p->v[i] * (double)p->v[i] : 0;
	return sqrt(sum);
}

/* Nothing was captured between the point and the output: far less is left there than the branch's share of
 * it, which dilutes, would leave. */
static bool cancel_fades(const struct layer *l, int point)
{
	const struct plumb_gap *gap = cancel_own(l, point),
						   *end = plumb_gap_any(l->e, PLUMB_ISOLATED, l->layer, PLUMB_POINT_OUTPUT);
	int from = point <= PLUMB_POINT_ATTN_OUT ? PLUMB_POINT_ATTN_OUT
		: point == PLUMB_POINT_ATTN_RESIDUAL ? point
											 : PLUMB_POINT_FFN_DOWN;
	const struct plumb_captured *branch = plumb_capture_at(l->ours, l->layer, from);
	double share = cancel_size_of(branch) /
		cancel_size_of(plumb_capture_at(l->ours, l->layer, PLUMB_POINT_OUTPUT));
	return (l->d->n > 1 || !(1u << point & BEFORE_SOFTMAX)) && gap->rel > LARGE &&
		gap->rel * share > FADES * fmax(end->rel, end->floor);
}

/* Is what is made of the point right, by values of ours alone? */
static bool cancels(const struct layer *l, int point)
{
	const struct plumb_gap *made;
	if (!(cancel_own(l, point)->excess > CLEAR * l->e->limit))
		return false;
	for (int p = cancel_next_of(point); p >= 0 && l->kind == PLUMB_ACCUMULATED; p = cancel_next_of(p)) {
		if (l->d->n < 2 && p > PLUMB_POINT_ATTN_SCORES && 1u << point & BEFORE_SOFTMAX)
			return false;
		made = cancel_own(l, p);
		if (made && !(l->differ >> p & 1))
			return made->ok;
	}
	return cancel_fades(l, point);
}

/* The points of a layer that cancel; 0 when one that differs does not. */
static unsigned cancelling(
	const struct plumb_diag *d, const struct plumb_errors *e, const struct plumb_capture *ours, int layer)
{
	const struct plumb_gap *end = plumb_gap_any(e, PLUMB_ISOLATED, layer, PLUMB_POINT_OUTPUT);
	bool incoming = cancel_fails(
		e, PLUMB_ACCUMULATED, layer - 1, layer ? PLUMB_POINT_OUTPUT : PLUMB_POINT_EMBEDDINGS);
	struct layer l = { d, e, ours, layer, incoming ? PLUMB_COMPONENT : PLUMB_ACCUMULATED, 0 };
	if (!end || !end->ok)
		return 0;
	for (int point = 0; point < PLUMB_POINT_OUTPUT; point++)
		if (cancel_fails(e, l.kind, layer, point))
			l.differ |= 1u << point;
		else if (cancel_fails(e, PLUMB_COMPONENT, layer, point) &&
			!l.differ) /* else it was fed with some of what differs, and not with all */
			return 0;
	for (int point = 0; point < PLUMB_POINT_OUTPUT; point++)
		if (l.differ >> point & 1 && !cancels(&l, point))
			return 0;
	return l.differ;
}

enum plumb_status plumb_errors_cancel(struct plumb_diag *d, struct plumb_errors *e)
{
	const struct plumb_capture *ours;
	PLUMB_TRY(plumb_diag_ours(d, &ours));
	for (int layer = 0; e->inner && layer < d->layers; layer++) {
		unsigned points = cancelling(d, e, ours, layer);
		e->cancels |= points;
		for (int point = 0; points && point < PLUMB_POINT_COUNT; point++)
			for (int kind = 0; kind < PLUMB_GAP_KINDS; kind++) {
				struct plumb_gap *gap = &e->gap[kind][(layer + 1) * PLUMB_POINT_COUNT + point];
				gap->cancels = points >> point & 1;
				gap->ok |= gap->cancels || kind == PLUMB_COMPONENT;
			}
	}
	return PLUMB_OK;
}

/* --- reasons --- */

/* A copy of the rows that both have, changed so that it may be the other: what `change` makes of ours. */
struct look {
	const struct plumb_config *config;
	const struct plumb_rope *rope; /* of the layer; NULL: it has none */
	const float *freqs;
	int64_t rows, width;
	int by;
};

static void cancel_turn(const struct look *l, float *a, float *b)
{
	(void)b;
	for (int64_t at = 0; l->rope && at < l->rows * l->width; at += l->config->head_dim)
		plumb_rotate_head(a + at, a + at, l->rope, l->freqs, l->by);
}

static void cancel_sort(const struct look *l, float *a, float *b)
{
	for (int64_t at = 0; at < l->rows * l->width; at += l->config->head_dim) {
		qsort(a + at, (size_t)l->config->head_dim, sizeof *a, plumb_ascending_float);
		qsort(b + at, (size_t)l->config->head_dim, sizeof *b, plumb_ascending_float);
	}
}

static void cancel_scale(const struct look *l, float *a, float *b)
{
	double dot = 0, size = 0;
	for (int64_t i = 0; i < l->rows * l->width; i++) {
		dot += (double)a[i] * (double)b[i];
		size += (double)a[i] * (double)a[i];
	}
	for (int64_t i = 0; size > 0 && i < l->rows * l->width; i++)
		a[i] = (float)(a[i] * (dot / size));
}

static const struct {
	const char *why;
	void (*change)(const struct look *, float *, float *);
	int by;
} reasons[] = {
	{ "positions are counted from 1 there, which turns Q and K alike, and a score depends on the difference of two positions only",
		cancel_turn, 1 },
	{ "positions are counted from one less there, which turns Q and K alike, and a score depends on the difference of two positions only",
		cancel_turn, -1 },
	{ "the channels of a head are in another order there, the same in Q and K, and a score is a sum over them",
		cancel_sort, 0 },
	{ "it is larger there by one factor, which the scores or their scale make good again", cancel_scale, 0 },
};
#define REASONS ((int)(sizeof reasons / sizeof *reasons))

/* Which reason makes our values the reference's; REASONS: none. */
static enum plumb_status cancel_find_reason(const struct plumb_diag *d, int layer,
	const struct plumb_captured *ours, const struct plumb_captured *theirs, int *reason)
{
	const float *a, *b;
	int64_t n;
	*reason = REASONS;
	if (!plumb_captured_common(ours, theirs, &a, &b, &n) || ours->width % d->config->head_dim)
		return PLUMB_OK;
	float *copy = malloc(sizeof *copy * 2 * (size_t)n);
	if (!copy)
		return plumb_fail(PLUMB_E_MEMORY, "no memory to compare %lld values", (long long)n);
	struct plumb_rope rope;
	const struct plumb_tensor *freqs;
	struct look l = { d->config,
		plumb_model_rope(d->port, layer, 0, n / ours->width, &rope, &freqs) ? &rope : NULL, NULL,
		n / ours->width, ours->width, 0 };
	l.freqs = freqs ? plumb_host(freqs) : NULL;
	rope.scale = 1; /* what is turned has been scaled */
	for (int i = 0; i < REASONS && *reason == REASONS; i++) {
		double error = 0, size = 0;
		memcpy(copy, a, sizeof *copy * (size_t)n);
		memcpy(copy + n, b, sizeof *copy * (size_t)n);
		l.by = reasons[i].by;
		reasons[i].change(&l, copy, copy + n);
		for (int64_t k = 0; k < n; k++) {
			error += ((double)copy[k] - copy[n + k]) * ((double)copy[k] - copy[n + k]);
			size += (double)copy[n + k] * (double)copy[n + k];
		}
		if (sqrt(error) < SAME * sqrt(size))
			*reason = i;
	}
	free(copy);
	return PLUMB_OK;
}

enum plumb_status plumb_cancel_describe(
	struct plumb_diag *d, const struct plumb_errors *e, char *text, size_t size)
{
	const struct plumb_capture *ours;
	int layers = 0, shown = -1, point = -1, reason;
	PLUMB_TRY(plumb_diag_ours(d, &ours));
	for (int layer = 0; layer < d->layers; layer++) {
		bool here = false;
		for (int p = 0; p < PLUMB_POINT_OUTPUT; p++) {
			const struct plumb_gap *gap = plumb_gap_any(e, PLUMB_COMPONENT, layer, p);
			if (!gap || !gap->cancels)
				continue;
			here = true;
			if (shown < 0 && point < 0)
				point = p;
		}
		layers += here;
		shown = here && shown < 0 ? layer : shown;
	}
	text[0] = 0;
	if (shown < 0)
		return PLUMB_OK;
	for (int p = 0; p < PLUMB_POINT_OUTPUT; p++)
		if (e->cancels >> p & 1)
			plumb_append(text, size, "%s%s", *text ? ", " : "", plumb_point_name(p));
	PLUMB_TRY(cancel_find_reason(
		d, shown, plumb_capture_at(ours, shown, point), plumb_capture_at(&d->fixed, shown, point), &reason));
	plumb_append(text, size,
		" of %d layer%s differ%s from the reference's, and that is harmless: what is made of %s in the same layer "
		"agrees. %s%s%s",
		layers, layers > 1 ? "s" : "", e->cancels & (e->cancels - 1) ? "" : "s",
		e->cancels & (e->cancels - 1) ? "them" : "it", reason < REASONS ? "The reason: " : "",
		reason < REASONS ? reasons[reason].why : "", reason < REASONS ? "." : "");
	return PLUMB_OK;
}
