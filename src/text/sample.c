/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of the next token from logits. Everything that decides is IEEE double arithmetic in a
 * fixed order, with an exp of its own (libm's differ in the last bit), so that a seed gives the same
 * tokens on every machine. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/random.h"
#include "text.h"

#define DEFAULT_WINDOW 64
#define MAX_WINDOW (1 << 20)

struct pick {
	double logit, weight;
	int32_t id;
};

struct plumb_sampler {
	struct plumb_sampling how;
	uint64_t state[4];
	int32_t *recent; /* ring of `window` ids */
	int window, seen, next;
	double *logit; /* after the penalty */
	struct pick *pick;
	int32_t room;
};

/* The state of xoshiro256** (Blackman, Vigna 2018). The text that a seed gives is promised, so this stays
 * what it is. */
static void sample_seed_state(uint64_t *state, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		state[i] = plumb_random(&seed);
}

static uint64_t sample_rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

/* Uniform in [0, 1), 53 bits. */
static double sample_draw(uint64_t *s)
{
	uint64_t result = sample_rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = sample_rotate(s[3], 45);
	return (double)(result >> 11) * 0x1p-53;
}

/* exp(x) for x <= 0, to a few ulps: x = k ln 2 + r with |r| <= ln 2 / 2, and the series of exp(r). */
static double sample_exp_negative(double x)
{
	double k, r, sum = 1;
	uint64_t bits;
	if (!(x > -708))
		return 0;
	k = (double)(int)(x * 1.44269504088896340736 - 0.5);
	r = (x - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
	for (int i = 14; i > 0; i--)
		sum = 1 + sum * r / i;
	bits = (uint64_t)(1023 + (int)k) << 52;
	memcpy(&k, &bits, sizeof k);
	return sum * k;
}

static enum plumb_status sample_check_sampling(const struct plumb_sampling *how)
{
	if (!(how->temperature >= 0) || isinf(how->temperature))
		return plumb_fail(PLUMB_E_ARGUMENT, "temperature %g, expected 0 or more", how->temperature);
	if (how->top_k < 0)
		return plumb_fail(PLUMB_E_ARGUMENT, "top_k %d, expected 0 (off) or more", how->top_k);
	if (!(how->top_p > 0 && how->top_p <= 1))
		return plumb_fail(PLUMB_E_ARGUMENT, "top_p %g, expected above 0 and at most 1 (off)", how->top_p);
	if (!(how->min_p >= 0 && how->min_p <= 1))
		return plumb_fail(PLUMB_E_ARGUMENT, "min_p %g, expected 0 (off) to 1", how->min_p);
	if (!(how->repeat_penalty > 0) || isinf(how->repeat_penalty))
		return plumb_fail(
			PLUMB_E_ARGUMENT, "repeat_penalty %g, expected above 0 (1: off)", how->repeat_penalty);
	if (how->repeat_window < 0 || how->repeat_window > MAX_WINDOW)
		return plumb_fail(PLUMB_E_ARGUMENT, "repeat_window %d, expected 0 (%d) to %d", how->repeat_window,
			DEFAULT_WINDOW, MAX_WINDOW);
	return PLUMB_OK;
}

enum plumb_status plumb_sampler_new(struct plumb_sampler **sampler, const struct plumb_sampling *how)
{
	struct plumb_sampling taken;
	struct plumb_sampler *s;
	*sampler = NULL;
	PLUMB_TRY(plumb_options_take("plumb_sampling", &taken, sizeof taken, sizeof taken, how));
	how = &taken;
	PLUMB_TRY(sample_check_sampling(how));
	s = calloc(1, sizeof *s);
	if (s) {
		s->how = *how;
		s->window = how->repeat_window ? how->repeat_window : DEFAULT_WINDOW;
		s->recent = malloc((size_t)s->window * sizeof *s->recent);
	}
	if (!s || !s->recent) {
		plumb_sampler_free(s);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a sampler");
	}
	sample_seed_state(s->state, how->seed);
	*sampler = s;
	return PLUMB_OK;
}

void plumb_sampler_free(struct plumb_sampler *s)
{
	if (!s)
		return;
	free(s->recent);
	free(s->logit);
	free(s->pick);
	free(s);
}

void plumb_sampler_saw(struct plumb_sampler *s, int32_t id)
{
	s->recent[s->next] = id;
	s->next = (s->next + 1) % s->window;
	s->seen += s->seen < s->window;
}

/* Copy the logits, refuse NaN, apply the penalty. */
static enum plumb_status sample_take_logits(struct plumb_sampler *s, const float *logits, int32_t n)
{
	double penalty = s->how.repeat_penalty;
	if (n > s->room) {
		double *logit = realloc(s->logit, (size_t)n * sizeof *logit);
		if (logit)
			s->logit = logit;
		struct pick *pick = realloc(s->pick, (size_t)n * sizeof *pick);
		if (pick)
			s->pick = pick;
		if (!logit || !pick)
			return plumb_fail(PLUMB_E_MEMORY, "no memory to choose from %d logits", (int)n);
		s->room = n;
	}
	for (int32_t i = 0; i < n; i++) {
		if (isnan(logits[i]))
			return plumb_fail(PLUMB_E_NONFINITE, "logit %d of %d is not a number", (int)i, (int)n);
		s->logit[i] = logits[i];
	}
	/* From the given logit, so a token that occurred twice is not punished twice. */
	for (int i = 0; penalty != 1 && i < s->seen; i++) {
		int32_t id = s->recent[i];
		if (id >= 0 && id < n)
			s->logit[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
	}
	return PLUMB_OK;
}

/* Of equal logits the lower id is better. */
static bool sample_worse(const struct pick *a, const struct pick *b)
{
	return a->logit < b->logit || (a->logit == b->logit && a->id > b->id);
}

/* The worst is on top. */
static void sample_sift_down(struct pick *heap, int32_t n, int32_t i)
{
	struct pick v = heap[i];
	for (int32_t child; n > 1 && i <= (n - 2) / 2; i = child) {
		child = 2 * i + 1;
		child += child + 1 < n && sample_worse(&heap[child + 1], &heap[child]);
		if (!sample_worse(&heap[child], &v))
			break;
		heap[i] = heap[child];
	}
	heap[i] = v;
}

/* The k best into pick, best first: a heap of k, so all but a few logits cost one comparison. */
static void sample_select_best(struct plumb_sampler *s, int32_t n, int32_t k)
{
	for (int32_t i = 0; i < k; i++)
		s->pick[i] = (struct pick){ s->logit[i], 0, i };
	for (int32_t i = k / 2; i-- > 0;)
		sample_sift_down(s->pick, k, i);
	for (int32_t i = k; i < n; i++) {
		if (s->logit[i] <= s->pick[0].logit) /* an equal one has the higher id */
			continue;
		s->pick[0] = (struct pick){ s->logit[i], 0, i };
		sample_sift_down(s->pick, k, 0);
	}
	for (int32_t last = k - 1; last > 0; last--) {
		struct pick worst = s->pick[0];
		s->pick[0] = s->pick[last];
		sample_sift_down(s->pick, last, 0);
		s->pick[last] = worst;
	}
}

static int32_t sample_find_best(const double *logit, int32_t n)
{
	int32_t best = 0;
	for (int32_t i = 1; i < n; i++)
		if (logit[i] > logit[best])
			best = i;
	return best;
}

/* Weight relative to the best logit; equal infinities have weight 1. */
static double sample_weigh(const struct plumb_sampler *s, double logit, double best)
{
	return logit == best ? 1 : sample_exp_negative((logit - best) / s->how.temperature);
}

/* How many of the k sorted picks, whose weights sum up to at most `total`, reach share p of it; 0: none. */
static int32_t sample_reach(struct plumb_sampler *s, int32_t k, double total, double best)
{
	double sum = 0;
	for (int32_t i = 0; i < k; i++) {
		sum += s->pick[i].weight = sample_weigh(s, s->pick[i].logit, best);
		if (sum >= s->how.top_p * total)
			return i + 1;
	}
	return 0;
}

/* Fill pick with the candidates that top_k and top_p leave; returns how many. */
static int32_t sample_filter(struct plumb_sampler *s, int32_t n, double best)
{
	int32_t k = s->how.top_k && s->how.top_k < n ? s->how.top_k : n, kept = 0;
	double total = 0;
	if (k == n && s->how.top_p >= 1) { /* nothing to order */
		for (int32_t i = 0; i < n; i++)
			s->pick[i] = (struct pick){ s->logit[i], sample_weigh(s, s->logit[i], best), i };
		return n;
	}
	if (k < n) {
		sample_select_best(s, n, k);
		for (int32_t i = 0; i < k; i++)
			total += s->pick[i].weight = sample_weigh(s, s->pick[i].logit, best);
		kept = s->how.top_p < 1 ? sample_reach(s, k, total, best) : k;
		return kept ? kept : k;
	}
	for (int32_t i = 0; i < n; i++)
		total += sample_weigh(s, s->logit[i], best);
	/* The share is mostly reached by few: order more only when these are not enough. */
	for (k = n < 64 ? n : 64; !kept; k = k > n / 8 ? n : 8 * k) {
		sample_select_best(s, n, k);
		kept = sample_reach(s, k, total, best);
		if (k == n)
			break;
	}
	return kept ? kept : n;
}

enum plumb_status plumb_sample(struct plumb_sampler *s, const float *logits, int32_t n, int32_t *id)
{
	enum plumb_status status;
	int32_t best, kept, last = 0;
	double total = 0, target;
	*id = -1;
	if (n < 1)
		return plumb_fail(PLUMB_E_ARGUMENT, "%d logits, expected at least 1", (int)n);
	if ((status = sample_take_logits(s, logits, n)))
		return status;
	best = sample_find_best(s->logit, n);
	if (s->how.temperature > 0) {
		kept = sample_filter(s, n, s->logit[best]);
		for (int32_t i = 0; i < kept; i++) {
			if (s->pick[i].weight < s->how.min_p) /* the best has weight 1 */
				s->pick[i].weight = 0;
			total += s->pick[i].weight;
		}
		target = sample_draw(s->state) * total;
		for (int32_t i = 0; i < kept; i++) {
			if (!(s->pick[i].weight > 0))
				continue;
			last = i; /* of the last one, should rounding leave the target unreached */
			if (target < s->pick[i].weight)
				break;
			target -= s->pick[i].weight;
		}
		best = s->pick[last].id;
	}
	plumb_sampler_saw(s, best);
	*id = best;
	return PLUMB_OK;
}
