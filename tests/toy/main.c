/* SPDX-License-Identifier: Apache-2.0 */
/* The toy operator through its front, and by the library's own verification, which reads tables alone. */
#include <stdio.h>
#include <string.h>
#include "core/core.h"

static int fail(const char *what)
{
	printf("%s: %s\n", what, plumb_last_error());
	return 1;
}

int main(void)
{
	struct plumb_context *ctx, *trusted_run;
	struct plumb_tensor x, y;
	const float numbers[] = { 1, -2, 0.5f, 1e30f };
	float got[4];
	double error = -1, tolerance = -1;
	if (plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")) ||
		plumb_open(&trusted_run, PLUMB_OPTIONS(.driver = "native", .precision = "FP64")))
		return fail("open");
	if (plumb_op_verify(&ctx->driver[0], trusted_run, PLUMB_OP_twice, PLUMB_F32, &error, &tolerance))
		return fail("verify");
	if (plumb_tensor_new(ctx, &x, PLUMB_F32, 2, (int64_t[]){ 2, 2 }) ||
		plumb_tensor_new(ctx, &y, PLUMB_F32, 2, (int64_t[]){ 2, 2 }) ||
		plumb_tensor_write(&x, numbers, sizeof numbers) || plumb_twice(ctx, &y, &x) ||
		plumb_tensor_read(&y, got, sizeof got))
		return fail("twice");
	for (int i = 0; i < 4; i++)
		if (got[i] != 2 * numbers[i])
			return fail("wrong numbers");
	printf("%s %g %g placed %llu\n", plumb_op_name(PLUMB_OP_twice), error, tolerance,
		(unsigned long long)plumb_placement(ctx, PLUMB_OP_twice, 0));
	plumb_tensor_free(&x);
	plumb_tensor_free(&y);
	plumb_close(trusted_run);
	plumb_close(ctx);
	return 0;
}
