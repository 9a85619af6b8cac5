/* SPDX-License-Identifier: Apache-2.0 */
/* rope on an OpenCL device. Angles, cosines and sines are computed here, in float64, because devices without
 * it exist; the table of a position's turns is kept in the driver and grows by doubling. */
#include <math.h>
#include <stdlib.h>
#include "cl/op/op.h"

#define FEWEST 128 /* positions of a table */

/* Per position the cosines of all pairs, then their sines. */
static void rope_fill(float *table, int64_t positions, int64_t pairs, double base, double factor)
{
	for (int64_t j = 0; j < pairs; j++) {
		double turn = pow(base, -2.0 * (double)j / (double)(2 * pairs));
		for (int64_t p = 0; p < positions; p++) {
			double angle = (double)p / factor * turn;
			table[2 * p * pairs + j] = (float)cos(angle);
			table[(2 * p + 1) * pairs + j] = (float)sin(angle);
		}
	}
}

/* A table of at least that many positions. */
static enum plumb_status rope_need_table(
	struct plumb_cl_state *cl, int64_t positions, int64_t head_dim, double base, double factor)
{
	int64_t have = FEWEST;
	size_t bytes;
	cl_int code;
	if (cl->rope.table && cl->rope.positions >= positions && cl->rope.head_dim == head_dim &&
		cl->rope.base == base && cl->rope.factor == factor)
		return PLUMB_OK;
	while (have < positions && have < INT32_MAX)
		have *= 2;
	if (have < positions || __builtin_mul_overflow((size_t)have * sizeof(float), (size_t)head_dim, &bytes) ||
		bytes > cl->max_alloc)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"the table of %lld positions and head dimension %lld is over the device's limit",
			(long long)positions, (long long)head_dim);
	float *table = malloc(bytes);
	if (!table)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the angles of %lld positions", (long long)have);
	rope_fill(table, have, head_dim / 2, base, factor);
	cl_mem mem = plumb_cl.clCreateBuffer(
		cl->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, bytes, table, &code);
	free(table);
	if (code)
		return plumb_cl_fail(code, "the angles of %lld positions", (long long)have);
	if (cl->rope.table)
		plumb_cl.clReleaseMemObject(cl->rope.table); /* lives on until the kernels that use it have ended */
	cl->rope.table = mem;
	cl->rope.positions = have;
	cl->rope.head_dim = head_dim;
	cl->rope.base = base;
	cl->rope.factor = factor;
	return PLUMB_OK;
}

enum plumb_status plumb_cl_rope(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	int64_t n = call->out->dim[0], d = call->out->dim[1], head_dim = call->s.rope.head_dim;
	if (call->s.rope.pos > INT32_MAX - n)
		return plumb_fail(
			PLUMB_E_UNSUPPORTED, "position %lld is beyond 32 bits", (long long)call->s.rope.pos);
	PLUMB_TRY(rope_need_table(cl, call->s.rope.pos + n, head_dim, call->s.rope.base, call->s.rope.factor));
	plumb_cl_tensor(&a, call->out);
	plumb_cl_tensor(&a, call->in[0]);
	plumb_cl_mem(&a, cl->rope.table);
	plumb_cl_int(&a, call->s.rope.pos);
	plumb_cl_int(&a, d / head_dim);
	plumb_cl_int(&a, head_dim / 2);
	plumb_cl_int(&a, call->s.rope.pairs == PLUMB_ROPE_INTERLEAVED);
	if (cl->cpu)
		return plumb_cl_launch_rows(&a, "rope", "rope", "", n, 1);
	return plumb_cl_launch(
		&a, "rope", "rope", "", 2, (size_t[]){ (size_t)d / 2, (size_t)n }, (size_t[]){ PLUMB_CL_GROUP, 1 });
}
