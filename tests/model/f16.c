/* SPDX-License-Identifier: Apache-2.0 */
/* Precision FP16: a model's values are those of the float64 truth rounded to float16 at every point, and who
 * first overflows is named. */
#include "made.h"
#include "model/model.h"

#define TOLERANCE 4e-3 /* doc/numerics.md, "FP16" */

static char heard[1024];
static int lines;

static void hear(void *user, const char *line)
{
	(void)user;
	lines++;
	snprintf(heard, sizeof heard, "%s", line);
}

struct run {
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_session *session;
};

static struct run open_tiny(const char *precision)
{
	struct run r;
	heard[0] = 0;
	lines = 0;
	ck_good(plumb_open(&r.ctx,
		PLUMB_OPTIONS(.driver = precision[2] == '6' ? "native" : test_driver(), .precision = precision,
			.mode = "exact", .notice = hear)));
	ck_good(plumb_model_load(&r.model, r.ctx, data_path("tiny-f32.gguf"), NULL, NULL));
	ck_good(plumb_session_new(&r.session, r.model, PLUMB_SESSION_OPTIONS(.batch = 8)));
	return r;
}

static void close_tiny(struct run *r)
{
	plumb_session_free(r->session);
	plumb_model_free(r->model);
	plumb_close(r->ctx);
}

/* What was shown, in order: of the truth, rounded before it goes on, then what a run in FP16 shows beside it.
 */
enum { MOST = 200 };
struct shown {
	int count, at;
	float *value[MOST];
	int64_t n[MOST];
	double worst;
	char where[64];
};

static enum plumb_status round_truth(void *user, int layer, enum plumb_point point, struct plumb_tensor *t)
{
	struct shown *s = user;
	(void)layer, (void)point;
	ck_assert_int_lt(s->count, MOST);
	s->n[s->count] = plumb_tensor_count(t);
	float *v = s->value[s->count] = malloc(sizeof *v * (size_t)s->n[s->count]);
	double *wide = plumb_host(t);
	ck_assert(t->type == PLUMB_F64);
	for (int64_t i = 0; i < s->n[s->count]; i++)
		wide[i] = v[i] = plumb_f16_to_f32(plumb_f32_to_f16((float)wide[i]));
	s->count++;
	return PLUMB_OK;
}

static enum plumb_status compare_half(void *user, int layer, enum plumb_point point, struct plumb_tensor *t)
{
	struct shown *s = user;
	int64_t n = plumb_tensor_count(t);
	float *have = malloc(sizeof *have * (size_t)n);
	ck_assert(s->at < s->count && n == s->n[s->at]);
	ck_good(plumb_tensor_read_f32(t, have, n));
	for (int64_t i = 0; i < n; i++)
		ck_assert_msg(
			have[i] == plumb_f16_to_f32(plumb_f32_to_f16(have[i])), "%g is no half", (double)have[i]);
	double error = relative_l2(have, s->value[s->at++], n);
	if (!(error <= s->worst)) {
		s->worst = error;
		snprintf(s->where, sizeof s->where, "L%d.%s", layer, plumb_point_name(point));
	}
	free(have);
	return PLUMB_OK;
}

static const int32_t ids[] = { 72, 73, 74, 5, 99, 1, 30, 31, 32, 7, 8 };

START_TEST(rounds_every_point)
{
	struct shown s = { 0 };
	struct run r = open_tiny("FP64");
	plumb_session_tap(r.session, PLUMB_POINTS_ALL, round_truth, &s);
	ck_good(plumb_session_eval(r.session, ids, 11, PLUMB_LOGITS_LAST));
	close_tiny(&r);
	r = open_tiny("FP16");
	plumb_session_tap(r.session, PLUMB_POINTS_ALL, compare_half, &s);
	ck_good(plumb_session_eval(r.session, ids, 11, PLUMB_LOGITS_LAST));
	ck_assert_int_eq(s.at, s.count);
	fprintf(
		stderr, "  FP16, tiny-f32: %d tensors, worst relative error %.3g at %s\n", s.count, s.worst, s.where);
	ck_assert_msg(s.worst <= TOLERANCE, "relative error %.3g at %s", s.worst, s.where);
	ck_assert(!plumb_session_overflow(r.session) && !lines);
	close_tiny(&r);
	while (s.count)
		free(s.value[--s.count]);
}
END_TEST

/* The tensor with memory of its own in which some values are another. */
static void spoil(struct run *r, struct plumb_tensor *t, int64_t first, int64_t n, float value)
{
	struct plumb_tensor mine;
	int64_t count = plumb_tensor_count(t);
	float *v = malloc(sizeof *v * (size_t)count);
	ck_good(plumb_tensor_read_f32(t, v, count));
	for (int64_t i = first; i < first + n; i++)
		v[i] = value;
	ck_good(plumb_tensor_new(r->ctx, &mine, PLUMB_F32, t->rank, t->dim));
	ck_good(plumb_tensor_write(&mine, v, sizeof *v * (size_t)count));
	free(v);
	plumb_tensor_free(t);
	*t = mine;
}

static void is_named(
	const struct plumb_session *session, const char *op, enum plumb_point point, int layer, int64_t position)
{
	const struct plumb_overflow *o = plumb_session_overflow(session);
	char text[128];
	ck_assert_ptr_nonnull(o);
	ck_assert_str_eq(o->op, op);
	ck_assert_msg(o->point == point && o->layer == layer && o->position == position && o->rows > 0,
		"%s of layer %d at %lld (%lld rows)", plumb_point_name(o->point), o->layer, (long long)o->position,
		(long long)o->rows);
	ck_assert(fabs(o->value) >= (double)PLUMB_F16_ENDS && isfinite(o->value));
	snprintf(text, sizeof text, "operator %s (%s), at position %lld", op, plumb_point_name(point),
		(long long)position);
	ck_assert_msg(lines == 1 && strstr(heard, text), "%d lines: %s", lines, heard);
	ck_assert(layer < 0 || strstr(heard, "in layer "));
}

START_TEST(overflow_of_a_token) /* in the second pass of 8 */
{
	struct run r = open_tiny("FP16");
	spoil(&r, &r.model->weights.embed, 32 * 64 + 3, 1, 70000);
	ck_good(plumb_session_eval(r.session, ids, 7, PLUMB_LOGITS_NONE));
	ck_assert(!plumb_session_overflow(r.session) && !lines);
	ck_good(plumb_session_rewind(r.session, 0));
	ck_good(plumb_session_eval(r.session, ids, 11, PLUMB_LOGITS_NONE));
	is_named(r.session, "embed", PLUMB_POINT_EMBEDDINGS, -1, 8);
	int64_t rows = plumb_session_overflow(r.session)->rows;
	ck_good(plumb_session_eval(r.session, &ids[8], 1, PLUMB_LOGITS_NONE)); /* counted, and not said again */
	ck_assert_int_gt(plumb_session_overflow(r.session)->rows, rows);
	is_named(r.session, "embed", PLUMB_POINT_EMBEDDINGS, -1, 8);
	close_tiny(&r);
}
END_TEST

START_TEST(overflow_in_a_layer)
{
	struct run r = open_tiny("FP16");
	spoil(&r, &r.model->weights.layer[1].ffn_norm, 0, 64, 3e6f);
	ck_good(plumb_session_eval(r.session, ids, 5, PLUMB_LOGITS_NONE));
	is_named(r.session, "rmsnorm", PLUMB_POINT_POST_ATTN_NORM, 1, 0);
	close_tiny(&r);
}
END_TEST

START_TEST(overflow_of_scores) /* inside of attention */
{
	struct run r = open_tiny("FP16");
	struct plumb_layer *w = &r.model->weights.layer[2];
	spoil(&r, &w->bq, 0, plumb_tensor_count(&w->bq), 3000);
	spoil(&r, &w->bk, 0, plumb_tensor_count(&w->bk), 3000);
	ck_good(plumb_session_eval(r.session, ids, 3, PLUMB_LOGITS_NONE));
	is_named(r.session, "attn_scores", PLUMB_POINT_ATTN_CONTEXT, 2, 0);
	close_tiny(&r);
}
END_TEST

START_TEST(overflow_of_the_head) /* which sees the last row alone */
{
	struct run r = open_tiny("FP16");
	spoil(&r, &r.model->weights.norm, 0, 64, 3e6f);
	ck_good(plumb_session_eval(r.session, ids, 7, PLUMB_LOGITS_NONE));
	ck_good(plumb_session_rewind(r.session, 0));
	ck_good(plumb_session_eval(r.session, ids, 7, PLUMB_LOGITS_LAST));
	is_named(r.session, "rmsnorm", PLUMB_POINT_FINAL_NORM, -1, 6);
	close_tiny(&r);
}
END_TEST

START_TEST(overflow_in_a_shared_step) /* is that sequence's own */
{
	struct run r = open_tiny("FP16");
	struct plumb_session *s[3];
	static const int32_t next[] = { 5, 32, 7 };
	spoil(&r, &r.model->weights.embed, 32 * 64 + 3, 1, 70000);
	for (int i = 0; i < 3; i++) {
		ck_good(plumb_session_new(&s[i], r.model, NULL));
		ck_good(plumb_session_eval(s[i], ids, i + 2, PLUMB_LOGITS_NONE));
	}
	ck_good(plumb_sessions_step(s, next, 3));
	ck_assert(!plumb_session_overflow(s[0]) && !plumb_session_overflow(s[2]));
	is_named(s[1], "embed", PLUMB_POINT_EMBEDDINGS, -1, 3);
	for (int i = 0; i < 3; i++)
		plumb_session_free(s[i]);
	close_tiny(&r);
}
END_TEST

void add_f16_tests(Suite *suite)
{
	TCase *tc = tcase_create("f16");
	tcase_add_test(tc, rounds_every_point);
	tcase_add_test(tc, overflow_of_a_token);
	tcase_add_test(tc, overflow_in_a_layer);
	tcase_add_test(tc, overflow_of_scores);
	tcase_add_test(tc, overflow_of_the_head);
	tcase_add_test(tc, overflow_in_a_shared_step);
	suite_add_tcase(suite, tc);
}
