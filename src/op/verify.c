/* SPDX-License-Identifier: Apache-2.0 */
/* One operator of one driver against its float64 truth, on random numbers that are the same every time: for
 * the doctor and for the first use of a kernel. Says how far off it is; what follows from that is the
 * caller's business. */
#include "op/op.h"

#define MOST_WORK 2e6 /* operations or bytes of a case; the larger ones are for tests */

#define SEED 20250117

enum plumb_status plumb_op_run_alone(struct plumb_driver *driver, const struct plumb_call *call)
{
	PLUMB_TRY(plumb_dispatch_on(driver, call, false));
	return plumb_buffer_to_host(call->out->buffer);
}

static enum plumb_status verify_case(struct plumb_driver *driver, struct plumb_context *truth, int op,
	const struct plumb_case *shape, enum plumb_type weight, double *error, double *tolerance)
{
	const struct plumb_op_desc *desc = plumb_op_table[op];
	struct plumb_case_args ours, theirs = { .call.out = NULL };
	enum plumb_status s = plumb_case_make(driver->ctx, op, shape, weight, 0, SEED, &ours);
	if (!s)
		s = plumb_op_run_alone(driver, &ours.call);
	if (!s)
		s = plumb_case_reference(truth, op, shape, weight, SEED, &theirs);
	if (!s) {
		*tolerance = desc->tolerance(&ours.call);
		struct plumb_case_error e = plumb_case_compare(&ours.t[0], &theirs.t[0], *tolerance == 0, INFINITY);
		*error = plumb_case_relative(&e);
	}
	plumb_case_free(&ours);
	plumb_case_free(&theirs);
	return s ? plumb_fail_in(s, "%s \"%s\"", desc->name, shape->name) : PLUMB_OK;
}

static bool verify_fits(
	const struct plumb_op_desc *desc, const struct plumb_case *shape, enum plumb_type weight)
{
	double outs = 1, work = 0;
	for (int i = 0; i < shape->out.rank; i++)
		outs *= (double)shape->out.dim[i];
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++) {
		double n = shape->in[i].rank ? 2 : 0; /* of a sum of products: a multiplication and an addition */
		for (int k = 0; k < shape->in[i].rank; k++)
			n *= (double)shape->in[i].dim[k];
		work = fmax(work, n * (desc->weights >> i & 1 ? (double)shape->out.dim[0] : 1));
	}
	/* A lone sum may cancel by chance, and the error is relative to it. */
	return work <= MOST_WORK &&
		(!desc->weights ||
			(outs >= 8 && shape->in[plumb_desc_weight(desc)].dim[1] % plumb_type_block(weight) == 0));
}

/* Past its tolerance by how much: to find the worst case. */
static double verify_excess(double error, double tolerance)
{
	return error == 0 ? 0 : tolerance == 0 ? INFINITY : error / tolerance;
}

enum plumb_status plumb_op_verify(struct plumb_driver *driver, struct plumb_context *truth, int op,
	enum plumb_type weight, double *error, double *tolerance)
{
	const struct plumb_op_desc *desc = plumb_op_table[op];
	*error = *tolerance = 0;
	enum plumb_status s = PLUMB_OK;
	for (int i = 0; i < desc->case_count && !s; i++) {
		double e = 0, t = 0;
		if (!verify_fits(desc, &desc->cases[i], weight))
			continue;
		s = verify_case(driver, truth, op, &desc->cases[i], weight, &e, &t);
		if (!s && verify_excess(e, t) >= verify_excess(*error, *tolerance)) {
			*error = e;
			*tolerance = t;
		}
	}
	return s;
}
