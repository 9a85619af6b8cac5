/* SPDX-License-Identifier: Apache-2.0 */
/* qkv, gate_up and matmul_add on packed weights: the bits of the basic operators they stand for, in every
 * mode that has such weights, with any number of rows and threads. */
#include <stdio.h>
#include "op/special.h"
#include "op/op.h"
#include "random.h"

enum { MOST = 101, D = 512, SMALL = 288, Q = 75, G = 19, F = 70 };

static const int64_t rows[] = { 1, 2, 5, 32, 33, 70, MOST };
#define ROWS ((int)(sizeof rows / sizeof *rows))

/* Types of q, k and v; the first two are those of gate and up, the last that of matmul_add. */
static const struct {
	enum plumb_type type[3];
	bool exact;
} mixes[] = {
	{ { PLUMB_Q5_0, PLUMB_Q5_0, PLUMB_Q8_0 }, true },
	{ { PLUMB_Q5_0, PLUMB_Q5_0, PLUMB_Q6_K }, false },
	{ { PLUMB_Q4_0, PLUMB_Q4_1, PLUMB_Q5_1 }, false },
	{ { PLUMB_Q4_K, PLUMB_Q4_K, PLUMB_Q6_K }, true },
	{ { PLUMB_Q8_0, PLUMB_Q5_1, PLUMB_Q4_0 }, true },
	{ { PLUMB_Q6_K, PLUMB_Q5_K, PLUMB_Q4_K }, false },
	{ { PLUMB_Q4_1, PLUMB_Q8_0, PLUMB_Q5_0 }, false },
	{ { PLUMB_Q5_K, PLUMB_Q4_1, PLUMB_Q5_K }, true },
	{ { PLUMB_IQ4_XS, PLUMB_Q2_K, PLUMB_Q3_K }, true },
	{ { PLUMB_Q3_K, PLUMB_IQ4_NL, PLUMB_MXFP4 }, false },
};
#define MIXES ((int)(sizeof mixes / sizeof *mixes))

/* Any bits, and scales that are sane halves. */
static struct plumb_tensor weight(
	struct plumb_context *ctx, enum plumb_type type, int64_t n, int64_t k, bool exact)
{
	struct plumb_tensor t;
	OK(plumb_tensor_new(ctx, &t, type, 2, DIMS(n, k)));
	unsigned char *bytes = plumb_host(&t);
	for (size_t i = 0; i < plumb_tensor_bytes(&t); i++)
		bytes[i] = (unsigned char)(random_bits() >> 11);
	for (size_t i = 0; i < plumb_tensor_bytes(&t); i += plumb_type_bytes(type)) {
		float scale[2];
		scale[0] = uniform(0.01f);
		scale[1] = uniform(0.01f);
		plumb_type_put_scales(type, bytes + i, scale);
	}
	t.buffer->exact = exact;
	return t;
}

static struct plumb_tensor noise(struct plumb_context *ctx, int64_t m, int64_t n, bool massive)
{
	struct plumb_tensor t;
	OK(plumb_tensor_new(ctx, &t, PLUMB_F32, m ? 2 : 1, m ? DIMS(m, n) : DIMS(n)));
	float *x = plumb_host(&t);
	for (int64_t i = 0; i < plumb_tensor_count(&t); i++)
		x[i] = uniform(2);
	for (int64_t i = 0; i < m && massive; i += 3)
		x[i * n + 62] = 1e4f; /* rows that take a second one */
	return t;
}

struct set {
	struct plumb_tensor x, norm, w[3], b[3], gate, up, r, y, normed, out, want;
};

static void check_bits(
	const struct set *s, struct plumb_context *ctx, enum plumb_op op, uint64_t before, const char *text)
{
	const float *have = plumb_host(&s->y), *want = plumb_host(&s->want);
	ck_assert_msg(
		plumb_placement(ctx, (int)op, 0) == before + 1, "%s, %s: composed", plumb_op_name((int)op), text);
	for (int64_t i = 0; i < plumb_tensor_count(&s->want); i++)
		if (memcmp(&have[i], &want[i], sizeof *have))
			ck_abort_msg("%s, %s: value %lld is %.9g, the basic operators make %.9g", plumb_op_name((int)op),
				text, (long long)i, (double)have[i], (double)want[i]);
}

static void new_results(struct plumb_context *ctx, struct set *s, int64_t m, int64_t n)
{
	OK(plumb_tensor_new(ctx, &s->y, PLUMB_F32, 2, DIMS(m, n)));
	OK(plumb_tensor_new(ctx, &s->want, PLUMB_F32, 2, DIMS(m, n)));
	memset(plumb_host(&s->y), 0xff, plumb_tensor_bytes(&s->y));
}

static void free_all(struct plumb_tensor *t, int n)
{
	for (int i = 0; i < n; i++)
		plumb_tensor_free(&t[i]);
}

static void try_qkv(struct plumb_context *ctx, struct set *s, int64_t m, const char *text)
{
	const uint64_t before = plumb_placement(ctx, PLUMB_OP_qkv, 0);
	int64_t first = 0;
	new_results(ctx, s, m, Q + 2 * G);
	OK(plumb_qkv(ctx, &s->y, &s->x, &s->norm, 1e-6,
		(const struct plumb_tensor *[]){ &s->w[0], &s->w[1], &s->w[2] },
		(const struct plumb_tensor *[]){ &s->b[0], NULL, &s->b[2] }));
	for (int i = 0; i < 3; i++) {
		struct plumb_tensor part;
		plumb_tensor_view(&part, &s->want, first, m, s->w[i].dim[0]);
		first += plumb_tensor_count(&part);
		OK(plumb_matmul(ctx, &part, &s->normed, &s->w[i], i == 1 ? NULL : &s->b[i]));
	}
	check_bits(s, ctx, PLUMB_OP_qkv, before, text);
	free_all(&s->y, 1);
	free_all(&s->want, 1);
}

static void try_gate_up(
	struct plumb_context *ctx, struct set *s, int64_t m, enum plumb_activation activation, const char *text)
{
	const uint64_t before = plumb_placement(ctx, PLUMB_OP_gate_up, 0);
	new_results(ctx, s, m, F);
	OK(plumb_tensor_new(ctx, &s->out, PLUMB_F32, 2, DIMS(m, F)));
	OK(plumb_gate_up(ctx, &s->y, &s->x, &s->norm, 1e-6, &s->gate, &s->up, activation));
	OK(plumb_matmul(ctx, &s->want, &s->normed, &s->gate, NULL));
	OK(plumb_matmul(ctx, &s->out, &s->normed, &s->up, NULL));
	OK((activation ? plumb_geglu : plumb_swiglu)(ctx, &s->want, &s->want, &s->out));
	check_bits(s, ctx, PLUMB_OP_gate_up, before, text);
	free_all(&s->y, 1);
	free_all(&s->out, 1);
	free_all(&s->want, 1);
}

static void try_add(struct plumb_context *ctx, struct set *s, int64_t m, const char *text)
{
	for (int alias = 0; alias < 2; alias++) {
		const uint64_t before = plumb_placement(ctx, PLUMB_OP_matmul_add, 0);
		new_results(ctx, s, m, Q);
		s->r = noise(ctx, m, Q, false);
		if (alias)
			memcpy(plumb_host(&s->y), plumb_host(&s->r), plumb_tensor_bytes(&s->r));
		OK(plumb_matmul_add(ctx, &s->y, &s->x, &s->w[0], alias ? &s->y : &s->r));
		OK(plumb_matmul(ctx, &s->want, &s->x, &s->w[0], NULL));
		OK(plumb_add(ctx, &s->want, &s->r, &s->want));
		check_bits(s, ctx, PLUMB_OP_matmul_add, before, text);
		free_all(&s->y, 1);
		free_all(&s->r, 1);
		free_all(&s->want, 1);
	}
}

/* A mix of types with every number of rows. */
static void try_mix(struct plumb_context *ctx, int mix, const char *mode, int threads)
{
	const int64_t sizes[] = { Q, G, G };
	struct set s;
	int64_t k = SMALL;
	bool exact = mixes[mix].exact;
	for (int i = 0; i < 3; i++)
		k = plumb_type_block(mixes[mix].type[i]) > 32 ? D : k;
	for (int i = 0; i < 3; i++) {
		s.w[i] = weight(ctx, mixes[mix].type[i], sizes[i], k, exact);
		s.b[i] = noise(ctx, 0, sizes[i], false);
	}
	s.gate = weight(ctx, mixes[mix].type[0], F, k, exact);
	s.up = weight(ctx, mixes[mix].type[2], F, k, exact);
	s.norm = noise(ctx, 0, k, false);
	for (int r = 0; r < ROWS; r++) {
		char text[128];
		snprintf(
			text, sizeof text, "mix %d, %lld rows, %s, %d threads", mix, (long long)rows[r], mode, threads);
		s.x = noise(ctx, rows[r], k, r % 2);
		OK(plumb_tensor_new(ctx, &s.normed, PLUMB_F32, 2, DIMS(rows[r], k)));
		OK(plumb_rmsnorm(ctx, &s.normed, &s.x, &s.norm, 1e-6));
		try_qkv(ctx, &s, rows[r], text);
		try_gate_up(ctx, &s, rows[r], PLUMB_SILU, text);
		try_gate_up(ctx, &s, rows[r], PLUMB_GELU_TANH, text);
		try_add(ctx, &s, rows[r], text);
		free_all(&s.x, 1);
		free_all(&s.normed, 1);
	}
	free_all(s.w, 3);
	free_all(s.b, 3);
	free_all(&s.gate, 1);
	free_all(&s.up, 1);
	free_all(&s.norm, 1);
}

START_TEST(test_bits)
{
	static const char *const modes[] = { "default", "fast" };
	for (int c = SANITIZED ? 2 * 2 : 0; c < 2 * 3; c++) {
		const int threads = 1 + c / 2;
		struct plumb_context *ctx = special_open_in(_i, threads, modes[c % 2]);
		rng = (uint64_t)c * 2 + 1;
		for (int mix = 0; mix < MIXES; mix++)
			try_mix(ctx, mix, modes[c % 2], threads);
		plumb_close(ctx);
	}
}
END_TEST

/* Weights of which one is marked exact, or one has no packed form, are composed. */
START_TEST(test_composed)
{
	struct plumb_context *ctx = special_open_in(_i, 2, "default");
	rng = 77;
	struct set s = { .x = noise(ctx, 3, SMALL, false),
		.norm = noise(ctx, 0, SMALL, false),
		.gate = weight(ctx, PLUMB_Q5_0, F, SMALL, true) };
	const struct plumb_tensor up[] = { weight(ctx, PLUMB_Q5_0, F, SMALL, false),
		noise(ctx, F, SMALL, false) };
	OK(plumb_tensor_new(ctx, &s.y, PLUMB_F32, 2, DIMS(3, F)));
	for (int i = 0; i < 2; i++) {
		OK(plumb_gate_up(ctx, &s.y, &s.x, &s.norm, 1e-6, &s.gate, &up[i], PLUMB_SILU));
		ck_assert_int_eq(plumb_placement(ctx, PLUMB_OP_gate_up, 0), 0);
		ck_assert_int_eq(plumb_placement(ctx, PLUMB_OP_swiglu, 0), i + 1);
	}
	free_all(&s.x, 1);
	free_all(&s.norm, 1);
	free_all(&s.gate, 1);
	free_all((struct plumb_tensor *)up, 2);
	free_all(&s.y, 1);
	plumb_close(ctx);
}
END_TEST

TCase *special_fused(void)
{
	TCase *c = tcase_create("fused");
	tcase_set_timeout(c, 300);
	tcase_add_loop_test(c, test_bits, 0, special_sets());
	tcase_add_loop_test(c, test_composed, 0, special_sets());
	return c;
}
