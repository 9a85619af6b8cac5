/* SPDX-License-Identifier: Apache-2.0 */
/* matmul_add: a product onto the residual stream. Contract, truth and composition. */
#include "op/op.h"

enum { X, WEIGHT, R };

enum plumb_status plumb_matmul_add(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *x, const struct plumb_tensor *w, const struct plumb_tensor *r)
{
	return plumb_dispatch(
		ctx, &(struct plumb_call){ .op = PLUMB_OP_matmul_add, .out = y, .in = { x, w, r } });
}

static enum plumb_status matmul_add_check(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *x = c->in[X], *r = c->in[R];
	PLUMB_TRY(plumb_need_present(x, "x"));
	PLUMB_TRY(plumb_need_present(r, "r"));
	PLUMB_TRY(plumb_need_activation(y, "y", NULL));
	PLUMB_TRY(plumb_need_activation(x, "x", y));
	PLUMB_TRY(plumb_need_activation(r, "r", y));
	PLUMB_TRY(plumb_need_shape(x, "x", 2, -1, -1, -1));
	PLUMB_TRY(plumb_need_shape(y, "y", 2, x->dim[0], -1, -1));
	PLUMB_TRY(plumb_need_shape(r, "r", 2, y->dim[0], y->dim[1], -1));
	PLUMB_TRY(plumb_need_weight(c, c->in[WEIGHT], "w", y->dim[1], x->dim[1]));
	PLUMB_TRY(plumb_need_apart(y, r, "r", true));
	return plumb_need_apart(y, x, "x", false);
}

static enum plumb_status matmul_add_steps(struct plumb_steps *s, const struct plumb_call *c)
{
	struct plumb_tensor *product = plumb_steps_temp(s, c, c->out->dim[0], c->out->dim[1]);
	plumb_step(
		s, &(struct plumb_call){ .op = PLUMB_OP_matmul, .out = product, .in = { c->in[X], c->in[WEIGHT] } });
	plumb_step(s, &(struct plumb_call){ .op = PLUMB_OP_add, .out = c->out, .in = { c->in[R], product } });
	return plumb_steps_end(s);
}

static enum plumb_status matmul_add_compose(struct plumb_context *ctx, const struct plumb_call *c)
{
	return matmul_add_steps(&(struct plumb_steps){ .ctx = ctx }, c);
}
static enum plumb_status matmul_add_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	return matmul_add_steps(&(struct plumb_steps){ .ctx = driver->ctx, .ref = driver }, c);
}

static double matmul_add_flops(const struct plumb_call *c)
{
	return (2.0 * (double)c->in[X]->dim[1] + 1) * (double)plumb_tensor_count(c->out);
}
static double matmul_add_tolerance(const struct plumb_call *c)
{
	return plumb_product_tolerance(c, c->in[WEIGHT]) + PLUMB_U;
}

#define CASE(text, m, n, k) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { m, n } }, .in = { \
			{ PLUMB_F32, 2, { m, k } }, \
			{ PLUMB_F32, 2, { n, k } }, \
			{ PLUMB_F32, 2, { m, n } } \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("ffn_down decode", 1, 896, 4864),
	CASE("o_proj prefill", 64, 300, 896),
	CASE("two rows", 2, 17, 256),
	CASE("32-block only", 5, 18, 160),
	CASE("panels", 35, 45, 512),
	CASE("odd k", 3, 5, 7),
	CASE("small decode", 1, 24, 256),
	CASE("small panel", 9, 24, 256),
};

const struct plumb_op_desc plumb_op_matmul_add = {
	.name = "matmul_add",
	.fused = true,
	.parts = 1u << PLUMB_OP_matmul | 1u << PLUMB_OP_add,
	.weights = 1u << WEIGHT,
	.index = -1,
	.alias = 1u << R,
	.rows = 1 | 4,
	.check = matmul_add_check,
	.ref = matmul_add_ref,
	.compose = matmul_add_compose,
	.flops = matmul_add_flops,
	.bytes = plumb_bytes_all,
	.tolerance = matmul_add_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
