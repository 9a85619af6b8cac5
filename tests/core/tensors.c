/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: shapes, views and copies, memory of the caller, the limit. */
#include "core/core.h"
#include "parts.h"

static struct plumb_context *open_native(void)
{
	struct plumb_context *ctx;
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	return ctx;
}

static const struct {
	enum plumb_type type;
	int rank;
	int64_t dim[4];
	enum plumb_status status;
	const char *text;
} shapes[] = {
	{ PLUMB_F32, 0, { 1 }, PLUMB_E_SHAPE, "rank 0" }, { PLUMB_F32, 5, { 1 }, PLUMB_E_SHAPE, "rank 5" },
	{ PLUMB_F32, 2, { 0, 4 }, PLUMB_E_SHAPE, "dimension 0 is 0" },
	{ PLUMB_F32, 2, { 4, -1 }, PLUMB_E_SHAPE, "dimension 1 is -1" },
	{ PLUMB_F32, 2, { INT64_MAX, 2 }, PLUMB_E_SHAPE, "overflow" },
	{ PLUMB_F32, 1, { INT64_MAX }, PLUMB_E_SHAPE, "overflow" },
	{ PLUMB_Q8_0, 2, { 4, 33 }, PLUMB_E_SHAPE, "whole blocks" },
	{ (enum plumb_type)77, 1, { 1 }, PLUMB_E_TYPE, "77" },
	{ PLUMB_F32, 1, { INT64_C(1) << 60 }, PLUMB_E_MEMORY,
		"the system gave no" }, /* past the address space: refused with any overcommitment */
};

START_TEST(bad_shapes)
{
	struct plumb_context *ctx = open_native();
	struct plumb_tensor t;
	ck_bad(plumb_tensor_new(ctx, &t, shapes[_i].type, shapes[_i].rank, shapes[_i].dim), shapes[_i].status,
		shapes[_i].text);
	ck_assert_ptr_null(t.buffer);
	plumb_tensor_free(&t);
	plumb_close(ctx);
}
END_TEST

START_TEST(views_and_copies)
{
	struct plumb_context *ctx = open_native();
	struct plumb_tensor t, view;
	float in[12], out[6];
	double wide[12];
	for (int i = 0; i < 12; i++)
		in[i] = (float)i + 0.5f;
	ck_good(plumb_tensor_new(ctx, &t, PLUMB_F32, 2, (int64_t[]){ 4, 3 }));
	ck_good(plumb_tensor_read_f64(&t, wide, 12));
	ck_assert(wide[0] == 0 && wide[11] == 0);
	ck_good(plumb_tensor_write(&t, in, sizeof in));
	ck_good(plumb_tensor_rows(&view, &t, 1, 2));
	ck_good(plumb_tensor_read(&view, out, sizeof out));
	ck_assert_mem_eq(out, in + 3, sizeof out);
	ck_good(plumb_tensor_read_f64(&t, wide, 12));
	for (int i = 0; i < 12; i++)
		ck_assert(wide[i] == (double)in[i]);
	ck_bad(plumb_tensor_rows(&view, &t, 3, 2), PLUMB_E_SHAPE, "3 + 2");
	ck_bad(plumb_tensor_rows(&view, &t, -1, 2), PLUMB_E_SHAPE, "-1");
	ck_bad(plumb_tensor_rows(&view, &t, INT64_MAX, 2), PLUMB_E_SHAPE, "not within");
	ck_bad(plumb_tensor_read(&t, out, 5), PLUMB_E_SHAPE, "5 bytes");
	plumb_tensor_free(&t);
	ck_bad(plumb_tensor_read(&t, out, 0), PLUMB_E_ARGUMENT, "no memory");
	plumb_close(ctx);
}
END_TEST

START_TEST(wrapped)
{
	struct plumb_context *ctx = open_native();
	struct plumb_tensor t, y;
	static const float data[4] = { 1, 2, 3, 4 };
	uint64_t now, peak, limit;
	ck_good(plumb_tensor_wrap(ctx, &t, PLUMB_F32, 2, (int64_t[]){ 2, 2 }, data, sizeof data));
	plumb_memory(ctx, &now, &peak, &limit);
	ck_assert_uint_eq(now, 0);
	ck_bad(plumb_tensor_write(&t, data, sizeof data), PLUMB_E_ARGUMENT, "read-only");
	ck_bad(plumb_add(ctx, &t, &t, &t), PLUMB_E_ARGUMENT, "read-only");
	ck_bad(plumb_tensor_wrap(ctx, &y, PLUMB_F32, 1, (int64_t[]){ 5 }, data, sizeof data), PLUMB_E_SHAPE,
		"needs 20");
	ck_bad(plumb_tensor_wrap(ctx, &y, PLUMB_F32, 1, (int64_t[]){ 5 }, NULL, 20), PLUMB_E_ARGUMENT, "no data");
	plumb_tensor_free(&t);
	plumb_close(ctx);
}
END_TEST

START_TEST(memory_limit)
{
	struct plumb_context *ctx;
	struct plumb_tensor a, b;
	uint64_t now, peak, limit;
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .memory_limit = UINT64_C(64) << 20)));
	plumb_memory(ctx, &now, &peak, &limit);
	ck_assert_uint_eq(limit, 64 << 20);
	uint64_t base = now;
	ck_good(plumb_tensor_new(ctx, &a, PLUMB_F32, 1, (int64_t[]){ 10 << 20 }));
	ck_bad(plumb_tensor_new(ctx, &b, PLUMB_F32, 1, (int64_t[]){ 10 << 20 }), PLUMB_E_LIMIT,
		"AR_HARDWARE_MEMORY_SCALE");
	ck_assert_msg(strstr(plumb_last_error(), "67.1 MB") != NULL, "%s", plumb_last_error());
	plumb_tensor_free(&a);
	plumb_memory(ctx, &now, &peak, &limit);
	ck_assert_uint_eq(now, base);
	ck_assert_uint_ge(peak, 40 << 20);
	ck_good(plumb_tensor_new(ctx, &b, PLUMB_F32, 1, (int64_t[]){ 10 << 20 }));
	plumb_tensor_free(&b);
	plumb_close(ctx);
}
END_TEST

#define LOOP(name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof(table) / sizeof *(table)))

TCase *core_tensors_case(void)
{
	TCase *tc = tcase_create("tensors");
	tcase_set_timeout(tc, 120);
	LOOP(bad_shapes, shapes);
	tcase_add_test(tc, views_and_copies);
	tcase_add_test(tc, wrapped);
	tcase_add_test(tc, memory_limit);
	return tc;
}
