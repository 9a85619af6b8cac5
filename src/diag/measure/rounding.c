/* SPDX-License-Identifier: Apache-2.0 */
/* How coarsely a tensor's type holds its values, estimated from the values themselves. */
#include <math.h>
#include <stdlib.h>
#include "diag/measure/measure.h"
#include "diag/run/run.h"

#define BLOCK 32 /* values that share a scale, in all types that have one; k types use 16 or 32 */
#define ROWS 8   /* of a matrix are looked at */

/* The least distance of two values: neighbouring levels of the block's grid. 0: all are equal. */
static double rounding_grid(float *v, int64_t n)
{
	double least = INFINITY;
	qsort(v, (size_t)n, sizeof *v, plumb_ascending_float);
	for (int64_t i = 1; i < n; i++)
		if (v[i] > v[i - 1])
			least = fmin(least, (double)v[i] - (double)v[i - 1]);
	return isfinite(least) ? least : 0;
}

/* Rounding within half a step has a variance of step^2 / 12. */
static void rounding_add_row(float *v, int64_t n, double *error, double *size)
{
	for (int64_t i = 0; i < n; i++)
		*size += (double)v[i] * (double)v[i];
	for (int64_t i = 0; i < n; i += BLOCK) {
		int64_t m = n - i < BLOCK ? n - i : BLOCK;
		double step = rounding_grid(v + i, m);
		*error += step * step / 12 * (double)m;
	}
}

enum plumb_status plumb_weight_step(
	const struct plumb_file_tensor *t, const int32_t *rows, int64_t count, double *step)
{
	double error = 0, size = 0;
	int64_t n = t->dim[t->rank - 1];
	*step = t->type == PLUMB_BF16 ? plumb_least_floor(PLUMB_STORED_BF16)
		: t->type == PLUMB_F16    ? plumb_least_floor(PLUMB_STORED_FP16)
								  : 0;
	if (plumb_type_is_float(t->type) || t->rank != 2)
		return PLUMB_OK;
	float *v = malloc(sizeof *v * (size_t)n);
	if (!v)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of %lld weights", (long long)n);
	enum plumb_status s = PLUMB_OK;
	for (int64_t i = 0; !s && i < (rows ? count : ROWS) && i < t->dim[0]; i++) {
		s = plumb_weight_row(t, rows ? rows[i] : i * (t->dim[0] / (t->dim[0] < ROWS ? t->dim[0] : ROWS)), v);
		if (!s)
			rounding_add_row(v, n, &error, &size);
	}
	free(v);
	*step = size > 0 ? sqrt(error / size) : 0;
	return s;
}
