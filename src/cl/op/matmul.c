/* SPDX-License-Identifier: Apache-2.0 */
/* Products with weights on OpenCL: one launch per buffer that holds rows of the weight. Which variant one
 * takes is decided in tune/choice.c; CLBlast's is in clblast.c; with a norm before or swiglu behind: qkv.c,
 * gate_up.c. */
#include "cl/op/op.h"

static enum plumb_status matmul_slice(struct plumb_driver *driver, const struct plumb_call *call,
	const struct plumb_cl_slice *slice, enum plumb_cl_variant variant)
{
	const struct plumb_tensor *y = call->out, *x = call->in[0], *b = call->in[2];
	const struct plumb_cl_state *cl = plumb_cl_state(driver);
	bool block = cl->cpu && variant == PLUMB_CL_BLOCK, tile = !cl->cpu && variant == PLUMB_CL_BLOCK,
		 one = cl->cpu && variant == PLUMB_CL_MT1;
	int64_t m = x->dim[0],
			rows = block ? plumb_cl_variant_rows(cl, m)
		: tile           ? PLUMB_CL_TILE_ROWS
						 : plumb_cl_variant_tile(variant);
	int64_t groups = plumb_cl_pack_groups(slice->end - slice->first);
	int64_t wide = block ? PLUMB_CL_BLOCK_GROUPS
		: tile           ? PLUMB_CL_TILE_GROUPS
		: one            ? plumb_cl_variant_groups(cl, groups)
						 : 1;
	char options[PLUMB_CL_OPTIONS];
	plumb_cl_variant_options(cl, slice->weight->type, variant, options);
	struct plumb_cl_args a = PLUMB_CL_FIRST_ARGS(driver, call);
	if (slice->column)
		a.bytes = 0; /* counted with the first slice */
	plumb_cl_tensor(&a, y);
	plumb_cl_tensor(&a, x);
	plumb_cl_mem(&a, slice->buffer);
	plumb_cl_tensor(&a, b);
	plumb_cl_int(&a, b && b->rank == 2 ? y->dim[1] : 0);
	plumb_cl_int(&a, m);
	plumb_cl_int(&a, y->dim[1]);
	plumb_cl_int(&a, slice->weight->k);
	plumb_cl_int(&a, slice->column);
	plumb_cl_int(&a, slice->first % slice->weight->slice_rows / 8);
	plumb_cl_int(&a, groups);
	if (one || block)
		plumb_cl_int(&a, one ? wide : rows);
	return plumb_cl_launch_rows(&a, "matmul",
		block      ? "matmul_block"
			: tile ? "matmul_tile"
			: one  ? "matmul_one"
				   : "matmul",
		options, (groups + wide - 1) / wide, (m + rows - 1) / rows);
}

static enum plumb_status matmul_slices(
	struct plumb_driver *driver, const struct plumb_call *call, enum plumb_cl_variant variant)
{
	struct plumb_cl_slice slice = { .end = 0 };
	int64_t first, n = call->in[1]->dim[0];
	PLUMB_TRY(plumb_cl_weight_of(driver, call->in[1], &slice.weight, &first));
	for (int64_t at = first, rows = slice.weight->slice_rows; at < first + n; at = slice.end) {
		slice.end = (at / rows + 1) * rows;
		if (slice.end > first + n)
			slice.end = first + n;
		slice.buffer = slice.weight->buffer[at / rows];
		slice.first = at;
		slice.column = at - first;
		PLUMB_TRY(variant == PLUMB_CL_CLBLAST ? plumb_cl_clblast(driver, call, &slice)
											  : matmul_slice(driver, call, &slice, variant));
	}
	return PLUMB_OK;
}

enum plumb_status plumb_cl_matmul_by(
	struct plumb_driver *driver, const struct plumb_call *call, struct plumb_cl_choice choice)
{
	enum plumb_status s = matmul_slices(driver, call, choice.variant);
	/* What a tuning file chose must not be what stops a model. But a residual that is y may have grown by
	 * some columns. */
	if ((s == PLUMB_E_DEVICE || s == PLUMB_E_MEMORY) && choice.variant == PLUMB_CL_CLBLAST &&
		choice.measured && plumb_call_repeatable(driver, call))
		s = matmul_slices(driver, call, plumb_cl_variant_fixed(plumb_cl_state(driver), call->in[0]->dim[0]));
	return s;
}

enum plumb_status plumb_cl_matmul(struct plumb_driver *driver, const struct plumb_call *call)
{
	struct plumb_cl_choice choice;
	if (call->out->type != PLUMB_F32)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "computes in f32 only");
	PLUMB_TRY(plumb_cl_choice_product(driver, call, &choice));
	return plumb_cl_matmul_by(driver, call, choice);
}
