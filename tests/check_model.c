/* SPDX-License-Identifier: Apache-2.0 */
/* src/model on small random models: every weight type against Transformers' activations,
 * logits and greedy tokens (tools/make-test-model.py); sessions. */
#include <stdatomic.h>
#include "compare.h"
#include "model/made.h"
#include "core/classes.h"
#include "model/anatomy.h"
#include "native/native.h"

static const char *const models[] = { "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "k",
	"mix" };
/* Relative L2 per capture point; doc/numerics.md, "Whole models". */
#define TOLERANCE_FP32 (is_exact() ? 1e-5 : 2.2e-4)
#define TOLERANCE_FP64 1e-6
#define TOLERANCE_KV_F16 1e-2

static bool is_exact(void) { return !strcmp(getenv("PLUMB_MODE"), "exact"); }

struct loaded {
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_session *session;
};

static struct loaded load(
	const char *type, const struct plumb_options *open, const struct plumb_session_options *how)
{
	struct loaded l;
	char name[64];
	snprintf(name, sizeof name, "tiny-%s.gguf", type);
	ck_good(plumb_open(&l.ctx, open));
	ck_good(plumb_model_load(&l.model, l.ctx, data_path(name), NULL, NULL));
	ck_good(plumb_session_new(&l.session, l.model, how));
	return l;
}

/* What the native driver keeps for its operators until the context is closed. */
static uint64_t scratch(const struct plumb_context *ctx)
{
	uint64_t bytes = 0;
	for (int i = 0; i < ctx->drivers; i++)
		if (ctx->driver[i].cls == &plumb_native_class) {
			const struct plumb_native *n = ctx->driver[i].state;
			bytes += sizeof(float) * (n->each * (size_t)plumb_context_threads(ctx) + n->shared);
		}
	return bytes;
}

static void unload(struct loaded *l)
{
	plumb_session_free(l->session);
	plumb_model_free(l->model);
	uint64_t now, peak, limit;
	plumb_memory(l->ctx, &now, &peak, &limit);
	ck_assert_uint_eq(now, scratch(l->ctx));
	plumb_close(l->ctx);
}

static struct plumb_file *reference(const char *type, bool single)
{
	struct plumb_file *file;
	char name[64];
	snprintf(name, sizeof name, "tiny-%s%s.safetensors", type, single ? "-single" : "");
	ck_good(plumb_file_open(&file, data_path(name)));
	return file;
}

static void against_reference(struct loaded *l, const char *type, bool single, double tolerance)
{
	struct compare c = { .file = reference(type, single), .few_sums = is_exact() ? 0 : 3 / sqrt(0.3) };
	int32_t ids[64], next[64];
	int64_t n = compare_ids(c.file, "token_ids", ids, 64), m = compare_ids(c.file, "greedy", next, 64);
	plumb_session_tap(l->session, PLUMB_POINTS_ALL, compare_tap, &c);
	ck_good(plumb_session_rewind(l->session, 0));
	ck_good(plumb_session_eval(l->session, ids, n, PLUMB_LOGITS_ALL));
	plumb_session_tap(l->session, 0, NULL, NULL);
	ck_assert_int_eq(c.compared, plumb_file_tensors(c.file));
	ck_assert_msg(c.worst <= tolerance, "tiny-%s%s: relative error %.3g at %s is over %g", type,
		single ? "-single" : "", c.worst, c.where, tolerance);
	compare_greedy(l->session, ids, n, next, m);
	plumb_file_close((struct plumb_file *)(uintptr_t)c.file);
}

START_TEST(every_weight_type)
{
	struct loaded l = load(models[_i], PLUMB_OPTIONS(.driver = test_driver()), NULL);
	against_reference(&l, models[_i], false, TOLERANCE_FP32);
	against_reference(&l, models[_i], true, TOLERANCE_FP32);
	unload(&l);
}
END_TEST

START_TEST(every_weight_type_portable)
{
	setenv("PLUMB_NATIVE_ISA", "c", 1);
	struct loaded l = load(models[_i], PLUMB_OPTIONS(.driver = "native"), NULL);
	against_reference(&l, models[_i], false, TOLERANCE_FP32);
	unload(&l);
}
END_TEST

START_TEST(every_weight_type_fp64)
{
	struct loaded l = load(models[_i], PLUMB_OPTIONS(.driver = "native", .precision = "FP64"), NULL);
	against_reference(&l, models[_i], false, TOLERANCE_FP64);
	against_reference(&l, models[_i], true, TOLERANCE_FP64);
	unload(&l);
}
END_TEST

START_TEST(half_cache)
{
	struct loaded l = load(
		"q8_0", PLUMB_OPTIONS(.driver = test_driver()), PLUMB_SESSION_OPTIONS(.kv_type = PLUMB_F16));
	against_reference(&l, "q8_0", false, TOLERANCE_KV_F16);
	unload(&l);
}
END_TEST

/* Logits of 200 tokens, in one way or another. */
static float *logits_of(int threads, int64_t batch, int64_t step)
{
	struct loaded l = load("f32", PLUMB_OPTIONS(.driver = test_driver(), .threads = threads),
		PLUMB_SESSION_OPTIONS(.batch = batch));
	int64_t n = 200, rows, vocab = plumb_model_config(l.model)->vocab;
	int32_t ids[200];
	const float *logits;
	for (int i = 0; i < n; i++)
		ids[i] = i * 7 % 300;
	for (int64_t i = 0; i < n; i += step)
		ck_good(plumb_session_eval(l.session, ids + i, n - i < step ? n - i : step, PLUMB_LOGITS_LAST));
	ck_assert_int_eq(plumb_session_position(l.session), n);
	ck_good(plumb_session_logits(l.session, &logits, &rows));
	ck_assert_int_eq(rows, 1);
	float *copy = malloc(sizeof *copy * (size_t)vocab);
	memcpy(copy, logits, sizeof *copy * (size_t)vocab);
	unload(&l);
	return copy;
}

START_TEST(threads_change_no_bit)
{
	float *one = logits_of(1, 0, 200);
	static const int counts[] = { 2, 3, 5 };
	for (int i = 0; i < 3; i++) {
		float *more = logits_of(counts[i], 0, 200);
		ck_assert_mem_eq(one, more, sizeof *one * 320);
		free(more);
	}
	free(one);
}
END_TEST

START_TEST(passes_agree) /* and the cache grows on the way */
{
	float *whole = logits_of(2, 0, 200);
	static const int64_t ways[][2] = { { 64, 200 }, { 3, 200 }, { 0, 17 }, { 0, 1 } };
	for (int i = 0; i < 4; i++) {
		float *parts = logits_of(2, ways[i][0], ways[i][1]);
		double error = relative_l2(parts, whole, 320);
		ck_assert_msg(error <= TOLERANCE_FP32, "batch %lld, step %lld: %g", (long long)ways[i][0],
			(long long)ways[i][1], error);
		free(parts);
	}
	free(whole);
}
END_TEST

START_TEST(rewind_repeats_bits)
{
	struct loaded l = load("q4_0", PLUMB_OPTIONS(.driver = test_driver()), NULL);
	int32_t ids[] = { 5, 6, 7, 8, 9 };
	const float *logits;
	float first[320];
	int64_t rows;
	ck_good(plumb_session_eval(l.session, ids, 5, PLUMB_LOGITS_LAST));
	ck_good(plumb_session_logits(l.session, &logits, &rows));
	memcpy(first, logits, sizeof first);
	ck_good(plumb_session_rewind(l.session, 4));
	ck_good(plumb_session_eval(l.session, (int32_t[]){ 100 }, 1, PLUMB_LOGITS_LAST));
	ck_good(plumb_session_logits(l.session, &logits, &rows));
	ck_assert_mem_ne(logits, first, sizeof first);
	ck_good(plumb_session_rewind(l.session, 0));
	ck_good(plumb_session_eval(l.session, ids, 5, PLUMB_LOGITS_LAST));
	ck_good(plumb_session_logits(l.session, &logits, &rows));
	ck_assert_mem_eq(logits, first, sizeof first);
	ck_bad(plumb_session_rewind(l.session, 6), PLUMB_E_ARGUMENT, "6");
	ck_bad(plumb_session_rewind(l.session, -1), PLUMB_E_ARGUMENT, "-1");
	unload(&l);
}
END_TEST

static bool cancelled(void *user) { return atomic_load((atomic_int *)user) != 0; }

START_TEST(refusals_keep_the_session)
{
	atomic_int cancel = 0;
	struct loaded l = load("f32", PLUMB_OPTIONS(.driver = test_driver()),
		PLUMB_SESSION_OPTIONS(.context = 8, .cancel = cancelled, .cancel_user = &cancel));
	int32_t ids[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	const float *logits;
	int64_t rows;
	ck_bad(plumb_session_logits(l.session, &logits, &rows), PLUMB_E_ARGUMENT, "no logits");
	ck_good(plumb_session_eval(l.session, ids, 3, PLUMB_LOGITS_NONE));
	ck_bad(plumb_session_logits(l.session, &logits, &rows), PLUMB_E_ARGUMENT, "no logits");
	ck_bad(plumb_session_eval(l.session, ids, 6, PLUMB_LOGITS_LAST), PLUMB_E_LIMIT,
		"6 tokens after 3 held do not fit the context of 8");
	ck_bad(plumb_session_eval(l.session, ids, 0, PLUMB_LOGITS_LAST), PLUMB_E_ARGUMENT, "no tokens");
	ck_bad(plumb_session_eval(l.session, (int32_t[]){ 320 }, 1, PLUMB_LOGITS_LAST), PLUMB_E_ARGUMENT, "320");
	ck_bad(plumb_session_eval(l.session, (int32_t[]){ -1 }, 1, PLUMB_LOGITS_LAST), PLUMB_E_ARGUMENT, "-1");
	cancel = 1;
	ck_bad(plumb_session_eval(l.session, ids, 2, PLUMB_LOGITS_LAST), PLUMB_E_CANCELLED, "layer 0");
	cancel = 0;
	ck_assert_int_eq(plumb_session_position(l.session), 3);
	ck_good(plumb_session_eval(l.session, ids, 5, PLUMB_LOGITS_ALL));
	ck_good(plumb_session_logits(l.session, &logits, &rows));
	ck_assert_int_eq(rows, 5);
	unload(&l);
}
END_TEST

static const struct {
	struct plumb_session_options options;
	enum plumb_status status;
	const char *text;
} bad_sessions[] = {
	{ { .context = 8 }, PLUMB_E_ARGUMENT, "struct plumb_session_options: size is 0" },
	{ { .size = sizeof(struct plumb_session_options), .context = 257 }, PLUMB_E_ARGUMENT,
		"257 is not within the model's 256" },
	{ { .size = sizeof(struct plumb_session_options), .context = -1 }, PLUMB_E_ARGUMENT, "-1" },
	{ { .size = sizeof(struct plumb_session_options), .batch = -5 }, PLUMB_E_ARGUMENT, "-5" },
	{ { .size = sizeof(struct plumb_session_options), .kv_type = PLUMB_Q8_0 }, PLUMB_E_TYPE, "q8_0" },
};

START_TEST(session_options)
{
	struct loaded l = load("f32", PLUMB_OPTIONS(.driver = test_driver()), NULL);
	struct plumb_session *s;
	ck_bad(plumb_session_new(&s, l.model, &bad_sessions[_i].options), bad_sessions[_i].status,
		bad_sessions[_i].text);
	ck_assert_ptr_null(s);
	unload(&l);
}
END_TEST

/* --- the tap --- */

struct meddler {
	int layer;
	enum plumb_point point;
	enum plumb_status answer;
	int seen;
};

static enum plumb_status meddle(void *user, int layer, enum plumb_point point, struct plumb_tensor *t)
{
	struct meddler *m = user;
	m->seen++;
	if (layer != m->layer || point != m->point)
		return PLUMB_OK;
	int64_t n = plumb_tensor_count(t);
	float *zero = calloc((size_t)n, sizeof *zero);
	enum plumb_status s = m->answer ? m->answer : plumb_tensor_write(t, zero, sizeof *zero * (size_t)n);
	free(zero);
	return s;
}

START_TEST(tap_changes_what_follows)
{
	struct loaded l = load("f32", PLUMB_OPTIONS(.driver = test_driver()), NULL);
	int32_t ids[] = { 5, 6, 7 };
	const float *logits;
	float before[320];
	int64_t rows;
	ck_good(plumb_session_eval(l.session, ids, 3, PLUMB_LOGITS_LAST));
	ck_good(plumb_session_logits(l.session, &logits, &rows));
	memcpy(before, logits, sizeof before);
	/* Every point of a layer is written to; each must matter, so each is really what goes on. */
	for (int point = PLUMB_POINT_EMBEDDINGS; point < PLUMB_POINT_COUNT; point++) {
		if (!plumb_model_made(l.model, point))
			continue;
		struct meddler m = { point == PLUMB_POINT_EMBEDDINGS || point >= PLUMB_POINT_FINAL_NORM ? -1 : 1,
			(enum plumb_point)point, PLUMB_OK, 0 };
		ck_good(plumb_session_rewind(l.session, 0));
		plumb_session_tap(l.session, 1u << point, meddle, &m);
		ck_good(plumb_session_eval(l.session, ids, 3, PLUMB_LOGITS_LAST));
		ck_good(plumb_session_logits(l.session, &logits, &rows));
		ck_assert_msg(relative_l2(logits, before, 320) > 1e-4, "%s: writing it changes nothing",
			plumb_point_name(point));
		ck_assert_int_eq(m.seen, m.layer < 0 ? 1 : 3);
	}
	ck_assert_ptr_null(plumb_point_name(PLUMB_POINT_COUNT));
	unload(&l);
}
END_TEST

START_TEST(tap_ends_evaluation)
{
	struct loaded l = load("f32", PLUMB_OPTIONS(.driver = test_driver()), NULL);
	struct meddler m = { 1, PLUMB_POINT_ATTN_SOFTMAX, PLUMB_E_CANCELLED, 0 };
	int32_t id = 5;
	plumb_session_tap(l.session, PLUMB_POINTS_ALL, meddle, &m);
	ck_assert_int_eq(plumb_session_eval(l.session, &id, 1, PLUMB_LOGITS_LAST), PLUMB_E_CANCELLED);
	ck_assert_int_eq(plumb_session_position(l.session), 0);
	plumb_session_tap(l.session, 0, NULL, NULL);
	ck_good(plumb_session_eval(l.session, &id, 1, PLUMB_LOGITS_LAST));
	unload(&l);
}
END_TEST

START_TEST(placement_is_counted)
{
	struct loaded l = load("f32", PLUMB_OPTIONS(.driver = test_driver()), NULL);
	int32_t id = 5;
	ck_good(plumb_session_eval(l.session, &id, 1, PLUMB_LOGITS_LAST));
	ck_assert_uint_eq(plumb_placement(l.ctx, PLUMB_OP_matmul, 0), 3 * 7 + 1);
	ck_assert_uint_eq(plumb_placement(l.ctx, PLUMB_OP_rmsnorm, 0), 3 * 2 + 1);
	unload(&l);
}
END_TEST

START_TEST(no_memory_for_cache)
{
	struct loaded l = load(
		"f32", PLUMB_OPTIONS(.driver = test_driver(), .memory_limit = UINT64_C(64) << 20), NULL);
	struct plumb_tensor fill;
	uint64_t now, peak, limit;
	int32_t id = 1;
	plumb_memory(l.ctx, &now, &peak, &limit);
	ck_good(plumb_tensor_new(l.ctx, &fill, PLUMB_F32, 1, (int64_t[]){ (int64_t)(limit - now - 4096) / 4 }));
	float *zeros = calloc((size_t)plumb_tensor_count(&fill), sizeof *zeros);
	ck_good(
		plumb_tensor_write(&fill, zeros, plumb_tensor_bytes(&fill))); /* a driver may allocate no sooner */
	free(zeros);
	ck_bad(
		plumb_session_eval(l.session, &id, 1, PLUMB_LOGITS_LAST), PLUMB_E_LIMIT, "AR_HARDWARE_MEMORY_SCALE");
	ck_assert_int_eq(plumb_session_position(l.session), 0);
	plumb_tensor_free(&fill);
	ck_good(plumb_session_eval(l.session, &id, 1, PLUMB_LOGITS_LAST));
	unload(&l);
}
END_TEST

/* Sequences of different lengths in one pass give what each gives alone; a refused step changes no session.
 */
START_TEST(shared_step)
{
	struct loaded l = load(
		"f32", PLUMB_OPTIONS(.driver = test_driver()), PLUMB_SESSION_OPTIONS(.context = 8, .batch = 4));
	static const int32_t ids[] = { 5, 17, 3, 99, 42, 8, 7 },
						 more[][4] = { { 1, 2, 3, 4 }, { 30, 31, 32, 33 } };
	struct plumb_session *shared[4], *alone[4], *twice[2];
	const float *a, *b;
	int64_t rows, vocab = plumb_model_config(l.model)->vocab;
	for (int i = 0; i < 4; i++) {
		ck_good(plumb_session_new(&shared[i], l.model, PLUMB_SESSION_OPTIONS(.context = 8, .batch = 4)));
		ck_good(plumb_session_new(&alone[i], l.model, NULL));
		ck_good(plumb_session_eval(shared[i], ids + i, i + 1, PLUMB_LOGITS_NONE));
		ck_good(plumb_session_eval(alone[i], ids + i, i + 1, PLUMB_LOGITS_NONE));
	}
	for (int step = 0; step < 2; step++) {
		ck_good(plumb_sessions_step(shared, more[step], 4));
		for (int i = 0; i < 4; i++) {
			ck_good(plumb_session_eval(alone[i], &more[step][i], 1, PLUMB_LOGITS_LAST));
			ck_good(plumb_session_logits(alone[i], &a, &rows));
			ck_good(plumb_session_logits(shared[i], &b, &rows));
			ck_assert_int_eq(rows, 1);
			ck_assert_int_eq(plumb_session_position(shared[i]), i + 2 + step);
			ck_assert_msg(
				relative_l2(b, a, vocab) < TOLERANCE_FP32, "session %d: %g", i, relative_l2(b, a, vocab));
		}
	}
	twice[0] = twice[1] = shared[0];
	ck_bad(plumb_sessions_step(twice, more[0], 2), PLUMB_E_ARGUMENT, "the same");
	ck_bad(plumb_sessions_step(shared, (int32_t[]){ 1, 2, -3, 4 }, 4), PLUMB_E_ARGUMENT, "-3");
	ck_good(plumb_session_eval(shared[3], ids, 2, PLUMB_LOGITS_LAST)); /* full now */
	ck_bad(plumb_sessions_step(shared, more[0], 4), PLUMB_E_LIMIT, "do not fit");
	ck_assert_int_eq(plumb_session_position(shared[0]), 3);
	for (int i = 0; i < 4; i++) {
		plumb_session_free(shared[i]);
		plumb_session_free(alone[i]);
	}
	unload(&l);
}
END_TEST

#define LOOP(name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof(table) / sizeof *(table)))

/* All of it in the mode that is diagnosed and in the one that people run. */
static void set_exact(void) { setenv("PLUMB_MODE", "exact", 1); }
static void set_default(void) { setenv("PLUMB_MODE", "default", 1); }

static TCase *in_mode(const char *name, void (*set)(void))
{
	TCase *tc = tcase_create(name);
	tcase_set_timeout(tc, 240);
	tcase_add_checked_fixture(tc, set, NULL);
	LOOP(every_weight_type, models);
	LOOP(every_weight_type_portable, models);
	tcase_add_test(tc, half_cache);
	tcase_add_test(tc, threads_change_no_bit);
	tcase_add_test(tc, passes_agree);
	tcase_add_test(tc, shared_step);
	tcase_add_test(tc, rewind_repeats_bits);
	tcase_add_test(tc, refusals_keep_the_session);
	tcase_add_test(tc, tap_changes_what_follows);
	tcase_add_test(tc, tap_ends_evaluation);
	tcase_add_test(tc, placement_is_counted);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("model");
	TCase *tc = tcase_create("model");
	tcase_set_timeout(tc, 240);
	LOOP(every_weight_type_fp64, models);
	LOOP(session_options, bad_sessions);
	tcase_add_test(tc, no_memory_for_cache);
	suite_add_tcase(suite, tc);
	add_broken_tests(suite);
	add_file_tests(suite);
	add_zero_tests(suite);
	add_f16_tests(suite);
	suite_add_tcase(suite, in_mode("exact", set_exact));
	suite_add_tcase(suite, in_mode("default", set_default));
	return run_suite(suite);
}
