/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of one tensor, and of the gap between two. */
#ifndef PLUMB_DIAG_MEASURE_H
#define PLUMB_DIAG_MEASURE_H

#include <jansson.h>
#include "core/json.h"
#include "diag/reference/capture.h"

json_t *plumb_measure_json(const struct plumb_measure *m);

/* --- gap.c --- */
/* Two ways to weigh a difference. rel: L2 over all values, which a massive channel or row owns; elementwise:
 * each value by its own size and its row's median size, so that a massive channel is one channel among
 * others. */
struct plumb_gap {
	bool have;   /* both have values there */
	bool normed; /* output of the last layer, seen through the final norm: the reference has it only so */
	struct plumb_measure m;
	double rel, elementwise; /* of ours - reference; values that the reference has not (NaN) left out */
	double floor, floor_elementwise; /* the same of a right port: the control run's */
	double floor_abs;                /* mean absolute difference of the control run */
	/* The larger of rel / floor and elementwise / floor_elementwise; beyond the limit it is no rounding. */
	double excess;
	bool ok;
	bool unsure; /* not ok, yet it proves nothing: what it was fed with is not what the reference's run had */
	bool cancels; /* beyond the limit, yet nothing after it in the layer is: ok */
};
/* Median of the sizes of the finite values that are not 0; room for n. */
double plumb_median_size(const float *v, int64_t n, float *room);
/* Measure the rows that both have; scores: of attention, where both -inf and -1e38 mean masked. */
enum plumb_status plumb_gap_measure(struct plumb_gap *gap, const struct plumb_captured *ours,
	const struct plumb_captured *reference, bool scores, enum plumb_type ulp);
/* Raise the floor to what the control run shows there. */
enum plumb_status plumb_gap_floor(struct plumb_gap *gap, const struct plumb_captured *trusted_run,
	const struct plumb_captured *control, bool scores);
void plumb_gap_judge(struct plumb_gap *gap, double least_floor, double limit);

json_t *plumb_gap_json(const struct plumb_gap *gap); /* {measure, floor, excess, ok}; null for NULL */

/* --- moments.c --- */
struct plumb_moments {
	int64_t n, nan, inf, zero_rows; /* n: finite values */
	int64_t bad;                    /* index of the first NaN or infinity, -1: none */
	double mean, m2, m3, m4;        /* sums of powers of the distance from the mean */
	double max;                     /* largest |w| */
	int64_t at;                     /* its index */
};
/* Of all values of a tensor, on the pool; the same bits at any number of threads. I32: no values. */
enum plumb_status plumb_moments_of(
	struct plumb_moments *m, const struct plumb_file_tensor *t, struct plumb_pool *pool);
double plumb_moments_std(const struct plumb_moments *m);      /* NaN without values */
double plumb_moments_kurtosis(const struct plumb_moments *m); /* excess; NaN without values or spread */
/* For qsort; no NaN among the values. */
int plumb_ascending_float(const void *a, const void *b);
/* The middle value, of an even number the mean of the middle two; NaN of none. Sorts v; no NaN among its
 * values. */
double plumb_median_float(float *v, int64_t n);
double plumb_median_double(double *v, int64_t n);
/* The middle of |v| without what is not finite; room for n. Unlike plumb_median_size it counts values that
 * are 0. */
double plumb_median_abs(const float *v, int64_t n, float *room);
double plumb_sum_squares(const float *v, int64_t n);
/* y = v / sqrt(mean of squares + eps) * weight, as a norm of the model, yet in float64. */
void plumb_rms_norm(float *y, const float *v, const float *weight, int64_t n, double eps);
/* Of a size among those of the values: 1 when none is larger. */
int64_t plumb_rank_float(const float *v, int64_t n, double size);
/* Standard deviation of all but one (without < 0: of all); NaN of none. */
double plumb_std_float(const float *v, int64_t n, int64_t without);

/* --- rounding.c --- */
/* Relative size of what rounding to the tensor's type did to its values: of these rows, or (NULL) of some. 0:
 * F32. */
enum plumb_status plumb_weight_step(
	const struct plumb_file_tensor *t, const int32_t *rows, int64_t count, double *step);

#endif
