/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the tests of what the generic loop of check_op.c cannot know of an operator. Each
 * file here gives one TCase; its tests run once per instruction set, most of them in each mode. */
#ifndef PLUMB_TESTS_OP_SPECIAL_H
#define PLUMB_TESTS_OP_SPECIAL_H

#include <check.h>
#include <math.h>
#include <string.h>
#include "core/core.h"
#include "sanitized.h"

/* Instruction sets of this machine, and what loop tests count to: each set in the modes default and exact. */
int special_sets(void);
int special_runs(void);
/* A context with 2 threads for one of those runs; on instruction set `set`. */
struct plumb_context *special_open(int run);
struct plumb_context *special_open_in(int set, int threads, const char *mode);
/* A context of the float64 truth. */
struct plumb_context *special_truth(void);
/* A tensor holding n = its count floats, rounded to its type. */
struct plumb_tensor special_tensor(
	struct plumb_context *ctx, enum plumb_type type, int rank, const int64_t *dim, const float *data);
/* Seeded noise in [-most, most). */
void special_noise(float *x, int64_t n, float most, unsigned seed);
/* Relative L2 distance of two rows of floats. */
double special_distance(const float *have, const double *want, int64_t n);

#define DIMS(...) \
	(int64_t[]) { __VA_ARGS__ }
#define OK(call) \
	do { \
		enum plumb_status ok_status = (call); \
		ck_assert_msg(ok_status == PLUMB_OK, "%s: %s", #call, ok_status ? plumb_last_error() : ""); \
	} while (0)

TCase *special_argmax(void);
TCase *special_attention(void);
TCase *special_f16(void);
TCase *special_fused(void);
TCase *special_gated(void);
TCase *special_matmul(void);
TCase *special_rmsnorm(void);
TCase *special_rope(void);
TCase *special_softmax(void);

#endif
