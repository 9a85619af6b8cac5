/* SPDX-License-Identifier: Apache-2.0 */
/* Types of elements: halves, weights to float32, what is refused. */
#include "core/core.h"
#include "parts.h"

START_TEST(halves)
{
	for (uint32_t h = 0; h < 65536; h++) {
		float f = plumb_f16_to_f32((uint16_t)h);
		if (isnan(f)) {
			ck_assert(isnan(plumb_f16_to_f32(plumb_f32_to_f16(f))));
			continue;
		}
		ck_assert_uint_eq(plumb_f32_to_f16(f), h);
		/* Half way to the next one rounds to the even of the two. */
		uint16_t up = (uint16_t)(h + 1);
		if ((h & 0x7fff) < 0x7bff) {
			float middle = (float)(((double)f + plumb_f16_to_f32(up)) / 2);
			ck_assert_uint_eq(plumb_f32_to_f16(middle), h & 1 ? up : h);
			ck_assert_uint_eq(plumb_f32_to_f16(nextafterf(middle, f)), h);
			ck_assert_uint_eq(plumb_f32_to_f16(nextafterf(middle, plumb_f16_to_f32(up))), up);
		}
	}
	ck_assert_uint_eq(plumb_f32_to_f16(65519.996f), 0x7bff);
	ck_assert_uint_eq(plumb_f32_to_f16(65520.f), 0x7c00);
	ck_assert_uint_eq(plumb_f32_to_f16(-INFINITY), 0xfc00);
	ck_assert_uint_eq(plumb_f32_to_f16(1e-30f), 0);
	ck_assert_uint_eq(plumb_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80); /* tie to even */
	ck_assert_uint_eq(plumb_f32_to_bf16(1.0f + 0x1p-7f + 0x1p-8f), 0x3f82);
	ck_assert(isnan(plumb_bf16_to_f32(plumb_f32_to_bf16(NAN))));
}
END_TEST

/* Against the gguf Python package, bit for bit (tools/make-type-vectors.py). */
static const enum plumb_type vector_types[] = { PLUMB_F16, PLUMB_BF16, PLUMB_Q8_0, PLUMB_Q4_0, PLUMB_Q4_1,
	PLUMB_Q5_0, PLUMB_Q5_1, PLUMB_Q4_K, PLUMB_Q5_K, PLUMB_Q6_K, PLUMB_Q2_K, PLUMB_Q3_K, PLUMB_IQ4_NL,
	PLUMB_IQ4_XS, PLUMB_MXFP4 };

START_TEST(dequantisation)
{
	struct plumb_file *file;
	enum plumb_type type = vector_types[_i];
	char name[64];
	ck_good(plumb_file_open(&file, data_path("types.safetensors")));
	snprintf(name, sizeof name, "%s.bytes", plumb_type_name(type));
	const struct plumb_file_tensor *bytes = plumb_file_find(file, name);
	snprintf(name, sizeof name, "%s.f32", plumb_type_name(type));
	const struct plumb_file_tensor *want = plumb_file_find(file, name);
	ck_assert(bytes && want && want->type == PLUMB_F32);
	size_t need;
	ck_assert(plumb_type_size(type, want->dim[0], &need) && need == bytes->bytes);
	float *got = malloc(want->bytes);
	ck_good(plumb_type_to_f32(type, bytes->data, got, want->dim[0]));
	for (int64_t i = 0; i < want->dim[0]; i++) {
		uint32_t a, b;
		memcpy(&a, &got[i], 4);
		memcpy(&b, (const char *)want->data + 4 * i, 4);
		bool both_nan = (a & 0x7fffffff) > 0x7f800000 && (b & 0x7fffffff) > 0x7f800000;
		ck_assert_msg(a == b || both_nan, "%s element %lld: %08x, expected %08x", plumb_type_name(type),
			(long long)i, a, b);
	}
	free(got);
	plumb_file_close(file);
}
END_TEST

START_TEST(type_errors)
{
	float f[32] = { 0 };
	ck_bad(plumb_type_to_f32(PLUMB_I32, f, f, 1), PLUMB_E_TYPE, "i32");
	ck_bad(plumb_type_to_f32(PLUMB_Q8_0, f, f, 31), PLUMB_E_SHAPE, "31");
	ck_bad(plumb_type_from_f32(PLUMB_Q8_0, f, f, 32), PLUMB_E_TYPE, "q8_0");
	ck_bad(plumb_type_to_f32((enum plumb_type)99, f, f, 1), PLUMB_E_TYPE, "?");
	ck_assert_str_eq(plumb_type_name((enum plumb_type) - 1), "?");
}
END_TEST

#define LOOP(name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof(table) / sizeof *(table)))

TCase *core_types_case(void)
{
	TCase *tc = tcase_create("types");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, halves);
	LOOP(dequantisation, vector_types);
	tcase_add_test(tc, type_errors);
	return tc;
}
