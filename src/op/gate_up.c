/* SPDX-License-Identifier: Apache-2.0 */
/* gate_up: norm, the two products that a feed-forward block starts with, and swiglu or geglu of them.
 * Contract, truth and composition. */
#include "op/op.h"

enum { X, NORM, GATE, UP };

enum plumb_status plumb_gate_up(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *x, const struct plumb_tensor *norm, double eps,
	const struct plumb_tensor *gate, const struct plumb_tensor *up, enum plumb_activation activation)
{
	return plumb_dispatch(ctx,
		&(struct plumb_call){ .op = PLUMB_OP_gate_up,
			.out = y,
			.in = { x, norm, gate, up },
			.s = { .eps = eps, .activation = activation } });
}

static enum plumb_status gate_up_check(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *x = c->in[X];
	if (c->s.activation != PLUMB_SILU && c->s.activation != PLUMB_GELU_TANH)
		return plumb_fail(PLUMB_E_ARGUMENT, "activation %d is not known", (int)c->s.activation);
	PLUMB_TRY(plumb_need_activation(y, "y", NULL));
	PLUMB_TRY(plumb_need_normed(c, x, c->in[NORM], "norm"));
	PLUMB_TRY(plumb_need_apart(y, x, "x", false));
	PLUMB_TRY(plumb_need_shape(y, "y", 2, x->dim[0], -1, -1));
	PLUMB_TRY(plumb_need_weight(c, c->in[GATE], "gate", y->dim[1], x->dim[1]));
	return plumb_need_weight(c, c->in[UP], "up", y->dim[1], x->dim[1]);
}

static enum plumb_status gate_up_steps(struct plumb_steps *s, const struct plumb_call *c)
{
	const struct plumb_tensor *x = c->in[X];
	int64_t rows = x->dim[0], columns = c->out->dim[1];
	struct plumb_tensor *normed = plumb_steps_temp(s, c, rows, x->dim[1]),
						*gate = plumb_steps_temp(s, c, rows, columns),
						*up = plumb_steps_temp(s, c, rows, columns);
	plumb_step(s,
		&(struct plumb_call){
			.op = PLUMB_OP_rmsnorm, .out = normed, .in = { x, c->in[NORM] }, .s = { .eps = c->s.eps } });
	plumb_step(s, &(struct plumb_call){ .op = PLUMB_OP_matmul, .out = gate, .in = { normed, c->in[GATE] } });
	plumb_step(s, &(struct plumb_call){ .op = PLUMB_OP_matmul, .out = up, .in = { normed, c->in[UP] } });
	plumb_step(
		s, &(struct plumb_call){ .op = plumb_gated_op(c->s.activation), .out = c->out, .in = { gate, up } });
	return plumb_steps_end(s);
}

static enum plumb_status gate_up_compose(struct plumb_context *ctx, const struct plumb_call *c)
{
	return gate_up_steps(&(struct plumb_steps){ .ctx = ctx }, c);
}
static enum plumb_status gate_up_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	return gate_up_steps(&(struct plumb_steps){ .ctx = driver->ctx, .ref = driver }, c);
}

static double gate_up_flops(const struct plumb_call *c)
{
	return 4.0 * (double)plumb_tensor_count(c->in[X]) +
		(4.0 * (double)c->in[X]->dim[1] + 5) * (double)plumb_tensor_count(c->out);
}

/* silu's slope is at most 1.1, gelu's 1.13, and either of a symmetric gate at least half of it in size: 2.2
 * or 2.3 times gate's error, and up's. */
static double gate_up_tolerance(const struct plumb_call *c)
{
	bool gelu = c->s.activation == PLUMB_GELU_TANH;
	double norm = plumb_norm_tolerance(c->in[X]);
	return (gelu ? 2.3 : 2.2) * (plumb_product_tolerance(c, c->in[GATE]) + norm) +
		plumb_product_tolerance(c, c->in[UP]) + norm + (gelu ? 12 : 8) * PLUMB_U;
}

#define CASE(text, n, d, f, act) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { n, f } }, .scalars.s = { .eps = 1e-6, .activation = act }, \
		.in = { \
			{ PLUMB_F32, 2, { n, d } }, \
			{ PLUMB_F32, 1, { d } }, \
			{ PLUMB_F32, 2, { f, d } }, \
			{ PLUMB_F32, 2, { f, d } } \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("qwen2.5-0.5b decode", 1, 896, 4864, PLUMB_SILU),
	CASE("prefill", 70, 512, 100, PLUMB_SILU),
	CASE("two rows", 2, 256, 45, PLUMB_SILU),
	CASE("32-block only", 5, 160, 18, PLUMB_SILU),
	CASE("panels", 35, 256, 49, PLUMB_SILU),
	CASE("odd width", 3, 7, 13, PLUMB_SILU),
	CASE("small decode", 1, 256, 24, PLUMB_SILU),
	CASE("small panel", 9, 256, 24, PLUMB_SILU),
	CASE("gelu decode", 1, 640, 96, PLUMB_GELU_TANH),
	CASE("gelu, few rows", 6, 256, 45, PLUMB_GELU_TANH),
	CASE("gelu panels", 40, 256, 49, PLUMB_GELU_TANH),
};

const struct plumb_op_desc plumb_op_gate_up = {
	.name = "gate_up",
	.fused = true,
	.parts = 1u << PLUMB_OP_rmsnorm | 1u << PLUMB_OP_matmul | 1u << PLUMB_OP_swiglu | 1u << PLUMB_OP_geglu,
	.weights = 1u << GATE | 1u << UP,
	.index = -1,
	.rows = 1,
	.columns = 4 | 8,
	.per_column = 2,
	.check = gate_up_check,
	.ref = gate_up_ref,
	.compose = gate_up_compose,
	.flops = gate_up_flops,
	.bytes = plumb_bytes_all,
	.tolerance = gate_up_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
