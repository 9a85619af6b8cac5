/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the special cases of all operators; see special.h. */
#include <stdlib.h>
#include "core/random.h"
#include "op/special.h"
#include "simd_sets.h"

int special_sets(void) { return simd_sets(); }
int special_runs(void) { return 2 * simd_sets(); }

struct plumb_context *special_open_in(int set, int threads, const char *mode)
{
	struct plumb_context *ctx;
	setenv("PLUMB_NATIVE_ISA", plumb_simd_at(set), 1);
	OK(plumb_open(
		&ctx, PLUMB_OPTIONS(.driver = "native", .precision = "FP32", .threads = threads, .mode = mode)));
	return ctx;
}

struct plumb_context *special_open(int run)
{
	return special_open_in(run / 2, 2, run % 2 ? "exact" : "default");
}

struct plumb_context *special_truth(void)
{
	struct plumb_context *ctx;
	OK(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .precision = "FP64")));
	return ctx;
}

struct plumb_tensor special_tensor(
	struct plumb_context *ctx, enum plumb_type type, int rank, const int64_t *dim, const float *data)
{
	struct plumb_tensor t;
	OK(plumb_tensor_new(ctx, &t, type, rank, dim));
	OK(plumb_type_from_f32(type, data, plumb_host(&t), plumb_tensor_count(&t)));
	return t;
}

void special_noise(float *x, int64_t n, float most, unsigned seed)
{
	uint64_t state = seed + 12345;
	for (int64_t i = 0; i < n; i++)
		x[i] = ((float)(plumb_random(&state) >> 40) * 0x1p-23f - 1) * most;
}

double special_distance(const float *have, const double *want, int64_t n)
{
	double error = 0, norm = 0;
	for (int64_t i = 0; i < n; i++) {
		error += (have[i] - want[i]) * (have[i] - want[i]);
		norm += want[i] * want[i];
	}
	return sqrt(error / norm);
}

int main(void)
{
	Suite *suite = suite_create("special cases of operators");
	suite_add_tcase(suite, special_argmax());
	suite_add_tcase(suite, special_attention());
	suite_add_tcase(suite, special_f16());
	suite_add_tcase(suite, special_fused());
	suite_add_tcase(suite, special_gated());
	suite_add_tcase(suite, special_matmul());
	suite_add_tcase(suite, special_rmsnorm());
	suite_add_tcase(suite, special_rope());
	suite_add_tcase(suite, special_softmax());
	SRunner *runner = srunner_create(suite);
	simd_sets_skipped();
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
