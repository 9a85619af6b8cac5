/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a table as float32, split by rows. Dequantisation only, so exact. */
#include "native/native.h"

struct work {
	const struct plumb_simd *simd;
	float *y;
	const char *w;
	size_t row;
	enum plumb_type type;
	const int32_t *ids;
	int64_t d;
};

static void embed_run(void *arg, int64_t first, int64_t end, int thread)
{
	const struct work *w = arg;
	(void)thread;
	for (int64_t i = first; i < end; i++)
		w->simd->to_f32[w->type](w->type, w->w + w->row * (size_t)w->ids[i], w->y + i * w->d, w->d);
}

enum plumb_status plumb_native_embed(struct plumb_driver *driver, const struct plumb_call *call)
{
	const struct plumb_tensor *table = call->in[0], *ids = call->in[1];
	PLUMB_TRY(plumb_buffer_resident(table->buffer, driver, true)); /* its packed form serves matmul alone */
	struct work w = { .simd = plumb_native_simd(driver),
		.y = plumb_host(call->out),
		.w = plumb_host(table),
		.type = table->type,
		.ids = plumb_host(ids),
		.d = table->dim[1] };
	int64_t n = plumb_tensor_count(ids);
	enum plumb_status s = plumb_native_f32(call);
	if (s)
		return s;
	if (!w.simd->to_f32[w.type])
		return plumb_fail(PLUMB_E_UNSUPPORTED, "native: no dequantisation of %s", plumb_type_name(w.type));
	for (int64_t i = 0; i < n; i++)
		if (w.ids[i] < 0 || w.ids[i] >= table->dim[0])
			return plumb_fail(PLUMB_E_ARGUMENT, "id %d at %lld is outside [0, %lld)", (int)w.ids[i],
				(long long)i, (long long)table->dim[0]);
	w.row = plumb_tensor_bytes(table) / (size_t)table->dim[0];
	plumb_native_split(driver, n, plumb_native_grain(w.d), embed_run, &w);
	return PLUMB_OK;
}
