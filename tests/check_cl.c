/* SPDX-License-Identifier: Apache-2.0 */
/* Every operator of the cl driver against its float64 truth, on the device that PLUMB_CL_DEVICE chooses:
 * every case of its descriptor and every weight type, plus what the driver's own parts must do. Not forked: a
 * context does not survive that. Exit status 77, a skip, where no OpenCL device opens. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cl/device/device.h"
#include "cl/tune/tune.h"
#include "cl_layers.h"
#include "f16_values.h"
#include "op/op.h"
#include "op_cases.h"
#include "random.h"

static struct plumb_context *ctx;

static bool is_interpreted(void) { return strstr(plumb_driver_note(ctx, 0), "Oclgrind") != NULL; }

/* Oclgrind 21.10 knows what is initialised by a buffer's number and keeps the old size when a number comes
 * again: a larger buffer then looks uninitialised at its end. So no buffer is given back where it may be at
 * work. */
static cl_int CL_API_CALL keep(cl_mem mem)
{
	(void)mem;
	return CL_SUCCESS;
}

static void check_problem(void *user, const struct problem *p)
{
	void *first = NULL;
	uint64_t before = plumb_placement(ctx, (int)p->op, 0);
	(void)user;
	check_context(ctx, p, &first);
	ck_assert_msg(plumb_placement(ctx, (int)p->op, 0) > before,
		"%s: the driver has a kernel, and it was composed", p->text);
	free(first);
	check_refuses_f64(ctx, p);
}

START_TEST(test_op)
{
	start_random((unsigned)_i);
	ck_assert_int_gt(each_problem((enum plumb_op)_i, check_problem, NULL), 0);
}
END_TEST

/* The variable must be understood or named. */
START_TEST(test_class)
{
	struct plumb_context *other;
	const char *had = getenv("PLUMB_CL_CLASS");
	char *keep = had ? strdup(had) : NULL;
	setenv("PLUMB_CL_CLASS", "toaster", 1);
	ck_assert_int_eq(plumb_open(&other, PLUMB_OPTIONS(.driver = "cl")), PLUMB_E_ARGUMENT);
	ck_assert_msg(strstr(plumb_last_error(), "PLUMB_CL_CLASS is \"toaster\""), "%s", plumb_last_error());
	if (keep)
		setenv("PLUMB_CL_CLASS", keep, 1);
	else
		unsetenv("PLUMB_CL_CLASS");
	free(keep);
}
END_TEST

/* What was asked for before a write or a free meets the old content, wherever AR_HARDWARE_MEMORY_LOCATION
 * puts it. */
START_TEST(test_order)
{
	enum { MOST = 1 << 14, TIMES = 8, ADDS = 8 };
	static float x[TIMES][MOST], y[MOST];
	const int N = is_interpreted() ? 1 << 10
								   : MOST; /* which takes a second for what a device does in a millisecond */
	struct plumb_tensor a, sum[TIMES];
	const int64_t shape[2] = { 1, N };
	need(plumb_tensor_new(ctx, &a, PLUMB_F32, 2, shape), "a tensor");
	for (int i = 0; i < TIMES; i++) {
		need(plumb_tensor_new(ctx, &sum[i], PLUMB_F32, 2, shape), "a tensor");
		for (int j = 0; j < N; j++)
			x[i][j] = (float)(i + j % 8);
	}
	for (int i = 0; i < TIMES; i++) {
		struct plumb_tensor old;
		need(plumb_tensor_write(&a, x[i], sizeof **x * (size_t)N), "writing");
		need(plumb_add(ctx, &sum[i], &a, &a), "add");
		for (int j = 0; j < ADDS; j++)
			need(plumb_add(ctx, &sum[i], &sum[i], &a), "add");
		if (i % 2)
			continue;
		need(plumb_tensor_new(ctx, &old, PLUMB_F32, 2, shape), "a tensor");
		need(plumb_add(ctx, &old, &a, &a), "add");
		need(plumb_add(ctx, &sum[i], &sum[i], &old), "add");
		plumb_tensor_free(&old);
	}
	for (int i = 0; i < TIMES; i++) {
		int times = ADDS + 2 + 2 * !(i % 2);
		need(plumb_tensor_read(&sum[i], y, sizeof *y * (size_t)N), "reading");
		for (int j = 0; j < N; j++)
			if (y[j] != (float)(times * (i + j % 8)))
				ck_abort_msg("sum %d, element %d: %g, not %d", i, j, (double)y[j], times * (i + j % 8));
		plumb_tensor_free(&sum[i]);
	}
	plumb_tensor_free(&a);
}
END_TEST

enum { D = 64, N = 11 };

static struct plumb_tensor noise(float *values, int64_t rows, int64_t columns, float most)
{
	struct plumb_tensor t;
	for (int64_t i = 0; i < rows * columns; i++)
		values[i] = uniform(most);
	need(plumb_tensor_new(ctx, &t, PLUMB_F32, 2, (int64_t[]){ rows, columns }), "a tensor");
	need(plumb_tensor_write(&t, values, (size_t)(rows * columns) * sizeof *values), "writing");
	return t;
}

/* Rows so small that eps counts, which the cases' numbers hide. */
START_TEST(test_eps)
{
	static float x[12 * D], norm[D], w[3][N * D], y[12 * 3 * N];
	const double eps = 1e-6;
	const int64_t m = (int64_t[]){ 1, 3, 12 }[_i];
	rng = 99;
	struct plumb_tensor tx = noise(x, m, D, 1e-3f), tn = noise(norm, 1, D, 2), tw[3], ty, row, out;
	for (int i = 0; i < 3; i++)
		tw[i] = noise(w[i], N, D, 2);
	need(plumb_tensor_new(ctx, &ty, PLUMB_F32, 2, (int64_t[]){ m, 3 * N }), "a tensor");
	plumb_tensor_view(&row, &tn, 0, 1, D);
	row.rank = 1;
	row.dim[0] = D, row.dim[1] = 1;
	for (int gate_up = 0; gate_up < 3; gate_up++) { /* the second with silu, the third with gelu */
		plumb_tensor_view(&out, &ty, 0, m, gate_up ? N : 3 * N);
		const struct plumb_tensor *const weights[] = { &tw[0], &tw[1], &tw[2] }, *const none[3] = { NULL };
		need(gate_up ? plumb_gate_up(ctx, &out, &tx, &row, eps, &tw[0], &tw[1],
						   gate_up == 1 ? PLUMB_SILU : PLUMB_GELU_TANH)
					 : plumb_qkv(ctx, &out, &tx, &row, eps, weights, none),
			"fused");
		need(plumb_tensor_read(&ty, y, sizeof *y * (size_t)(m * 3 * N)), "reading");
		double error = 0, size = 0;
		for (int64_t i = 0; i < m; i++) {
			double square = 0;
			for (int k = 0; k < D; k++)
				square += (double)x[i * D + k] * x[i * D + k] / D;
			for (int j = 0; j < (gate_up ? N : 3 * N); j++) {
				double sum[3] = { 0 }, want;
				for (int k = 0; k < D; k++)
					for (int p = 0; p < 3; p++)
						sum[p] += (double)x[i * D + k] / sqrt(square + eps) * norm[k] * w[p][j % N * D + k];
				double bent = gate_up < 2 ? sum[0]
										  : 1.5957691216057308 * (sum[0] + 0.044715 * pow(sum[0], 3));
				want = gate_up ? sum[0] / (1 + exp(-bent)) * sum[1] : sum[j / N];
				double have = gate_up ? y[i * N + j] : y[j / N * m * N + i * N + j % N];
				error += (have - want) * (have - want);
				size += want * want;
			}
		}
		ck_assert_msg(error <= 1e-10 * size, "%s, %lld rows: relative error %g", gate_up ? "gate_up" : "qkv",
			(long long)m, sqrt(error / size));
	}
	plumb_tensor_free(&tx);
	plumb_tensor_free(&tn);
	plumb_tensor_free(&ty);
	for (int i = 0; i < 3; i++)
		plumb_tensor_free(&tw[i]);
}
END_TEST

static struct plumb_context *half;

static void check_half_problem(void *user, const struct problem *p)
{
	int *done = user;
	if (p->desc->fused || done[p->op]++) /* of each basic operator the first that fits */
		return;
	check_half(half, p);
}

START_TEST(test_half)
{
	int done[PLUMB_OP_COUNT] = { 0 };
	const char *small = getenv("PLUMB_TEST_SMALL");
	start_random(1);
	need(plumb_open(&half, PLUMB_OPTIONS(.driver = "cl", .precision = "FP16")), "FP16");
	check_f16(half, small && atoi(small) > 0);
	for (int op = 0; op < PLUMB_OP_COUNT; op++)
		each_problem((enum plumb_op)op, check_half_problem, done);
	plumb_close(half);
}
END_TEST

/* The canary looks at what is on the device without making the host hold it, too. */
START_TEST(test_canary_copies)
{
	static float values[2][N * D];
	struct plumb_tensor a = noise(values[0], N, D, 1), b = noise(values[1], N, D, 1), sum, out;
	double error, allowed;
	uint64_t used;
	need(plumb_tensor_new(ctx, &sum, PLUMB_F32, 2, a.dim), "a tensor");
	need(plumb_tensor_new(ctx, &out, PLUMB_F32, 2, a.dim), "a tensor");
	need(plumb_add(ctx, &sum, &a, &b), "add");
	bool apart = !ctx->driver[0].in_host_bytes;
	ck_assert(!apart || !sum.buffer->host);
	const struct plumb_call call = { .op = PLUMB_OP_add, .out = &out, .in = { &sum, &sum } };
	used = atomic_load(&ctx->used);
	need(plumb_op_canary(&ctx->driver[0], &call, &error, &allowed), "the canary");
	ck_assert_msg(error <= allowed, "error %g, allowed %g", error, allowed);
	ck_assert(!apart || !sum.buffer->host);
	ck_assert_uint_eq(atomic_load(&ctx->used), used);
	plumb_tensor_free(&a);
	plumb_tensor_free(&b);
	plumb_tensor_free(&sum);
	plumb_tensor_free(&out);
}
END_TEST

static char said[512];

static void hear(void *user, const char *text)
{
	(void)user;
	snprintf(said, sizeof said, "%s", text);
}

/* A context whose canary knows of no verdict yet, in the place of ours; `had` keeps what close_fresh puts
 * back. */
struct fresh {
	struct plumb_context *mine;
	char folder[32], *had[2];
};
static const char *const fresh_names[2] = { "AR_HARDWARE_LIBS", "PLUMB_CANARY" };

static void open_fresh(struct fresh *f)
{
	*f = (struct fresh){ .mine = ctx, .folder = "/tmp/check_cl.XXXXXX" };
	for (int i = 0; i < 2; i++)
		f->had[i] = getenv(fresh_names[i]) ? strdup(getenv(fresh_names[i])) : NULL;
	ck_assert_ptr_nonnull(mkdtemp(f->folder));
	setenv("AR_HARDWARE_LIBS", f->folder, 1);
	setenv("PLUMB_CANARY", "1", 1);
	need(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "cl", .precision = "FP32", .notice = hear)), "a context");
}

static void close_fresh(struct fresh *f)
{
	char command[64];
	plumb_close(ctx);
	ctx = f->mine;
	for (int i = 0; i < 2; free(f->had[i++]))
		f->had[i] ? setenv(fresh_names[i], f->had[i], 1) : unsetenv(fresh_names[i]);
	snprintf(command, sizeof command, "rm -r %s", f->folder);
	ck_assert_int_eq(system(command), 0);
}

/* A call that fits does not fail for want of memory to look at it: the kernel is not judged, and that is
 * said. */
START_TEST(test_canary_without_memory)
{
	static float values[2][N * D], sum[N * D];
	struct fresh fresh;
	open_fresh(&fresh);
	struct plumb_tensor a = noise(values[0], N, D, 1), b = noise(values[1], N, D, 1), out;
	need(plumb_tensor_new(ctx, &out, PLUMB_F32, 2, a.dim), "a tensor");
	need(plumb_swiglu(ctx, &out, &a, &b), "swiglu"); /* all three are on the device */
	ck_assert_str_eq(said, "");
	ctx->limit = atomic_load(&ctx->used);
	need(plumb_add(ctx, &out, &a, &b), "add");
	ck_assert_msg(strstr(said, "cl: add (f32) is not compared with the truth: ") != NULL, "%s", said);
	ctx->limit = 0;
	need(plumb_tensor_read(&out, sum, sizeof sum), "reading");
	for (int i = 0; i < N * D; i++)
		ck_assert(sum[i] == values[0][i] + values[1][i]);
	plumb_tensor_free(&a);
	plumb_tensor_free(&b);
	plumb_tensor_free(&out);
	close_fresh(&fresh);
}
END_TEST

static struct {
	plumb_op_fn real;
	int64_t rows[4];
	int variant[4], calls;
} spied;

static enum plumb_status spy(struct plumb_driver *driver, const struct plumb_call *call)
{
	if (spied.calls < 4) {
		spied.rows[spied.calls] = call->out->dim[0];
		spied.variant[spied.calls] = call->variant;
	}
	spied.calls++;
	return spied.real(driver, call);
}

/* The canary's slice of a product has few rows, and is judged by the kernel that the many take. */
START_TEST(test_canary_variant)
{
	enum { M = 40 };
	static float values[2][M * D];
	struct fresh fresh;
	open_fresh(&fresh);
	struct plumb_driver_class spying = *ctx->driver[0].cls;
	const struct plumb_driver_class *own = ctx->driver[0].cls;
	spied.real = spying.op[PLUMB_OP_matmul];
	spied.calls = 0;
	spying.op[PLUMB_OP_matmul] = spy;
	struct plumb_tensor x = noise(values[0], M, D, 1), w = noise(values[1], N, D, 1), out;
	need(plumb_tensor_new(ctx, &out, PLUMB_F32, 2, (int64_t[]){ M, N }), "a tensor");
	ctx->driver[0].cls = &spying;
	need(plumb_matmul(ctx, &out, &x, &w, NULL), "matmul");
	ctx->driver[0].cls = own;
	ck_assert_int_eq(spied.calls, 2);
	ck_assert_int_lt(spied.rows[0], M);
	ck_assert_int_eq(spied.variant[0], 1 + PLUMB_CL_BLOCK);
	ck_assert_int_eq(spied.rows[1], M);
	ck_assert_int_eq(spied.variant[1], 0);
	plumb_tensor_free(&x);
	plumb_tensor_free(&w);
	plumb_tensor_free(&out);
	close_fresh(&fresh);
}
END_TEST

static unsigned seen; /* bit v: a call asked for variant v */

static enum plumb_status note_variant(struct plumb_driver *driver, const struct plumb_call *call)
{
	(void)driver;
	seen |= 1u << call->variant;
	return PLUMB_OK;
}

/* Tuning times each variant that the device has, and no call for which the driver would choose. */
START_TEST(test_tune_variants)
{
	static float values[N * D];
	struct fresh fresh;
	open_fresh(&fresh);
	struct plumb_driver_class spying = *ctx->driver[0].cls;
	const struct plumb_driver_class *own = ctx->driver[0].cls;
	const struct plumb_tune_shape shape = { PLUMB_F32, N, D, values };
	spying.op[PLUMB_OP_matmul] = note_variant;
	ctx->driver[0].cls = &spying;
	need(plumb_tune(ctx, &shape, 1, NULL), "tuning");
	ctx->driver[0].cls = own;
	ck_assert(!(seen & 1));
	for (int i = 0; i < PLUMB_CL_VARIANTS; i++)
		ck_assert_msg((seen >> (1 + i) & 1) ==
				plumb_cl_variant_can(plumb_cl_state(&ctx->driver[0]), (enum plumb_cl_variant)i),
			"%s", plumb_tune_variant(i));
	close_fresh(&fresh);
}
END_TEST

int main(void)
{
	if (plumb_open(&ctx, PLUMB_OPTIONS(.driver = "cl", .precision = "FP32"))) {
		printf("skipped: %s\n", plumb_last_error());
		return 77;
	}
	printf("on %s\n", plumb_driver_note(ctx, 0));
	if (is_interpreted())
		plumb_cl.clReleaseMemObject = keep;
	Suite *suite = suite_create("cl");
	for (int op = 0; op < PLUMB_OP_COUNT; op++) { /* CK_RUN_CASE=rope runs that one alone */
		TCase *c = tcase_create(plumb_op_name(op));
		tcase_add_loop_test(c, test_op, op, op + 1);
		suite_add_tcase(suite, c);
	}
	TCase *c = tcase_create("driver");
	tcase_add_test(c, test_class);
	tcase_add_test(c, test_order);
	tcase_add_test(c, test_half);
	tcase_add_loop_test(c, test_eps, 0, 3);
	tcase_add_test(c, test_canary_copies);
	tcase_add_test(c, test_canary_without_memory);
	tcase_add_test(c, test_canary_variant);
	tcase_add_test(c, test_tune_variants);
	suite_add_tcase(suite, c);
	suite_add_tcase(suite, cl_layers(ctx));
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	plumb_close(ctx);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
