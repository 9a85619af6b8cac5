/* SPDX-License-Identifier: Apache-2.0 */
/* matmul: every small number of rows, k that is no multiple of the inner block, a massive
 * channel, NaN, the second rows of integers, and calls that must be refused with the output untouched. */
#include <stdlib.h>
#include "op/special.h"
#include "op/op.h"
#include "core/random.h"
#include "native/matmul_packed.h"

static void check_against_double(const struct plumb_tensor *y, const float *x, const float *w, const float *b,
	int64_t m, int64_t n, int64_t k)
{
	const float *have = plumb_host(y);
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++) {
			double sum = b ? b[j] : 0, size = fabs(sum);
			for (int64_t l = 0; l < k; l++) {
				sum += (double)x[i * k + l] * w[j * k + l];
				size += fabs((double)x[i * k + l] * w[j * k + l]);
			}
			double bound = ((double)k / 4 + 16) * 0x1p-24 * size; /* as in tests/simd_compare.c */
			if (m > 3 && k > 64)
				bound = 260 * 0x1p-24 * size; /* a tile adds one after the other, in blocks of 256 */
			if (!(fabs(have[i * n + j] - sum) <= bound))
				ck_abort_msg("m %d n %d k %d: y[%d][%d] is %.9g, must be %.9g", (int)m, (int)n, (int)k,
					(int)i, (int)j, (double)have[i * n + j], sum);
		}
}

START_TEST(test_small)
{
	static const int64_t ks[] = { 1, 5, 37, 255, 257, 300, 777, 1025 }, ns[] = { 1, 15, 16, 17, 65 };
	struct plumb_context *ctx = special_open(_i);
	for (int64_t m = 1; m <= 9; m++)
		for (int c = 0; c < 8 * 5; c++) {
			int64_t k = ks[c / 5], n = ns[c % 5];
			float *x = malloc(sizeof *x * (size_t)(m * k)), *w = malloc(sizeof *w * (size_t)(n * k)), b[65];
			special_noise(x, m * k, 2, (unsigned)c);
			special_noise(w, n * k, 1, (unsigned)m + 50);
			special_noise(b, n, 3, 9);
			if (k > 62)
				for (int64_t i = 0; i < m; i++)
					x[i * k + 62] = 1e4f; /* the massive channel */
			struct plumb_tensor tx = special_tensor(ctx, PLUMB_F32, 2, DIMS(m, k), x),
								tw = special_tensor(ctx, PLUMB_F32, 2, DIMS(n, k), w);
			struct plumb_tensor tb = special_tensor(ctx, PLUMB_F32, 1, DIMS(n), b), y;
			OK(plumb_tensor_new(ctx, &y, PLUMB_F32, 2, DIMS(m, n)));
			OK(plumb_matmul(ctx, &y, &tx, &tw, &tb));
			check_against_double(&y, x, w, b, m, n, k);
			plumb_tensor_free(&tx);
			plumb_tensor_free(&tw);
			plumb_tensor_free(&tb);
			plumb_tensor_free(&y);
			free(x);
			free(w);
		}
	plumb_close(ctx);
}
END_TEST

/* NaN and infinity stay in their row of x, and reach all of it. */
START_TEST(test_nan)
{
	struct plumb_context *ctx = special_open(_i);
	enum { N = 19, K = 300 };
	static float x[8 * K], w[N * K], clean[8 * N];
	for (int64_t m = 2; m <= 8; m++) { /* both ways of computing */
		special_noise(x, m * K, 1, 1);
		special_noise(w, N * K, 1, 2);
		struct plumb_tensor tx = special_tensor(ctx, PLUMB_F32, 2, DIMS(m, K), x),
							tw = special_tensor(ctx, PLUMB_F32, 2, DIMS(N, K), w), y;
		OK(plumb_tensor_new(ctx, &y, PLUMB_F32, 2, DIMS(m, N)));
		OK(plumb_matmul(ctx, &y, &tx, &tw, NULL));
		memcpy(clean, plumb_host(&y), sizeof *clean * (size_t)(m * N));
		((float *)plumb_host(&tx))[K + 299] = NAN;
		OK(plumb_matmul(ctx, &y, &tx, &tw, NULL));
		for (int64_t i = 0; i < m * N; i++) {
			float have = ((float *)plumb_host(&y))[i];
			ck_assert_msg(i / N == 1 ? isnan(have) : have == clean[i], "m %d: y[%d][%d] is %g", (int)m,
				(int)(i / N), (int)(i % N), (double)have);
		}
		plumb_tensor_free(&tx);
		plumb_tensor_free(&tw);
		plumb_tensor_free(&y);
	}
	plumb_close(ctx);
}
END_TEST

/* Weights in Q8_0: their doubles to w. */
static void draw_q8(unsigned char *bytes, double *w, int64_t count)
{
	for (int64_t i = 0; i < count; i++) {
		unsigned char *b = bytes + i / 32 * 34;
		b[0] = 0;
		b[1] = 0x24; /* 2^-6 as a half */
		b[2 + i % 32] = (unsigned char)(i * 37 + i / 96 * 11);
		w[i] = 0x1p-6 * (signed char)b[2 + i % 32];
	}
}

/* Activations in 16-bit integers: rows with one value far above the others, weights that must stay exact, and
 * as many rows as make passes in registers, panels, and with the second rows the one or the other. */
START_TEST(test_second_rows)
{
	enum { N = 45, K = 288, MOST = 40 };
	static const int64_t rows[] = { 1, 3, 5, 15, 16, 17, 31, 32, 33, MOST };
	static unsigned char bytes[N * K / 32 * 34];
	static double w[N * K], want[N];
	static float x[MOST * K], b[N];
	struct plumb_context *ctx = special_open_in(_i, 2, "default");
	draw_q8(bytes, w, N * K);
	special_noise(x, MOST * K, 2, 5);
	special_noise(b, N, 3, 6);
	for (int64_t i = 0; i < MOST; i += 3)
		x[i * K + 62] = 1e4f;
	for (int c = 0; c < 2 * (int)(sizeof rows / sizeof *rows); c++) {
		int64_t m = rows[c / 2];
		struct plumb_tensor tx = special_tensor(ctx, PLUMB_F32, 2, DIMS(m, K), x),
							tb = special_tensor(ctx, PLUMB_F32, 1, DIMS(N), b), tw, y;
		OK(plumb_tensor_new(ctx, &tw, PLUMB_Q8_0, 2, DIMS(N, K)));
		OK(plumb_tensor_write(&tw, bytes, sizeof bytes));
		OK(plumb_tensor_new(ctx, &y, PLUMB_F32, 2, DIMS(m, N)));
		tw.buffer->exact = c % 2;
		OK(plumb_matmul(ctx, &y, &tx, &tw, &tb));
		for (int64_t i = 0; i < m; i++) {
			for (int64_t j = 0; j < N; j++) {
				want[j] = b[j];
				for (int64_t l = 0; l < K; l++)
					want[j] += x[i * K + l] * w[j * K + l];
			}
			double off = special_distance((float *)plumb_host(&y) + i * N, want, N),
				   bound = (c % 2 ? 0 : PLUMB_MODE_LOSS) + (2 + sqrt(K)) * PLUMB_U;
			ck_assert_msg(off <= bound, "%s, row %d of %d is off by %.2e, may be %.2e",
				c % 2 ? "exact" : "default", (int)i, (int)m, off, bound);
		}
		plumb_tensor_free(&tx);
		plumb_tensor_free(&tb);
		plumb_tensor_free(&tw);
		plumb_tensor_free(&y);
	}
	plumb_close(ctx);
}
END_TEST

/* Any bits, and scales that are sane. */
static void draw_blocks(struct plumb_tensor *w)
{
	unsigned char *bytes = plumb_host(w);
	uint64_t state = 5;
	for (size_t i = 0; i < plumb_tensor_bytes(w); i++)
		bytes[i] = (unsigned char)(plumb_random(&state) >> 40);
	for (size_t i = 0; i < plumb_tensor_bytes(w); i += plumb_type_bytes(w->type))
		plumb_type_put_scales(
			w->type, bytes + i, (float[]){ plumb_random(&state) >> 63 ? 0.01f : -0.02f, 0.03f });
}

/* The fast mode with every type that has a packed form: what bytes lose of a row of x, as doc/numerics.md has
 * it, is what its products lose, whatever the weights. Half as much again is chance. */
START_TEST(test_bytes)
{
	enum { N = 45, K = 512, M = PLUMB_LARGE_BATCH + 7 };
	static float x[M * K], w[N * K];
	static double want[M * N];
	struct plumb_context *ctx = special_open_in(_i, 2, "fast");
	double lost = 0, size = 0;
	special_noise(x, M * K, 2, 11);
	for (int b = 0; b < M * K; b += 32) {
		float most = 0;
		for (int i = b; i < b + 32; i++) {
			most = fmaxf(most, fabsf(x[i]));
			size += (double)x[i] * x[i];
		}
		lost += 32 / 12.0 * pow(most / 127, 2);
	}
	for (int t = 0; t < PLUMB_TYPE_COUNT; t++) {
		if (!plumb_packed_formats[t].bits)
			continue;
		struct plumb_tensor tx = special_tensor(ctx, PLUMB_F32, 2, DIMS(M, K), x), tw, y;
		OK(plumb_tensor_new(ctx, &tw, (enum plumb_type)t, 2, DIMS(N, K)));
		OK(plumb_tensor_new(ctx, &y, PLUMB_F32, 2, DIMS(M, N)));
		draw_blocks(&tw);
		OK(plumb_type_to_f32(tw.type, plumb_host(&tw), w, N * K));
		for (int i = 0; i < M * N; i++) {
			want[i] = 0;
			for (int l = 0; l < K; l++)
				want[i] += (double)x[i / N * K + l] * w[i % N * K + l];
		}
		OK(plumb_matmul(ctx, &y, &tx, &tw, NULL));
		double off = special_distance(plumb_host(&y), want, M * N), bound = 1.5 * sqrt(lost / size);
		ck_assert_msg(off <= bound, "%s: off by %.2e, may be %.2e", plumb_type_name(tw.type), off, bound);
		plumb_tensor_free(&tx);
		plumb_tensor_free(&tw);
		plumb_tensor_free(&y);
	}
	plumb_close(ctx);
}
END_TEST

/* How many rows of x meet a panel depends on the cache; the bits do not. Rows in one block and in several,
 * with and without second rows, in integers of both sizes. */
START_TEST(test_blocks)
{
	enum { N = 45, K = 288, M = 1571 };
	static unsigned char bytes[N * K / 32 * 34];
	static double w[N * K];
	static float x[M * K], have[M * N];
	struct plumb_context *ctx = special_open_in(_i / 2, 2, _i % 2 ? "fast" : "default");
	draw_q8(bytes, w, N * K);
	special_noise(x, M * K, 2, 7);
	for (int64_t i = 0; i < M; i += 5)
		x[i * K + 62] = 1e4f;
	struct plumb_tensor tx = special_tensor(ctx, PLUMB_F32, 2, DIMS(M, K), x), tw, y;
	OK(plumb_tensor_new(ctx, &tw, PLUMB_Q8_0, 2, DIMS(N, K)));
	OK(plumb_tensor_write(&tw, bytes, sizeof bytes));
	OK(plumb_tensor_new(ctx, &y, PLUMB_F32, 2, DIMS(M, N)));
	for (int exact = 0; exact < 2; exact++) {
		tw.buffer->exact = exact;
		((struct plumb_native *)ctx->driver[0].state)->cache = (size_t)1 << 30; /* one block */
		OK(plumb_matmul(ctx, &y, &tx, &tw, NULL));
		memcpy(have, plumb_host(&y), sizeof have);
		for (size_t fit = 0; fit < 800; fit += SANITIZED ? 300 : 100) {
			memset(plumb_host(&y), 0x5a, sizeof have);
			((struct plumb_native *)ctx->driver[0].state)->cache = fit * 2 * 2 * K;
			OK(plumb_matmul(ctx, &y, &tx, &tw, NULL));
			for (int i = 0; i < M * N; i++)
				if (memcmp(&have[i], (float *)plumb_host(&y) + i,
						sizeof *have)) /* an assertion per element is slow: Check writes each down */
					ck_abort_msg("cache for %zu rows, row %d: other bits", fit, i / N);
		}
	}
	plumb_tensor_free(&tx);
	plumb_tensor_free(&tw);
	plumb_tensor_free(&y);
	plumb_close(ctx);
}
END_TEST

static const struct {
	const char *name;
	enum plumb_type y, x, w;
	int64_t ym, yn, xm, xk, wn, wk;
	enum plumb_status want;
} bad[] = {
	{ "inner sizes differ", PLUMB_F32, PLUMB_F32, PLUMB_F32, 2, 3, 2, 32, 3, 64, PLUMB_E_SHAPE },
	{ "rows of y", PLUMB_F32, PLUMB_F32, PLUMB_F32, 3, 3, 2, 32, 3, 32, PLUMB_E_SHAPE },
	{ "columns of y", PLUMB_F32, PLUMB_F32, PLUMB_Q8_0, 2, 4, 2, 32, 3, 32, PLUMB_E_SHAPE },
	{ "y of integers", PLUMB_I32, PLUMB_F32, PLUMB_F32, 2, 3, 2, 32, 3, 32, PLUMB_E_TYPE },
	{ "x of halves", PLUMB_F32, PLUMB_F16, PLUMB_F32, 2, 3, 2, 32, 3, 32, PLUMB_E_TYPE },
	{ "x of doubles, y of floats", PLUMB_F32, PLUMB_F64, PLUMB_F32, 2, 3, 2, 32, 3, 32, PLUMB_E_TYPE },
	{ "w of integers", PLUMB_F32, PLUMB_F32, PLUMB_I32, 2, 3, 2, 32, 3, 32, PLUMB_E_TYPE },
	{ "doubles on native", PLUMB_F64, PLUMB_F64, PLUMB_F32, 2, 3, 2, 32, 3, 32, PLUMB_E_DRIVER },
};

START_TEST(test_refused)
{
	int c = _i / special_runs();
	struct plumb_context *ctx = special_open(_i % special_runs());
	struct plumb_tensor x, w, y;
	OK(plumb_tensor_new(ctx, &x, bad[c].x, 2, DIMS(bad[c].xm, bad[c].xk)));
	OK(plumb_tensor_new(ctx, &w, bad[c].w, 2, DIMS(bad[c].wn, bad[c].wk)));
	OK(plumb_tensor_new(ctx, &y, bad[c].y, 2, DIMS(bad[c].ym, bad[c].yn)));
	memset(plumb_host(&y), 0x5a, plumb_tensor_bytes(&y));
	ck_assert_msg(
		plumb_matmul(ctx, &y, &x, &w, NULL) == bad[c].want, "%s: %s", bad[c].name, plumb_last_error());
	ck_assert_msg(strstr(plumb_last_error(), "matmul"), "%s: \"%s\" does not name the operator", bad[c].name,
		plumb_last_error());
	for (size_t i = 0; i < plumb_tensor_bytes(&y); i++)
		ck_assert_msg(
			((unsigned char *)plumb_host(&y))[i] == 0x5a, "%s: byte %zu of y was written", bad[c].name, i);
	plumb_tensor_free(&x);
	plumb_tensor_free(&w);
	plumb_tensor_free(&y);
	plumb_close(ctx);
}
END_TEST

TCase *special_matmul(void)
{
	TCase *c = tcase_create("matmul");
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, test_small, 0, special_runs());
	tcase_add_loop_test(c, test_nan, 0, special_runs());
	tcase_add_loop_test(c, test_second_rows, 0, special_sets());
	tcase_add_loop_test(c, test_bytes, 0, special_sets());
	tcase_add_loop_test(c, test_blocks, 0, 2 * special_sets());
	tcase_add_loop_test(c, test_refused, 0, special_runs() * (int)(sizeof bad / sizeof *bad));
	return c;
}
