/* SPDX-License-Identifier: Apache-2.0 */
/* Weights on the device, in the layout of pack.c. A matrix larger than the device's largest buffer is split
 * by rows. */
#include <stdlib.h>
#include <string.h>
#include "cl/driver/weight.h"

#define LANES 8 /* rows of a row group */

/* The rows of a slice, which begins with row `first`, in a buffer of their own. */
static enum plumb_status weight_slice(
	struct plumb_driver *driver, struct plumb_cl_weight *w, const struct plumb_cl_pack *whole, int64_t first)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	struct plumb_cl_pack pack = *whole;
	int i = w->slices++;
	cl_int code;
	pack.from += (size_t)first * pack.row;
	pack.rows = whole->rows - first < w->slice_rows ? whole->rows - first : w->slice_rows;
	size_t bytes = (size_t)plumb_cl_pack_groups(pack.rows) * plumb_cl_pack_bytes(pack.type, pack.k);
	/* A CPU takes them where they are, so they may as well be in huge pages. */
	void *host = strcmp(cl->device.info.type, "cpu") ? NULL
													 : plumb_chunk_take(&cl->chunks, bytes, &w->chunk[i]);
	w->buffer[i] = plumb_cl.clCreateBuffer(
		cl->context, CL_MEM_READ_ONLY | (host ? CL_MEM_USE_HOST_PTR : cl->place), bytes, host, &code);
	if (code)
		return plumb_cl_fail(
			code, "a weight buffer of %.1f MB on %s", (double)bytes / 1e6, cl->device.info.name);
	pack.to = plumb_cl.clEnqueueMapBuffer(
		cl->queue, w->buffer[i], CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0, bytes, 0, NULL, NULL, &code);
	if (code)
		return plumb_cl_fail(code, "mapping a weight buffer on %s", cl->device.info.name);
	plumb_cl_pack(&pack, driver->ctx->pool);
	code = plumb_cl.clEnqueueUnmapMemObject(cl->queue, w->buffer[i], pack.to, 0, NULL, NULL);
	return code ? plumb_cl_fail(code, "unmapping a weight buffer on %s", cl->device.info.name) : PLUMB_OK;
}

void plumb_cl_unprepare(struct plumb_driver *driver, void *prepared)
{
	struct plumb_cl_weight *w = prepared;
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	for (int i = 0; i < w->slices; i++) {
		if (w->chunk[i]) /* kernels may still read it */
			plumb_cl.clFinish(cl->queue);
		if (w->buffer[i])
			plumb_cl.clReleaseMemObject(w->buffer[i]);
		if (w->chunk[i])
			plumb_chunk_give(&cl->chunks, w->chunk[i]);
	}
	plumb_budget_give(driver->ctx, w->bytes);
	free(w);
}

static enum plumb_status weight_make(
	struct plumb_driver *driver, const struct plumb_tensor *t, struct plumb_cl_weight *w)
{
	size_t group = plumb_cl_pack_bytes(t->type, w->k);
	const int most = PLUMB_CL_WEIGHT_BUFFERS;
	int64_t groups = plumb_cl_pack_groups(w->rows),
			fit = (int64_t)(plumb_cl_state(driver)->max_alloc / group);
	struct plumb_cl_pack pack = { t->type, t->buffer->host, plumb_tensor_bytes(t) / (size_t)w->rows, w->rows,
		w->k, NULL };
	if (fit < 1 || (groups + fit - 1) / fit > most)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "a weight of %.1f MB does not fit %d buffers of %.1f MB",
			(double)groups * (double)group / 1e6, most, (double)plumb_cl_state(driver)->max_alloc / 1e6);
	w->slice_rows = (groups < fit ? groups : fit) * LANES;
	for (int64_t first = 0; first < w->rows; first += w->slice_rows)
		PLUMB_TRY(weight_slice(driver, w, &pack, first));
	return PLUMB_OK;
}

enum plumb_status plumb_cl_prepare(struct plumb_driver *driver, struct plumb_tensor *t)
{
	struct plumb_tensor whole = *t;
	PLUMB_TRY(plumb_buffer_to_host(t->buffer));
	/* The buffer's rows, not the view's: the layout belongs to the buffer. */
	size_t row;
	plumb_type_size(t->type, t->dim[1], &row);
	whole.offset = 0;
	whole.dim[0] = (int64_t)(t->buffer->bytes / row);
	struct plumb_cl_weight *w = calloc(1, sizeof *w);
	if (!w)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a weight");
	*w = (struct plumb_cl_weight){ .type = t->type, .rows = whole.dim[0], .k = t->dim[1] };
	size_t bytes = (size_t)plumb_cl_pack_groups(w->rows) * plumb_cl_pack_bytes(t->type, w->k);
	enum plumb_status s = plumb_budget_take(driver->ctx, bytes);
	if (s) {
		free(w);
		return s;
	}
	w->bytes = bytes;
	if ((s = weight_make(driver, &whole, w))) {
		plumb_cl_unprepare(driver, w);
		return s;
	}
	t->buffer->copy[driver->index].prepared = w;
	return PLUMB_OK;
}

enum plumb_status plumb_cl_weight_of(struct plumb_driver *driver, const struct plumb_tensor *t,
	const struct plumb_cl_weight **weight, int64_t *first)
{
	struct plumb_copy *copy = &t->buffer->copy[driver->index];
	if (!copy->prepared) {
		struct plumb_tensor view = *t; /* prepare writes into the buffer, not into the tensor */
		PLUMB_TRY(plumb_cl_prepare(driver, &view));
	}
	struct plumb_cl_weight *w = copy->prepared;
	size_t row;
	plumb_type_size(t->type, t->dim[1], &row);
	if (w->type != t->type || w->k != t->dim[1] || t->offset % (row * LANES))
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"a view of weights that begins inside a row group, or another shape of them");
	*weight = w;
	*first = (int64_t)(t->offset / row);
	return PLUMB_OK;
}

enum plumb_status plumb_cl_weight_whole(
	struct plumb_driver *driver, const struct plumb_tensor *w, cl_mem *mem, int64_t *group)
{
	const struct plumb_cl_weight *weight;
	int64_t first;
	PLUMB_TRY(plumb_cl_weight_of(driver, w, &weight, &first));
	int64_t slice = first / weight->slice_rows;
	if ((first + w->dim[0] - 1) / weight->slice_rows != slice)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "a weight in several buffers");
	*mem = weight->buffer[slice];
	*group = first % weight->slice_rows / LANES;
	return PLUMB_OK;
}
