/* SPDX-License-Identifier: Apache-2.0 */
/* src/core: types, shapes, buffers, the driver list, the pool, the environment. */
#include <sys/stat.h>
#include "core/parts.h"
#include "suite.h"
#include "drivers/drivers.h"

/* --- the driver list: every rule of doc/drivers.md --- */

#define R true
static const struct {
	const char *list;
	struct plumb_driver_item items[4]; /* name NULL: the end */
} lists[] = {
	{ NULL, { { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 }, { "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "", { { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 }, { "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "*", { { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 }, { "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ " , ,", { { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 }, { "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "native", { { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "NATIVE", { { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ " Native\t", { { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "native,", { { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "cl,native", { { "cl", PLUMB_KIND_ANY, R, 0 }, { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "native , cl", { { "native", PLUMB_KIND_ANY, R, 0 }, { "cl", PLUMB_KIND_ANY, R, 0 } } },
	{ "native,native,NATIVE", { { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "cl,native,cl", { { "cl", PLUMB_KIND_ANY, R, 0 }, { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "cl,*", { { "cl", PLUMB_KIND_ANY, R, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 } } },
	{ "native,*", { { "native", PLUMB_KIND_ANY, R, 0 }, { "cl", PLUMB_KIND_GPU, 0, 0 }, { "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "*,native", { { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, R, 0 }, { "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "*,cl", { { "cl", PLUMB_KIND_GPU, 0, 4 }, { "native", PLUMB_KIND_ANY, 0, 0 }, { "cl", PLUMB_KIND_CPU, 0, 4 } } },
	{ "*,cl,cl,gpu", { { "cl", PLUMB_KIND_GPU, 0, 6 }, { "native", PLUMB_KIND_ANY, 0, 0 }, { "cl", PLUMB_KIND_CPU, 0, 4 } } },
	{ "cpu,gpu,cl", { { "native", PLUMB_KIND_ANY, 0, 1 }, { "cl", PLUMB_KIND_CPU, 0, 5 }, { "cl", PLUMB_KIND_GPU, 0, 6 } } },
	{ "*,*", { { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 0 }, { "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "*,gpu", { { "cl", PLUMB_KIND_GPU, 0, 2 }, { "native", PLUMB_KIND_ANY, 0, 0 }, { "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "*,cpu", { { "cl", PLUMB_KIND_GPU, 0, 0 }, { "native", PLUMB_KIND_ANY, 0, 1 }, { "cl", PLUMB_KIND_CPU, 0, 1 } } },
	{ "mtl", { { "mtl", PLUMB_KIND_ANY, R, 0 } } },
	{ "gpu", { { "cl", PLUMB_KIND_GPU, 0, 2 } } },
	{ "cpu", { { "native", PLUMB_KIND_ANY, 0, 1 }, { "cl", PLUMB_KIND_CPU, 0, 1 } } },
	{ "gpu,cpu", { { "cl", PLUMB_KIND_GPU, 0, 2 }, { "native", PLUMB_KIND_ANY, 0, 1 }, { "cl", PLUMB_KIND_CPU, 0, 1 } } },
	{ "gpu,native", { { "cl", PLUMB_KIND_GPU, 0, 2 }, { "native", PLUMB_KIND_ANY, R, 0 } } },
	{ "cl,gpu", { { "cl", PLUMB_KIND_GPU, R, 2 } } },
	{ "gpu,*", { { "cl", PLUMB_KIND_GPU, 0, 2 }, { "native", PLUMB_KIND_ANY, 0, 0 }, { "cl", PLUMB_KIND_CPU, 0, 0 } } },
	{ "cpu,*", { { "native", PLUMB_KIND_ANY, 0, 1 }, { "cl", PLUMB_KIND_CPU, 0, 1 }, { "cl", PLUMB_KIND_GPU, 0, 0 } } },
};

START_TEST(version)
{
	char text[64];
	snprintf(text, sizeof text, "%d.%d.%d", PLUMB_VERSION_MAJOR, PLUMB_VERSION_MINOR, PLUMB_VERSION_PATCH);
	ck_assert_str_eq(plumb_version_text(), text);
	ck_assert_int_eq(plumb_version(), PLUMB_VERSION);
	/* Numbers that programs were compiled with: a new operator comes last. */
	ck_assert(PLUMB_OP_embed == 0 && PLUMB_OP_argmax == 10 && PLUMB_OP_attention == 11 && PLUMB_OP_matmul_add == 14 && PLUMB_OP_f16_round == 16);
	ck_assert(PLUMB_VERSION_NUMBER(0, 2, 0) > PLUMB_VERSION_NUMBER(0, 1, 99) && PLUMB_VERSION_NUMBER(1, 0, 0) > PLUMB_VERSION_NUMBER(0, 99, 99));
}
END_TEST

START_TEST(driver_list)
{
	struct plumb_driver_item items[PLUMB_MAX_ITEMS];
	int count, want = 0;
	ck_good(plumb_driver_parse(lists[_i].list, items, &count));
	while (want < 4 && lists[_i].items[want].name)
		want++;
	ck_assert_msg(count == want, "\"%s\": %d drivers, expected %d", lists[_i].list, count, want);
	for (int i = 0; i < count; i++) {
		const struct plumb_driver_item *w = &lists[_i].items[i];
		ck_assert_str_eq(items[i].name, w->name);
		ck_assert_int_eq(items[i].kind, w->kind);
		ck_assert_int_eq(items[i].required, w->required);
		ck_assert_uint_eq(items[i].groups, w->groups);
	}
}
END_TEST

static const struct { const char *list, *said; } bad_lists[] = {
	{ "cuda", "Unknown driver cuda" }, { "native,vulkan", "Unknown driver vulkan" }, { "nativ", "Unknown driver nativ" },
	{ "native;cl", "Unknown driver native;cl" }, { "**", "Unknown driver **" }, { "ref", "Unknown driver ref" },
	{ "native cl", "Unknown driver native cl" }, { "cuda", "native, cl, mtl, cpu, gpu, *" },
};

START_TEST(driver_list_unknown)
{
	struct plumb_driver_item items[PLUMB_MAX_ITEMS];
	int count;
	ck_bad(plumb_driver_parse(bad_lists[_i].list, items, &count), PLUMB_E_DRIVER, bad_lists[_i].said);
}
END_TEST

/* What opens: names and failures by list. */
static const struct { const char *driver, *precision; enum plumb_status status; const char *text; } opens[] = {
	{ "native", NULL, PLUMB_OK, "native" },
	{ "cpu", NULL, PLUMB_OK, "native" },
	{ "native", "fp64", PLUMB_OK, "ref" },
	{ "mtl", NULL, PLUMB_E_DRIVER, "mtl: Metal is not available" },
	{ "native,mtl", NULL, PLUMB_E_DRIVER, "mtl" },
	{ "native", "FP16", PLUMB_OK, "native" },
	{ "native", "FP8", PLUMB_E_ARGUMENT, "AR_HARDWARE_PRECISION is \"FP8\"" },
	{ "cuda", NULL, PLUMB_E_DRIVER, "Unknown driver cuda" },
};

START_TEST(opening)
{
	struct plumb_context *ctx;
	struct plumb_options o = { .size = sizeof o, .driver = opens[_i].driver, .precision = opens[_i].precision };
	if (opens[_i].status) {
		ck_bad(plumb_open(&ctx, &o), opens[_i].status, opens[_i].text);
		ck_assert_ptr_null(ctx);
		return;
	}
	ck_good(plumb_open(&ctx, &o));
	ck_assert_str_eq(plumb_driver_name(ctx, 0), opens[_i].text);
	ck_assert_ptr_null(plumb_driver_name(ctx, plumb_driver_count(ctx)));
	plumb_close(ctx);
}
END_TEST

START_TEST(driver_from_environment)
{
	struct plumb_context *ctx;
	setenv("AR_HARDWARE_DRIVER", "cuda", 1);
	ck_bad(plumb_open(&ctx, NULL), PLUMB_E_DRIVER, "Unknown driver cuda");
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native"))); /* the option wins */
	plumb_close(ctx);
	setenv("AR_HARDWARE_DRIVER", "", 1); /* empty is unset */
	ck_good(plumb_open(&ctx, NULL));
	plumb_close(ctx);
}
END_TEST

static const struct { const char *name, *value; bool good; } variables[] = {
	{ "AR_HARDWARE_MEMORY_SCALE", "0", true }, { "AR_HARDWARE_MEMORY_SCALE", "37", true }, { "AR_HARDWARE_MEMORY_SCALE", "38", false },
	{ "AR_HARDWARE_MEMORY_SCALE", "-1", false }, { "AR_HARDWARE_MEMORY_SCALE", "big", false }, { "AR_HARDWARE_MEMORY_SCALE", "4x", false },
	{ "AR_HARDWARE_MEMORY_LOCATION", "HOST", true }, { "AR_HARDWARE_MEMORY_LOCATION", "delegate", true },
	{ "AR_HARDWARE_MEMORY_LOCATION", "moon", false }, { "AR_HARDWARE_PRECISION", "fp32", true }, { "AR_HARDWARE_PRECISION", "32", false },
	{ "PLUMB_THREADS", "3", true }, { "PLUMB_THREADS", "0", false }, { "PLUMB_THREADS", "257", false }, { "PLUMB_THREADS", "two", false },
	{ "PLUMB_NATIVE_ISA", "c", true }, { "PLUMB_NATIVE_ISA", "sse9", false },
};

START_TEST(environment_values)
{
	struct plumb_context *ctx;
	setenv("AR_HARDWARE_DRIVER", "native", 1);
	setenv(variables[_i].name, variables[_i].value, 1);
	enum plumb_status s = plumb_open(&ctx, NULL);
	ck_assert_msg(!s == variables[_i].good, "%s=%s: %s", variables[_i].name, variables[_i].value, plumb_last_error());
	if (s)
		ck_assert_msg(strstr(plumb_last_error(), variables[_i].name) != NULL, "%s is not named: %s", variables[_i].name, plumb_last_error());
	plumb_close(ctx);
}
END_TEST

START_TEST(environment_rows)
{
	struct plumb_env row;
	int n = 0;
	setenv("PLUMB_THREADS", "7", 1);
	for (; plumb_env_row(n, &row); n++) {
		ck_assert(row.name && row.meaning && row.fallback);
		if (!strcmp(row.name, "PLUMB_THREADS"))
			ck_assert_str_eq(row.value, "7");
	}
	ck_assert_int_eq(n, PLUMB_ENV_COUNT);
	ck_assert(!plumb_env_row(-1, &row));
}
END_TEST

/* --- types --- */

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
	ck_assert_uint_eq(plumb_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);         /* tie to even */
	ck_assert_uint_eq(plumb_f32_to_bf16(1.0f + 0x1p-7f + 0x1p-8f), 0x3f82);
	ck_assert(isnan(plumb_bf16_to_f32(plumb_f32_to_bf16(NAN))));
}
END_TEST

/* Against the gguf Python package, bit for bit (tools/make-type-vectors.py). */
static const enum plumb_type vector_types[] = { PLUMB_F16, PLUMB_BF16, PLUMB_Q8_0, PLUMB_Q4_0, PLUMB_Q4_1, PLUMB_Q5_0, PLUMB_Q5_1,
	PLUMB_Q4_K, PLUMB_Q5_K, PLUMB_Q6_K };

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
		ck_assert_msg(a == b || both_nan, "%s element %lld: %08x, expected %08x", plumb_type_name(type), (long long)i, a, b);
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
	ck_assert_str_eq(plumb_type_name((enum plumb_type)-1), "?");
}
END_TEST

/* --- tensors --- */

static struct plumb_context *open_native(void)
{
	struct plumb_context *ctx;
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	return ctx;
}

static const struct { enum plumb_type type; int rank; int64_t dim[4]; enum plumb_status status; const char *text; } shapes[] = {
	{ PLUMB_F32, 0, { 1 }, PLUMB_E_SHAPE, "rank 0" }, { PLUMB_F32, 5, { 1 }, PLUMB_E_SHAPE, "rank 5" },
	{ PLUMB_F32, 2, { 0, 4 }, PLUMB_E_SHAPE, "dimension 0 is 0" }, { PLUMB_F32, 2, { 4, -1 }, PLUMB_E_SHAPE, "dimension 1 is -1" },
	{ PLUMB_F32, 2, { INT64_MAX, 2 }, PLUMB_E_SHAPE, "overflow" }, { PLUMB_F32, 1, { INT64_MAX }, PLUMB_E_SHAPE, "overflow" },
	{ PLUMB_Q8_0, 2, { 4, 33 }, PLUMB_E_SHAPE, "whole blocks" }, { (enum plumb_type)77, 1, { 1 }, PLUMB_E_TYPE, "77" },
	{ PLUMB_F32, 1, { INT64_C(1) << 60 }, PLUMB_E_MEMORY, "the system gave no" }, /* past the address space: refused with any overcommitment */
};

START_TEST(bad_shapes)
{
	struct plumb_context *ctx = open_native();
	struct plumb_tensor t;
	ck_bad(plumb_tensor_new(ctx, &t, shapes[_i].type, shapes[_i].rank, shapes[_i].dim), shapes[_i].status, shapes[_i].text);
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
	ck_bad(plumb_tensor_wrap(ctx, &y, PLUMB_F32, 1, (int64_t[]){ 5 }, data, sizeof data), PLUMB_E_SHAPE, "needs 20");
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
	ck_bad(plumb_tensor_new(ctx, &b, PLUMB_F32, 1, (int64_t[]){ 10 << 20 }), PLUMB_E_LIMIT, "AR_HARDWARE_MEMORY_SCALE");
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

/* --- pool --- */

struct tally { _Atomic int hits[10000]; int threads; _Atomic bool wrong_thread; };

static void count(void *arg, int64_t i, int thread)
{
	struct tally *t = arg;
	atomic_fetch_add(&t->hits[i], 1);
	if (thread < 0 || thread >= t->threads)
		atomic_store(&t->wrong_thread, true);
}

START_TEST(pool_visits_each_once)
{
	struct plumb_pool *pool;
	struct tally *t = calloc(1, sizeof *t);
	t->threads = _i;
	ck_good(plumb_pool_new(&pool, _i));
	ck_assert_int_eq(plumb_pool_threads(pool), _i);
	for (int round = 0; round < 2000; round++)
		plumb_pool_run(pool, count, t, round % 7);
	plumb_pool_run(pool, count, t, 10000);
	for (int i = 0; i < 10000; i++) {
		int small = 0;
		for (int round = 0; round < 2000; round++)
			small += i < round % 7;
		ck_assert_int_eq(t->hits[i], small + 1);
	}
	ck_assert(!t->wrong_thread);
	plumb_pool_free(pool);
	free(t);
}
END_TEST

/* --- control groups, in a tree like /proc and /sys --- */

static void put_file(const char *root, const char *path, const char *text)
{
	char whole[512], *slash;
	ck_assert_int_lt(snprintf(whole, sizeof whole, "%s/%s", root, path), (int)sizeof whole);
	for (slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = 0;
		mkdir(whole, 0700);
	}
	FILE *f = fopen(whole, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static const struct { const char *files[4][2]; int cpus; } groups[] = {
	{ { { NULL } }, 256 }, /* no control groups */
	{ { { "proc/self/cgroup", "0::/\n" } }, 256 },
	{ { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "200000 100000\n" } }, 2 },
	{ { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "150000 100000\n" } }, 2 }, /* a begun one counts */
	{ { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "max 100000\n" } }, 256 },
	{ { { "proc/self/cgroup", "0::/a/b\n" }, { "sys/fs/cgroup/a/b/cpu.max", "max 100000\n" }, { "sys/fs/cgroup/a/cpu.max", "300000 100000\n" } }, 3 },
	{ { { "proc/self/cgroup", "0::/not/here\n" }, { "sys/fs/cgroup/cpu.max", "100000 100000\n" } }, 1 },
	{ { { "proc/self/cgroup", "2:memory:/\n4:cpuacct,cpu:/x\n" }, { "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "400000\n" },
		{ "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n" } }, 4 },
	{ { { "proc/self/cgroup", "4:cpu:/\n" }, { "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n" }, { "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" } }, 256 },
	{ { { "proc/self/cgroup", "4:cpuset:/\nnonsense\n" }, { "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n" }, { "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" } }, 256 },
	{ { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "100 0\n" } }, 256 },
};

START_TEST(cpus_of_control_groups)
{
	char root[] = "/tmp/plumb-groups.XXXXXX", command[64];
	ck_assert_ptr_nonnull(mkdtemp(root));
	for (int i = 0; i < 4 && groups[_i].files[i][0]; i++)
		put_file(root, groups[_i].files[i][0], groups[_i].files[i][1]);
	int cpus = plumb_cpus_of_groups(root);
	snprintf(command, sizeof command, "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(cpus, groups[_i].cpus);
	ck_assert_int_ge(plumb_cpus_allowed(), 1);
}
END_TEST

START_TEST(error_text)
{
	ck_assert_int_eq(plumb_fail(PLUMB_E_IO, "disk %d", 3), PLUMB_E_IO);
	ck_assert_str_eq(plumb_last_error(), "disk 3");
	ck_assert_int_eq(plumb_fail_in(PLUMB_E_IO, "file %s", "x"), PLUMB_E_IO);
	ck_assert_str_eq(plumb_last_error(), "file x: disk 3");
	char large[4000];
	memset(large, 'a', sizeof large - 1);
	large[sizeof large - 1] = 0;
	plumb_fail(PLUMB_E_IO, "%s", large);
	plumb_fail_in(PLUMB_E_IO, "%s", "b");
	ck_assert_int_eq(plumb_last_error()[0], 'b');
	ck_assert_uint_lt(strlen(plumb_last_error()), 1024);
	for (int s = 0; s >= PLUMB_E_NONFINITE; s--)
		ck_assert_str_ne(plumb_strerror((enum plumb_status)s), "unknown status");
	ck_assert_str_eq(plumb_strerror((enum plumb_status)1), "unknown status");
	ck_assert_str_eq(plumb_strerror((enum plumb_status)-99), "unknown status");
}
END_TEST

#define LOOP(name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof(table) / sizeof *(table)))
int main(void)
{
	/* Lists with "*" would open a vendor's driver where there is one, with its own leaks and races; tests/check_cl has those. */
	setenv("OCL_ICD_VENDORS", "/nonexistent", 1);
	Suite *suite = suite_create("core");
	TCase *tc = tcase_create("core");
	tcase_set_timeout(tc, 120);
	LOOP(driver_list, lists);
	LOOP(driver_list_unknown, bad_lists);
	LOOP(opening, opens);
	tcase_add_test(tc, version);
	tcase_add_test(tc, driver_from_environment);
	LOOP(environment_values, variables);
	tcase_add_test(tc, environment_rows);
	tcase_add_test(tc, halves);
	LOOP(dequantisation, vector_types);
	tcase_add_test(tc, type_errors);
	LOOP(bad_shapes, shapes);
	tcase_add_test(tc, views_and_copies);
	tcase_add_test(tc, wrapped);
	tcase_add_test(tc, memory_limit);
	tcase_add_loop_test(tc, pool_visits_each_once, 1, 5);
	LOOP(cpus_of_control_groups, groups);
	tcase_add_test(tc, error_text);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, core_fork_case());
	suite_add_tcase(suite, core_json_case());
	suite_add_tcase(suite, core_options_case());
	suite_add_tcase(suite, core_variables_case());
	return run_suite(suite);
}
