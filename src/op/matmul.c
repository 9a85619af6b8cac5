/* SPDX-License-Identifier: Apache-2.0 */
/* matmul: activations times a (quantised) weight matrix, plus bias. Contract and truth. */
#include <stdlib.h>
#include "op/op.h"

enum plumb_status plumb_matmul(struct plumb_context *ctx, struct plumb_tensor *y,
	const struct plumb_tensor *x, const struct plumb_tensor *w, const struct plumb_tensor *b)
{
	return plumb_dispatch(ctx, &(struct plumb_call){ .op = PLUMB_OP_matmul, .out = y, .in = { x, w, b } });
}

static enum plumb_status matmul_check(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *x = c->in[0], *w = c->in[1], *b = c->in[2];
	PLUMB_TRY(plumb_need_present(x, "x"));
	PLUMB_TRY(plumb_need_activation(y, "y", NULL));
	PLUMB_TRY(plumb_need_activation(x, "x", y));
	PLUMB_TRY(plumb_need_shape(x, "x", 2, -1, -1, -1));
	PLUMB_TRY(plumb_need_weight(c, w, "w", -1, x->dim[1]));
	PLUMB_TRY(plumb_need_shape(y, "y", 2, x->dim[0], w->dim[0], -1));
	PLUMB_TRY(plumb_need_bias(c, b, "b", w->dim[0]));
	return plumb_need_apart(y, x, "x", false);
}

struct job {
	const struct plumb_call *c;
	double *x;
	float *rows;
};

/* Output column j: weight row j meets every row of x. */
static void matmul_column(void *arg, int64_t j, int thread)
{
	const struct job *job = arg;
	const struct plumb_tensor *y = job->c->out, *w = job->c->in[1], *b = job->c->in[2];
	int64_t k = w->dim[1], n = w->dim[0];
	float *row = job->rows + k * thread;
	plumb_type_to_f32(
		w->type, (const char *)plumb_host(w) + plumb_tensor_bytes(w) / (size_t)n * (size_t)j, row, k);
	for (int64_t i = 0; i < y->dim[0]; i++) {
		double sum = 0;
		for (int64_t l = 0; l < k; l++)
			sum += job->x[i * k + l] * row[l];
		plumb_put(y, i * n + j, b ? sum + plumb_get(b, j) : sum);
	}
}

static enum plumb_status matmul_ref(struct plumb_driver *driver, const struct plumb_call *c)
{
	struct plumb_pool *pool = driver->ctx->pool;
	const struct plumb_tensor *x = c->in[0];
	int64_t count = plumb_tensor_count(x);
	struct job job = { c, malloc(sizeof(double) * (size_t)count),
		malloc(sizeof(float) * (size_t)x->dim[1] * (size_t)plumb_pool_threads(pool)) };
	enum plumb_status s = job.x && job.rows ? plumb_tensor_read_f64(x, job.x, count)
											: plumb_fail(PLUMB_E_MEMORY, "no memory for a copy of x");
	if (!s)
		plumb_pool_run(pool, matmul_column, &job, c->in[1]->dim[0]);
	free(job.x);
	free(job.rows);
	return s;
}

static double matmul_flops(const struct plumb_call *c)
{
	return 2.0 * (double)c->in[0]->dim[0] * (double)c->in[0]->dim[1] * (double)c->in[1]->dim[0];
}

double plumb_product_tolerance(const struct plumb_call *c, const struct plumb_tensor *w)
{
	bool rounds = c->out->buffer->ctx->mode != PLUMB_MODE_EXACT && plumb_type_block(w->type) > 1 &&
		!w->buffer->exact;
	return (rounds ? PLUMB_MODE_LOSS : 0) + (2 + sqrt((double)w->dim[1])) * PLUMB_U;
}

static double matmul_tolerance(const struct plumb_call *c) { return plumb_product_tolerance(c, c->in[1]); }

#define CASE(text, m, n, k, bias) \
	{ \
		.name = text, .out = { PLUMB_F32, 2, { m, n } }, .in = { \
			{ PLUMB_F32, 2, { m, k } }, \
			{ PLUMB_F32, 2, { n, k } }, \
			{ PLUMB_F32, bias, { n } } \
		} \
	}
static const struct plumb_case cases[] = {
	CASE("q_proj decode", 1, 896, 896, 1),
	CASE("k_proj decode", 1, 128, 896, 1),
	CASE("ffn_up decode", 1, 4864, 896, 0),
	CASE("ffn_down decode", 1, 896, 4864, 0),
	CASE("ffn_down prefill", 13, 200, 4864, 0),
	CASE("q_proj prefill", 64, 300, 896, 1),
	CASE("k-blocks", 7, 33, 512, 1),
	CASE("two rows", 2, 17, 256, 0),
	CASE("one of each", 1, 1, 256, 1),
	CASE("k-quant tail", 9, 19, 768, 1),
	CASE("32-block only", 5, 18, 160, 1),
	CASE("odd k", 3, 5, 7, 1),
	CASE("one element", 1, 1, 1, 0),
	CASE("panels of k-quants", 35, 45, 512, 1),
	CASE("the last few rows", 32, 19, 256, 0),
	CASE("blocks of rows", 101, 17, 256, 0),
	CASE("blocks of rows, short", 97, 9, 160, 1),
	CASE("long rows", 1, 9, 8448, 0),
};

const struct plumb_op_desc plumb_op_matmul = {
	.name = "matmul",
	.weights = 2,
	.index = -1,
	.rows = 1,
	.columns = 2 | 4,
	.check = matmul_check,
	.ref = matmul_ref,
	.flops = matmul_flops,
	.bytes = plumb_bytes_all,
	.tolerance = matmul_tolerance,
	.cases = cases,
	.case_count = sizeof cases / sizeof *cases,
};
