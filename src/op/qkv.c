/* SPDX-License-Identifier: Apache-2.0 */
/* qkv: norm and the three products that attention starts with. Contract, truth and composition. */
#include "op/op.h"

enum { X, NORM, WEIGHT, BIAS = WEIGHT + 3 };

enum plumb_status plumb_qkv(struct plumb_context *ctx, struct plumb_tensor *y, const struct plumb_tensor *x,
	const struct plumb_tensor *norm, double eps, const struct plumb_tensor *const w[3],
	const struct plumb_tensor *const b[3])
{
	return plumb_dispatch(ctx,
		&(struct plumb_call){ .op = PLUMB_OP_qkv,
			.out = y,
			.in = { x, norm, w[0], w[1], w[2], b[0], b[1], b[2] },
			.s = { .eps = eps } });
}

static enum plumb_status qkv_check(const struct plumb_call *c)
{
	static const char *const names[] = { "wq", "wk", "wv" }, *const biases[] = { "bq", "bk", "bv" };
	const struct plumb_tensor *y = c->out, *x = c->in[X];
	int64_t columns = 0;
	PLUMB_TRY(plumb_need_activation(y, "y", NULL));
	PLUMB_TRY(plumb_need_normed(c, x, c->in[NORM], "norm"));
	PLUMB_TRY(plumb_need_apart(y, x, "x", false));
	for (int i = 0; i < 3; i++) {
		PLUMB_TRY(plumb_need_weight(c, c->in[WEIGHT + i], names[i], -1, x->dim[1]));
		PLUMB_TRY(plumb_need_bias(c, c->in[BIAS + i], biases[i], c->in[WEIGHT + i]->dim[0]));
		columns += c->in[WEIGHT + i]->dim[0]; /* three that are in memory: far from overflow */
	}
	return plumb_need_shape(y, "y", 2, x->dim[0], columns, -1);
}

static enum plumb_status qkv_steps(struct plumb_steps *s, const struct plumb_call *c)
{
	const struct plumb_tensor *x = c->in[X];
	struct plumb_tensor *normed = plumb_steps_temp(s, c, x->dim[0], x->dim[1]);
	int64_t first = 0;
	plumb_step(s,
		&(struct plumb_call){
			.op = PLUMB_OP_rmsnorm, .out = normed, .in = { x, c->in[NORM] }, .s = { .eps = c->s.eps } });
	for (int i = 0; i < 3; i++) {
		struct plumb_tensor y;
		plumb_tensor_view(&y, c->out, first, x->dim[0], c->in[WEIGHT + i]->dim[0]);
		first += plumb_tensor_count(&y);
		plumb_step(s,
			&(struct plumb_call){
				.op = PLUMB_OP_matmul, .out = &y, .in = { normed, c->in[WEIGHT + i], c->in[BIAS + i] } });
	}
	return plumb_steps_end(s);
}

static enum plumb_status qkv_compose(struct plumb_context *ctx, const struct plumb_call *c)
{
	return qkv_steps(&(struct plumb_steps){ .ctx = ctx }, c);
}
static enum plumb_status qkv_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	return qkv_steps(&(struct plumb_steps){ .ctx = driver->ctx, .ref = driver }, c);
}

static double qkv_flops(const struct plumb_call *c)
{
	return 4.0 * (double)plumb_tensor_count(c->in[X]) +
		2.0 * (double)c->in[X]->dim[1] * (double)plumb_tensor_count(c->out);
}

static double qkv_tolerance(const struct plumb_call *c)
{
	double most = 0;
	for (int i = 0; i < 3; i++)
		most = fmax(most, plumb_product_tolerance(c, c->in[WEIGHT + i]));
	return most + plumb_norm_tolerance(c->in[X]);
}

#define CASE(text, n, d, q, g, bias) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, (q) + 2 * (g) } }, .scalars.s.eps = 1e-6, .in = { \
			{ PLUMB_F32, 2, { n, d } }, \
			{ PLUMB_F32, 1, { d } }, \
			{ PLUMB_F32, 2, { q, d } }, \
			{ PLUMB_F32, 2, { g, d } }, \
			{ PLUMB_F32, 2, { g, d } }, \
			{ PLUMB_F32, bias, { q } }, \
			{ PLUMB_F32, bias, { g } }, \
			{ PLUMB_F32, bias, { g } } \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", 1, 896, 896, 128, 1),
	CASE("prefill", 70, 512, 100, 64, 1),
	CASE("no bias", 3, 256, 45, 19, 0),
	CASE("32-block only", 5, 160, 33, 16, 1),
	CASE("panels", 35, 256, 48, 17, 1),
	CASE("odd width", 2, 7, 13, 5, 1),
	CASE("small decode", 1, 256, 24, 9, 1),
	CASE("small panel", 9, 256, 24, 9, 0),
};

const struct plumb_op_desc plumb_op_qkv = {
	.name = "qkv",
	.fused = true,
	.parts = 1u << PLUMB_OP_rmsnorm | 1u << PLUMB_OP_matmul,
	.weights = 7u << WEIGHT,
	.index = -1,
	.rows = 1,
	.columns = 0xfc,
	.check = qkv_check,
	.ref = qkv_ref,
	.compose = qkv_compose,
	.flops = qkv_flops,
	.bytes = plumb_bytes_all,
	.tolerance = qkv_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
