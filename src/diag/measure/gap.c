/* SPDX-License-Identifier: Apache-2.0 */
/* The gap between two tensors, weighed in two ways, beside the gap that rounding alone makes there. Knows
 * captured tensors, no runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/measure/measure.h"

#define MASKED -60000.0f /* -inf, or the least number of fp16 or float32, as libraries write it */

/* The k-th smallest (Hoare's selection); v is reordered. */
static float gap_kth(float *v, int64_t n, int64_t k)
{
	int64_t low = 0, high = n - 1;
	while (low < high) {
		float pivot = v[low + (high - low) / 2];
		int64_t i = low, j = high;
		while (i <= j) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i <= j) {
				float swap = v[i];
				v[i++] = v[j];
				v[j--] = swap;
			}
		}
		if (k <= j)
			high = j;
		else if (k >= i)
			low = i;
		else
			break;
	}
	return v[k];
}

double plumb_median_size(const float *v, int64_t n, float *room)
{
	int64_t kept = 0;
	for (int64_t i = 0; i < n; i++)
		if (isfinite(v[i]) && v[i] != 0)
			room[kept++] = fabsf(v[i]);
	return kept ? gap_kth(room, kept, kept / 2) : 0;
}

/* Values that count, side by side: what the reference has not, and what both mask, becomes 0 on both sides.
 * False: one side has a number where the other has none. */
static bool gap_pair(float *a, float *b, int64_t n, bool scores)
{
	bool whole = true;
	for (int64_t i = 0; i < n; i++) {
		bool ours = scores && a[i] <= MASKED, theirs = scores && b[i] <= MASKED;
		if (ours != theirs || (!theirs && isfinite(b[i]) && !isfinite(a[i])))
			whole = false;
		if (theirs || ours || !isfinite(b[i]) || !isfinite(a[i]))
			a[i] = b[i] = 0;
	}
	return whole;
}

/* Both weighings of a - b; row: room for one. */
static void gap_weigh(
	const float *a, const float *b, int64_t n, int64_t width, float *row, double *rel, double *elementwise)
{
	double error = 0, size = 0, share = 0, counted = 0;
	for (int64_t r = 0; r < n; r += width) {
		double m = plumb_median_size(b + r, width, row);
		for (int64_t i = r; i < r + width; i++) {
			double e = (double)a[i] - b[i], y = b[i], scale = y * y + m * m;
			error += e * e;
			size += y * y;
			share += scale > 0 ? e * e / scale : e != 0;
			counted += scale > 0 || e != 0;
		}
	}
	*rel = error == 0 ? 0 : size > 0 ? sqrt(error / size) : INFINITY;
	*elementwise = counted > 0 ? sqrt(share / counted) : 0;
}

/* Clean copies of the common rows, and room for a row behind them; NULL with n 0: nothing in common. */
static enum plumb_status gap_copies(
	const struct plumb_captured *a, const struct plumb_captured *b, float **room, int64_t *n)
{
	const float *va, *vb;
	*room = NULL;
	*n = 0;
	if (!plumb_captured_common(a, b, &va, &vb, n))
		return PLUMB_OK;
	size_t bytes = sizeof **room * (size_t)*n;
	if (!(*room = malloc(2 * bytes + sizeof **room * (size_t)a->width)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory to compare %lld values", (long long)*n);
	memcpy(*room, va, bytes);
	memcpy(*room + *n, vb, bytes);
	return PLUMB_OK;
}

enum plumb_status plumb_gap_measure(struct plumb_gap *gap, const struct plumb_captured *ours,
	const struct plumb_captured *reference, bool scores, enum plumb_type ulp)
{
	float *v;
	int64_t n;
	*gap = (struct plumb_gap){ false };
	PLUMB_TRY(gap_copies(ours, reference, &v, &n));
	if (!n)
		return PLUMB_OK;
	bool whole = gap_pair(v, v + n, n, scores);
	gap_weigh(v, v + n, n, ours->width, v + 2 * n, &gap->rel, &gap->elementwise);
	enum plumb_status s = plumb_measure(&gap->m, v, v + n, n, ulp);
	if (!whole)
		gap->rel = gap->elementwise = gap->m.rel = gap->m.nmse = gap->m.max_abs = gap->m.mean_abs = INFINITY;
	gap->have = true;
	free(v);
	return s;
}

enum plumb_status plumb_gap_floor(struct plumb_gap *gap, const struct plumb_captured *trusted_run,
	const struct plumb_captured *control, bool scores)
{
	float *v;
	int64_t n;
	double rel, elementwise, sum = 0;
	PLUMB_TRY(gap_copies(trusted_run, control, &v, &n));
	if (!n)
		return PLUMB_OK;
	gap_pair(v, v + n, n, scores);
	gap_weigh(v, v + n, n, trusted_run->width, v + 2 * n, &rel, &elementwise);
	for (int64_t i = 0; i < n; i++)
		sum += fabs((double)v[i] - v[n + i]);
	free(v);
	gap->floor = fmax(gap->floor, rel);
	gap->floor_elementwise = fmax(gap->floor_elementwise, elementwise);
	gap->floor_abs = fmax(gap->floor_abs, sum / (double)n);
	return PLUMB_OK;
}

void plumb_gap_judge(struct plumb_gap *gap, double least_floor, double limit)
{
	gap->floor = fmax(gap->floor, least_floor);
	gap->floor_elementwise = fmax(gap->floor_elementwise, least_floor);
	gap->excess = fmax(gap->rel / gap->floor, gap->elementwise / gap->floor_elementwise);
	gap->ok = gap->excess <= limit;
}

json_t *plumb_gap_json(const struct plumb_gap *gap)
{
	if (!gap)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:b}", "measure", plumb_measure_json(&gap->m), "floor",
		plumb_json_number(gap->floor), "excess", plumb_json_number(gap->excess), "ok", gap->ok);
}
