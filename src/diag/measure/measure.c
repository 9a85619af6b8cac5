/* SPDX-License-Identifier: Apache-2.0 */
/* How far two lists of numbers are apart: absolute, relative, in angle, in units in the last place, and, for
 * logits, as distributions. Knows no layer, no reference, no verdict. All sums are in float64. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/measure/measure.h"

/* Distance of neighbouring values of the type at |x|; that of its smallest normal number below it. */
static double measure_spacing(double x, int mantissa, int least_exponent)
{
	int e = x == 0 ? least_exponent : ilogb(x);
	return ldexp(1, (e > least_exponent ? e : least_exponent) - mantissa);
}

static bool measure_spacing_of(enum plumb_type type, int *mantissa, int *least_exponent)
{
	*mantissa = type == PLUMB_F32 ? 23 : type == PLUMB_BF16 ? 7 : 10;
	*least_exponent = type == PLUMB_F16 ? -14 : -126;
	return type == PLUMB_F32 || type == PLUMB_BF16 || type == PLUMB_F16;
}

/* Masked scores are -inf on both sides, and a NaN that both have is no difference either. */
static bool measure_agree(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

/* One side has a number and the other has none: no norm says anything any more. */
static void measure_spoil(struct plumb_measure *m)
{
	m->max_abs = m->mean_abs = m->rel = m->nmse = m->mean_ulp = m->max_ulp = INFINITY;
	m->cosine = 0;
}

enum plumb_status plumb_measure(
	struct plumb_measure *m, const float *ours, const float *reference, int64_t n, enum plumb_type ulp)
{
	int mantissa, least;
	double sum = 0, square = 0, size = 0, own = 0, dot = 0, ulps = 0;
	bool spoilt = false;
	*m = (struct plumb_measure){ .count = n };
	if (n < 0)
		return plumb_fail(PLUMB_E_ARGUMENT, "measure: %lld values", (long long)n);
	if (!measure_spacing_of(ulp, &mantissa, &least))
		return plumb_fail(
			PLUMB_E_TYPE, "measure: ulp of %s; f32, bf16 or f16 expected", plumb_type_name(ulp));
	for (int64_t i = 0; i < n; i++) {
		double a = ours[i], b = reference[i], d = fabs(a - b);
		if (!isfinite(a) || !isfinite(b)) {
			if (!measure_agree(ours[i], reference[i]) && !spoilt) {
				spoilt = true;
				m->worst = i;
			}
			continue;
		}
		/* At the larger of the two: where the reference is 0, its own spacing would drown every other value.
		 */
		double u = d == 0 ? 0 : d / measure_spacing(fmax(fabs(a), fabs(b)), mantissa, least);
		sum += d;
		square += d * d;
		size += b * b;
		own += a * a;
		dot += a * b;
		ulps += u;
		m->max_ulp = fmax(m->max_ulp, u);
		if (d > m->max_abs && !spoilt) {
			m->max_abs = d;
			m->worst = i;
		}
	}
	if (spoilt) {
		measure_spoil(m);
		return PLUMB_OK;
	}
	m->mean_abs = n ? sum / (double)n : 0;
	m->mean_ulp = n ? ulps / (double)n : 0;
	m->nmse = square == 0 ? 0 : size > 0 ? square / size : INFINITY;
	m->rel = sqrt(m->nmse);
	m->cosine = own > 0 && size > 0 ? dot / sqrt(own) / sqrt(size) : own == size;
	return PLUMB_OK;
}

/* The k best of n, best first, the lower index first among equals; a NaN is below everything. */
static void measure_best(const float *v, int64_t n, int32_t *top, int64_t k)
{
	int64_t held = 0;
	for (int64_t i = 0; i < n; i++) {
		float x = isnan(v[i]) ? -INFINITY : v[i];
		int64_t at = held;
		while (at > 0 && (isnan(v[top[at - 1]]) ? -INFINITY : v[top[at - 1]]) < x)
			at--;
		if (at == k)
			continue;
		if (held < k)
			held++;
		memmove(top + at + 1, top + at, sizeof *top * (size_t)(held - 1 - at));
		top[at] = (int32_t)i;
	}
}

/* log(sum(exp(v))) */
static double measure_log_sum(const float *v, int64_t n, double largest)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		sum += exp(v[i] - largest);
	return largest + log(sum);
}

static double measure_divergence(
	const float *ours, const float *reference, int64_t n, double best_ours, double best_reference)
{
	double a = measure_log_sum(ours, n, best_ours), b = measure_log_sum(reference, n, best_reference), kl = 0;
	for (int64_t i = 0; i < n; i++) {
		double p = exp(reference[i] - b);
		if (p > 0)
			kl += p * ((reference[i] - b) - (ours[i] - a));
	}
	return isfinite(kl) ? fmax(kl, 0) : INFINITY; /* below 0 by rounding only */
}

static int measure_compare_ids(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

/* Share of b's ids that a has; sorts both. */
static double measure_shared(int32_t *a, int32_t *b, int64_t k)
{
	int64_t same = 0;
	qsort(a, (size_t)k, sizeof *a, measure_compare_ids);
	qsort(b, (size_t)k, sizeof *b, measure_compare_ids);
	for (int64_t i = 0, j = 0; i < k && j < k;) {
		same += a[i] == b[j];
		if (a[i] <= b[j])
			i++;
		else
			j++;
	}
	return (double)same / (double)k;
}

enum plumb_status plumb_measure_logits(
	struct plumb_logits_measure *m, const float *ours, const float *reference, int64_t vocab, int k)
{
	*m = (struct plumb_logits_measure){ 0 };
	if (vocab < 1 || vocab > INT32_MAX || k < 1)
		return plumb_fail(PLUMB_E_ARGUMENT, "measure: the %d best of %lld logits", k, (long long)vocab);
	int64_t kept = k < vocab ? k : vocab, want = kept < 2 && vocab > 1 ? 2 : kept;
	int32_t *a = malloc(sizeof *a * 2 * (size_t)want);
	if (!a)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the %lld best logits", (long long)want);
	int32_t *b = a + want;
	measure_best(ours, vocab, a, want);
	measure_best(reference, vocab, b, want);
	m->top_ours = a[0];
	m->top_reference = b[0];
	m->margin_ours = want > 1 ? (double)ours[a[0]] - ours[a[1]] : INFINITY;
	m->margin_reference = want > 1 ? (double)reference[b[0]] - reference[b[1]] : INFINITY;
	m->kl = measure_divergence(ours, reference, vocab, ours[a[0]], reference[b[0]]);
	for (int64_t i = 0; i < vocab; i++)
		if (!measure_agree(ours[i], reference[i])) {
			double d = fabs((double)ours[i] - reference[i]);
			m->max_abs = fmax(m->max_abs, isfinite(d) ? d : INFINITY);
		}
	m->agree = measure_shared(a, b, kept);
	free(a);
	return PLUMB_OK;
}

json_t *plumb_measure_json(const struct plumb_measure *m)
{
	return json_pack("{s:I, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "count", (json_int_t)m->count,
		"max_abs", plumb_json_number(m->max_abs), "mean_abs", plumb_json_number(m->mean_abs), "worst",
		(json_int_t)m->worst, "rel", plumb_json_number(m->rel), "nmse", plumb_json_number(m->nmse), "cosine",
		plumb_json_number(m->cosine), "mean_ulp", plumb_json_number(m->mean_ulp), "max_ulp",
		plumb_json_number(m->max_ulp));
}
