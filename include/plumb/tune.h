/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several ways a product of matrices goes fastest on the OpenCL device of a context: measured once, kept beside
 * the compiled kernels (AR_HARDWARE_LIBS), used from then on. Without it a fixed choice holds. */
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
/* "mt1", "mt4", "mt8" (plumb's kernel, so many rows of activations a time), "block" (plumb's for many), "clblast"; NULL past the end. */
PLUMB_API const char *plumb_tune_variant(int variant);

/* A weight {n, k}; data as a file holds it, read while tuning. */
struct plumb_tune_shape { enum plumb_type type; int64_t n, k; const void *data; };

struct plumb_tune_row {
	enum plumb_type type;
	int64_t n, k;
	int64_t m_low, m_high; /* rows of activations for which this row holds; m_high 0: any more */
	int64_t m;             /* ... with which it was measured */
	int fixed, chosen;     /* way without tuning; way taken: another one only if at least 5% faster in the median and the best run */
	struct plumb_tune_result {
		double seconds; /* median; 0: not measured */
		int timings;    /* more of short ones; 1: far slower than the best, so not repeated */
		bool wrong;     /* gave other numbers, or failed */
	} variant[PLUMB_TUNE_VARIANTS];
};

struct plumb_tune_options { /* see struct plumb_options */
	size_t size; /* sizeof(struct plumb_tune_options) */
	int timings;                /* of each way, at least; 0: 5 */
	plumb_progress_fn progress; /* may be NULL */
	void *user;
	plumb_cancel_fn cancel;     /* true: PLUMB_E_CANCELLED, nothing is written; NULL: nobody is asked */
	void *cancel_user;
};
#define PLUMB_TUNE_OPTIONS(...) (&(struct plumb_tune_options){ .size = sizeof(struct plumb_tune_options), __VA_ARGS__ })
/* Measure all ways for these shapes and keep the result, together with earlier ones for other shapes. PLUMB_E_UNSUPPORTED:
 * no driver of the context has a choice (native has none); PLUMB_E_IO: there is no folder to keep it in. */
PLUMB_API enum plumb_status plumb_tune(struct plumb_context *ctx, const struct plumb_tune_shape *shapes, int count, const struct plumb_tune_options *options);

/* What is kept for the device of the context; *rows is malloc'ed (free it), *count 0 when nothing is. */
PLUMB_API enum plumb_status plumb_tune_rows(struct plumb_context *ctx, struct plumb_tune_row **rows, int *count);
/* The device by name; the file, also when it is not there yet ("": no folder); NULL when CLBlast can be used, else why not. They
 * last as long as the context. PLUMB_E_UNSUPPORTED as above. */
PLUMB_API enum plumb_status plumb_tune_place(struct plumb_context *ctx, const char **device, const char **file, const char **no_clblast);

#ifdef __cplusplus
}
#endif
#endif
