/* SPDX-License-Identifier: Apache-2.0 */
/* The cl driver where layers of one model differ: more ways to rotate than it keeps tables for, frequency
 * factors whose numbers change, windows before which there is what must not be read. */
#include <math.h>
#include "cl_layers.h"
#include "op_cases.h"
#include "random.h"

enum { HD = 16, ROWS = 3, H = 4, G = 2, KEYS = 400, WAYS = 7 };

static struct plumb_context *ctx;

static struct plumb_tensor tensor(int rank, const int64_t *dim, const float *values)
{
	struct plumb_tensor t;
	need(plumb_tensor_new(ctx, &t, PLUMB_F32, rank, dim), "a tensor");
	if (values)
		need(plumb_tensor_write(&t, values, plumb_tensor_bytes(&t)), "writing");
	return t;
}

static void noise(float *values, int count, float most)
{
	for (int i = 0; i < count; i++)
		values[i] = uniform(most);
}

/* Half pairs of a row of HD elements. */
static void check_turned(
	const float *y, const float *x, const float *freqs, const struct plumb_rope *r, const char *when, int way)
{
	for (int64_t i = 0; i < ROWS; i++)
		for (int j = 0; j < r->rotated / 2; j++) {
			double angle = (double)(r->pos + i) / (r->factor * (freqs ? (double)freqs[j] : 1)) *
				pow(r->base, -2.0 * j / (double)r->rotated);
			double a = x[i * HD + j], b = x[i * HD + j + r->rotated / 2],
				   want = r->scale * (a * cos(angle) - b * sin(angle));
			ck_assert_msg(fabs(y[i * HD + j] - want) <= 4e-7, "%s, way %d, row %d, pair %d: %g, must be %g",
				when, way, (int)i, j, (double)y[i * HD + j], want);
		}
}

START_TEST(test_ways_to_rotate)
{
	float x[ROWS * HD], y[ROWS * HD], freqs[HD / 2];
	rng = 5;
	noise(x, ROWS * HD, 1);
	noise(freqs, HD / 2, 1);
	for (int j = 0; j < HD / 2; j++)
		freqs[j] = 2 + freqs[j];
	struct plumb_tensor tx = tensor(2, (int64_t[]){ ROWS, HD }, x),
						tf = tensor(1, (int64_t[]){ HD / 2 }, freqs),
						ty = tensor(2, (int64_t[]){ ROWS, HD }, NULL);
	for (int round = 0; round < 3; round++)
		for (int way = 0; way < WAYS; way++) {
			struct plumb_rope r = { 50 * round * way, HD, HD, way % 2 ? 1e4 : 1e6, way == 2 ? 8 : 1, 1,
				PLUMB_ROPE_HALF };
			r.rotated = way == 3 ? HD / 2 : HD;
			r.scale = way == 4 ? 1.25 : 1;
			bool with = way >= 5;
			if (way == 6) { /* the same tensor, other numbers */
				freqs[0] += 1;
				need(plumb_tensor_write(&tf, freqs, sizeof freqs), "writing");
			}
			need(plumb_rope(ctx, &ty, &tx, with ? &tf : NULL, &r), "rope");
			need(plumb_tensor_read(&ty, y, sizeof y), "reading");
			check_turned(y, x, with ? freqs : NULL, &r, "ways", way);
		}
	plumb_tensor_free(&tx);
	plumb_tensor_free(&tf);
	plumb_tensor_free(&ty);
}
END_TEST

static const struct {
	int64_t n, pos, window;
} windows[] = { { 1, 390, 300 }, { 1, 200, 1 }, { 3, 350, 129 }, { 6, 100, 37 }, { 20, 10, 8 } };

/* Not a number before the first query's window, and behind the last query: no result shows it, and fused and
 * in parts they are the same. */
START_TEST(test_window)
{
	static float q[20 * H * HD], kv[2][KEYS * G * HD], fused[20 * H * HD], parts[20 * H * HD];
	const int64_t n = windows[_i].n, pos = windows[_i].pos, first = pos - windows[_i].window + 1;
	struct plumb_attn a = { pos, H, G, 0.25, windows[_i].window };
	rng = 6;
	noise(q, 20 * H * HD, 2);
	noise(kv[0], 2 * KEYS * G * HD, 2);
	for (int64_t t = 0; t < KEYS; t++)
		for (int j = 0; j < G * HD && (t < first || t >= pos + n); j++)
			kv[0][t * G * HD + j] = kv[1][t * G * HD + j] = NAN;
	struct plumb_tensor tq = tensor(2, (int64_t[]){ n, H * HD }, q),
						k = tensor(2, (int64_t[]){ KEYS, G * HD }, kv[0]),
						v = tensor(2, (int64_t[]){ KEYS, G * HD }, kv[1]),
						y = tensor(2, (int64_t[]){ n, H * HD }, NULL),
						p = tensor(3, (int64_t[]){ H, n, pos + n }, NULL);
	need(plumb_attention(ctx, &y, &tq, &k, &v, &a), "attention");
	need(plumb_tensor_read(&y, fused, plumb_tensor_bytes(&y)), "reading");
	need(plumb_attn_scores(ctx, &p, &tq, &k, &a), "attn_scores");
	need(plumb_softmax(ctx, &p, &p), "softmax");
	need(plumb_attn_mix(ctx, &y, &p, &v, &a), "attn_mix");
	need(plumb_tensor_read(&y, parts, plumb_tensor_bytes(&y)), "reading");
	for (int64_t i = 0; i < n * H * HD; i++)
		ck_assert_msg(fabs((double)fused[i] - (double)parts[i]) <= 1e-5, "element %d: %g fused, %g in parts",
			(int)i, (double)fused[i], (double)parts[i]);
	plumb_tensor_free(&tq);
	plumb_tensor_free(&k);
	plumb_tensor_free(&v);
	plumb_tensor_free(&y);
	plumb_tensor_free(&p);
}
END_TEST

TCase *cl_layers(struct plumb_context *on)
{
	TCase *c = tcase_create("layers");
	ctx = on;
	tcase_add_test(c, test_ways_to_rotate);
	tcase_add_loop_test(c, test_window, 0, (int)(sizeof windows / sizeof *windows));
	return c;
}
