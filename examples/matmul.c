/* SPDX-License-Identifier: Apache-2.0 */
/* One matrix product on whichever driver opens: plumb as a compute backend, without a model.
 *   cc matmul.c $(pkg-config --cflags --libs plumb) -o matmul && AR_HARDWARE_DRIVER=native ./matmul */
#include <stdio.h>
#include <stdlib.h>
#include <plumb/plumb.h>

int main(void)
{
	/* y {2, 3} = x {2, 4} times the transpose of w {3, 4}, plus b {3} */
	const float x[] = { 1, 2, 3, 4, 0, 1, 0, -1 }, w[] = { 1, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1 },
				b[] = { 0, 0.5f, -10 };
	const float want[] = { 1, 6.5f, 0, 0, 0.5f, -10 };
	struct plumb_context *ctx;
	struct plumb_tensor tx = { 0 }, tw = { 0 }, tb = { 0 }, ty = { 0 };
	float y[6];
	int code = EXIT_FAILURE;
	if (plumb_open(&ctx, NULL)) {
		fprintf(stderr, "matmul: %s\n", plumb_last_error());
		return EXIT_FAILURE;
	}
	if (plumb_tensor_new(ctx, &tx, PLUMB_F32, 2, (int64_t[]){ 2, 4 }) ||
		plumb_tensor_write(&tx, x, sizeof x) ||
		plumb_tensor_wrap(ctx, &tw, PLUMB_F32, 2, (int64_t[]){ 3, 4 }, w, sizeof w) ||
		plumb_tensor_wrap(ctx, &tb, PLUMB_F32, 1, (int64_t[]){ 3 }, b, sizeof b) ||
		plumb_tensor_new(ctx, &ty, PLUMB_F32, 2, (int64_t[]){ 2, 3 }) ||
		plumb_matmul(ctx, &ty, &tx, &tw, &tb) || plumb_tensor_read(&ty, y, sizeof y)) {
		fprintf(stderr, "matmul: %s\n", plumb_last_error());
		goto done;
	}
	code = EXIT_SUCCESS;
	for (int i = 0; i < 6; i++) {
		printf("%g%c", y[i], i % 3 == 2 ? '\n' : ' ');
		if (y[i] != want[i])
			code = EXIT_FAILURE;
	}
	printf("computed by %s (%s)\n", plumb_driver_name(ctx, 0), plumb_driver_note(ctx, 0));
done:
	plumb_tensor_free(&ty);
	plumb_tensor_free(&tb);
	plumb_tensor_free(&tw);
	plumb_tensor_free(&tx);
	plumb_close(ctx);
	return code;
}
