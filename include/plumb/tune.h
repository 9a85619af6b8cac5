/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel variant of a matrix product is fastest on the OpenCL device of a context. plumb_tune measures
 * it once and keeps the result beside the compiled kernels (AR_HARDWARE_LIBS); later contexts read it there.
 * Without a result a fixed rule holds. Products of one row, as for single tokens, have one variant and are
 * not affected. */
#ifndef PLUMB_TUNE_H
#define PLUMB_TUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/context.h>
#include <plumb/model.h>
#include <plumb/status.h>
#include <plumb/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PLUMB_TUNE_VARIANTS 5
/* The name of a variant: "mt1", "mt4" and "mt8" (plumb's kernel for 1, 4 and 8 rows of activations at a
 * time), "block" (plumb's kernel for many rows), "clblast" (the CLBlast library). NULL: there is no variant
 * of this number. */
PLUMB_API const char *plumb_tune_variant(int variant);

/* A weight of shape {n, k}. data holds it as a model file does; the caller owns it, and plumb_tune reads it.
 */
struct plumb_tune_shape {
	enum plumb_type type;
	int64_t n, k;
	const void *data;
};

struct plumb_tune_row {
	enum plumb_type type;
	int64_t n, k;
	int64_t m_low,
		m_high; /* numbers of rows of activations for which this result holds; m_high 0: no upper limit */
	int64_t m;  /* the number of rows with which it was measured */
	int fixed;  /* the variant without tuning */
	int chosen; /* the variant that is taken: another one only if its median and its best time are both at
				   least 5 % lower */
	struct plumb_tune_result {
		double seconds; /* the median; 0: not measured */
		int timings;    /* how many times it was timed; 1: it was far slower than the best one, so it was not
						   timed again */
		bool wrong;     /* it gave other numbers, or failed */
	} variant[PLUMB_TUNE_VARIANTS];
};

struct plumb_tune_options {     /* see struct plumb_options */
	size_t size;                /* sizeof(struct plumb_tune_options) */
	int timings;                /* how often each variant is timed at least, 3 to 25; 0: 5 times */
	plumb_progress_fn progress; /* called with the number of measurements made and their total; may be NULL */
	void *user;
	plumb_cancel_fn
		cancel; /* returns true to stop with PLUMB_E_CANCELLED; nothing is written then. May be NULL */
	void *cancel_user;
};
#define PLUMB_TUNE_OPTIONS(...) \
	(&(struct plumb_tune_options){ .size = sizeof(struct plumb_tune_options), __VA_ARGS__ })
/* Measures all variants for 1 to 1000 shapes and keeps the results, together with earlier ones for other
 * shapes. PLUMB_E_UNSUPPORTED: the context has no cl driver, and the others have no variants. PLUMB_E_IO:
 * there is no folder that can be written. */
PLUMB_API enum plumb_status plumb_tune(struct plumb_context *ctx, const struct plumb_tune_shape *shapes,
	int count, const struct plumb_tune_options *options);

/* The results that are kept for the device of the context. *rows is malloc'ed and the caller's to free;
 * *count is 0 when there are none. PLUMB_E_UNSUPPORTED: the context has no cl driver. */
PLUMB_API enum plumb_status plumb_tune_rows(
	struct plumb_context *ctx, struct plumb_tune_row **rows, int *count);
/* What tuning works with. The texts last as long as the context.
 * *device: the name of the device.
 * *file: the path of the tuning file, also when there is none yet; "" when there is no folder for it.
 * *no_clblast: why CLBlast cannot be used; NULL when it can.
 * PLUMB_E_UNSUPPORTED: the context has no cl driver. */
PLUMB_API enum plumb_status plumb_tune_place(
	struct plumb_context *ctx, const char **device, const char **file, const char **no_clblast);

#ifdef __cplusplus
}
#endif
#endif
