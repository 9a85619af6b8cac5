/* SPDX-License-Identifier: Apache-2.0 */
/* A few rows of a real call, on a driver and on the float64 truth: tells a wrong kernel by the
 * numbers that the user is about to get. Runs before the driver's first real use of a kernel. */
#include <stdlib.h>
#include "op/op.h"

#define ROWS 4     /* of activations */
#define OUTPUTS 24 /* rows of a weight: three times eight lanes */
#define ALLOWED \
	1e-3 /* massive activations amplify float32 rounding to 1e-5 and more; a wrong lane gives 1e-1 */

struct slice {
	struct plumb_call call;
	struct plumb_tensor in[PLUMB_MAX_INPUTS];
	int rank;
	int64_t out[PLUMB_MAX_RANK];
};

static enum plumb_status canary_cut(struct slice *s, int i, int64_t most)
{
	const struct plumb_tensor *t = s->call.in[i];
	if (!t)
		return PLUMB_OK;
	s->call.in[i] = &s->in[i];
	return plumb_tensor_rows(&s->in[i], t, 0, t->dim[0] < most ? t->dim[0] : most);
}

/* Positions of a cache that the rows see. */
static int64_t canary_positions(const struct plumb_call *call, int64_t rows)
{
	return call->s.attn.pos + rows;
}

static enum plumb_status canary_cut_columns(struct slice *s, const struct plumb_op_desc *desc)
{
	int64_t columns = 0;
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (desc->columns >> i & 1) {
			PLUMB_TRY(canary_cut(s, i, OUTPUTS));
			if (desc->weights >> i & 1)
				columns += s->in[i].dim[0];
		}
	if (columns)
		s->out[1] = columns / (desc->per_column ? desc->per_column : 1);
	return PLUMB_OK;
}

static enum plumb_status canary_make_slice(const struct plumb_call *call, struct slice *s)
{
	const struct plumb_op_desc *desc = plumb_op_table[call->op];
	int64_t rows = call->out->dim[0];
	s->call = *call;
	s->rank = call->out->rank;
	memcpy(s->out, call->out->dim, sizeof s->out);
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (desc->rows >> i & 1) {
			PLUMB_TRY(canary_cut(s, i, ROWS));
			rows = s->in[i].dim[0];
		}
	s->out[0] = rows;
	PLUMB_TRY(canary_cut_columns(s, desc));
	if (desc->inout)
		s->call.s.pos = 0; /* into the first rows of an output that has no others */
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (desc->caches >> i & 1)
			PLUMB_TRY(canary_cut(s, i, canary_positions(call, rows)));
	if (desc->caches && s->rank == 3) { /* scores: a row for each head and query */
		s->out[0] = call->s.attn.heads;
		s->out[1] = rows;
		s->out[2] = canary_positions(call, rows);
	}
	return PLUMB_OK;
}

/* An input for the truth: its host bytes where they are fresh, else a copy of the slice alone, which *copy
 * holds. */
static enum plumb_status canary_on_host(
	struct plumb_context *ctx, const struct plumb_tensor *t, struct plumb_tensor *mine, void **copy)
{
	size_t bytes = plumb_tensor_bytes(t);
	if (t->buffer->host && t->buffer->host_fresh) {
		*mine = *t;
		return PLUMB_OK;
	}
	if (!(*copy = malloc(bytes)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory to compare a kernel with the truth");
	PLUMB_TRY(plumb_buffer_read(t->buffer, t->offset, *copy, bytes));
	return plumb_tensor_wrap(ctx, mine, t->type, t->rank, t->dim, *copy, bytes);
}

static enum plumb_status canary_run_truth(
	struct plumb_driver *driver, const struct slice *s, struct plumb_tensor *truth)
{
	struct plumb_call call = s->call;
	struct plumb_tensor in[PLUMB_MAX_INPUTS];
	void *copy[PLUMB_MAX_INPUTS] = { NULL };
	enum plumb_status status = plumb_buffer_host(truth->buffer);
	call.out = truth;
	for (int i = 0; !status && i < PLUMB_MAX_INPUTS; i++)
		if (s->call.in[i]) {
			in[i] = (struct plumb_tensor){ .buffer = NULL };
			call.in[i] = &in[i];
			status = canary_on_host(driver->ctx, s->call.in[i], &in[i], &copy[i]);
		}
	if (!status)
		status = plumb_op_table[call.op]->ref(driver, &call);
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (copy[i]) {
			plumb_tensor_free(&in[i]);
			free(copy[i]);
		}
	return status;
}

enum plumb_status plumb_op_canary(
	struct plumb_driver *driver, const struct plumb_call *call, double *error, double *allowed)
{
	struct slice s;
	struct plumb_tensor ours, truth = { .buffer = NULL };
	PLUMB_TRY(canary_make_slice(call, &s));
	PLUMB_TRY(plumb_tensor_new(driver->ctx, &ours, call->out->type, s.rank, s.out));
	enum plumb_status status = plumb_tensor_new(driver->ctx, &truth, call->out->type, s.rank, s.out);
	if (!status)
		status = canary_run_truth(driver, &s, &truth);
	s.call.out = &ours;
	if (!status)
		status = plumb_op_run_alone(driver, &s.call);
	if (!status) {
		*allowed = plumb_op_table[call->op]->tolerance(&s.call) > 0 ? ALLOWED : 0;
		struct plumb_case_error e = plumb_case_compare(&ours, &truth, false, INFINITY);
		*error = plumb_case_relative(&e);
	}
	plumb_tensor_free(&ours);
	plumb_tensor_free(&truth);
	return status;
}
