/* SPDX-License-Identifier: Apache-2.0 */
/* Captures and watched runs: what is captured is what the session computes, feeding isolates, a run stops
 * where it should. */
#include "suite.h"
#include "model/anatomy.h"
#include "diag/diag.h"

static struct plumb_context *ctx;
static struct plumb_model *model;
static const int32_t prompt[] = { 5, 17, 3, 99, 42, 8 };
#define N ((int64_t)(sizeof prompt / sizeof *prompt))

static void setup(void)
{
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_model_load(&model, ctx, data_path("tiny-f32.gguf"), NULL, NULL));
}

static void teardown(void)
{
	plumb_model_free(model);
	plumb_close(ctx);
}

static struct plumb_run fresh(struct plumb_capture *out)
{
	return (struct plumb_run){
		.model = model, .tokens = prompt, .n = N, .last_layer = -1, .points = PLUMB_POINTS_ALL, .out = out
	};
}

START_TEST(captures_what_the_session_gives)
{
	struct plumb_capture c = { 0 };
	struct plumb_run run = fresh(&c);
	struct plumb_session *session;
	const float *logits;
	int64_t rows;
	ck_good(plumb_run_watched(&run));
	ck_good(plumb_session_new(&session, model, NULL));
	ck_good(plumb_session_eval(session, prompt, N, PLUMB_LOGITS_LAST));
	ck_good(plumb_session_logits(session, &logits, &rows));
	const struct plumb_captured *p = plumb_capture_at(&c, -1, PLUMB_POINT_LOGITS);
	ck_assert(p && p->rows == 1 && p->first == N - 1);
	/* Looking at the scores makes the model run basic operators, so the bits may differ, not the numbers. */
	ck_assert(relative_l2(p->v, logits, p->width) < 1e-5);
	p = plumb_capture_at(&c, 0, PLUMB_POINT_ATTN_SOFTMAX);
	ck_assert(p && p->width == N && p->rows == N * plumb_model_config(model)->heads);
	ck_assert(p->v[0] == 1 && p->v[1] == 0);
	plumb_session_free(session);
	plumb_capture_free(&c);
}
END_TEST

/* The points of a layer that this model has. */
static int points_of_a_layer(int of[PLUMB_POINT_COUNT])
{
	int n = 0;
	for (int point = PLUMB_POINT_EMBEDDINGS + 1; point < PLUMB_POINT_FINAL_NORM; point++)
		if (plumb_model_made(model, point))
			of[n++] = point;
	return n;
}

START_TEST(visits_in_order_of_evaluation)
{
	struct plumb_capture c = { 0 };
	struct plumb_run run = fresh(&c);
	int of[PLUMB_POINT_COUNT], n = points_of_a_layer(of);
	int layer = -1, point = -1, seen = 0, layers = (int)plumb_model_config(model)->layers;
	ck_assert_int_eq(n, 17);
	ck_good(plumb_run_watched(&run));
	while (plumb_capture_next(&c, &layer, &point)) {
		if (!seen)
			ck_assert(layer == -1 && point == PLUMB_POINT_EMBEDDINGS);
		else if (seen <= layers * n) {
			ck_assert_int_eq(layer, (seen - 1) / n);
			ck_assert_int_eq(point, of[(seen - 1) % n]);
		} else
			ck_assert(layer == -1 && point >= PLUMB_POINT_FINAL_NORM);
		seen++;
	}
	ck_assert_int_eq(seen, layers * n + 3);
	plumb_capture_free(&c);
}
END_TEST

START_TEST(feeding_own_values_changes_nothing)
{
	struct plumb_capture a = { 0 }, b = { 0 };
	struct plumb_run run = fresh(&a);
	int layer = -1, point = -1;
	ck_good(plumb_run_watched(&run));
	run.out = &b;
	run.hook[run.hooks++] = (struct plumb_hook){ PLUMB_POINTS_ALL, plumb_hook_feed, &a };
	ck_good(plumb_run_watched(&run));
	while (plumb_capture_next(&a, &layer, &point)) {
		const struct plumb_captured *x = plumb_capture_at(&a, layer, point),
									*y = plumb_capture_at(&b, layer, point);
		ck_assert(y && x->rows == y->rows && x->width == y->width);
		ck_assert_mem_eq(x->v, y->v, sizeof *x->v * (size_t)(x->rows * x->width));
	}
	plumb_capture_free(&a);
	plumb_capture_free(&b);
}
END_TEST

START_TEST(feeding_isolates_a_layer)
{
	/* The reference's layer 0 is another one's: layer 0 then differs, layer 1 made from the fed input does
	 * not. */
	struct plumb_capture a = { 0 }, b = { 0 }, isolated = { 0 };
	struct plumb_run run = fresh(&a);
	struct plumb_captured *p;
	ck_good(plumb_run_watched(&run));
	run.out = &b;
	struct plumb_capture one = { 0 };
	ck_good(plumb_capture_new(&one, a.layers));
	ck_good(plumb_capture_put(&one, 0, PLUMB_POINT_OUTPUT, N, plumb_model_config(model)->hidden, 0, &p));
	for (int64_t i = 0; i < p->rows * p->width; i++)
		p->v[i] = plumb_capture_at(&a, 0, PLUMB_POINT_OUTPUT)->v[i] * 1.25f + 0.01f;
	run.hook[run.hooks++] = (struct plumb_hook){ 1u << PLUMB_POINT_OUTPUT, plumb_hook_feed, &one };
	ck_good(plumb_run_watched(&run)); /* b: a port whose layer 0 is wrong, as a reference */
	memcpy(plumb_capture_at(&b, 0, PLUMB_POINT_OUTPUT)->v, p->v, sizeof *p->v * (size_t)(p->rows * p->width));
	run.out = &isolated;
	run.hook[0].user = &b;
	ck_good(plumb_run_watched(&run));
	for (int layer = 0; layer < a.layers; layer++) {
		const struct plumb_captured *x = plumb_capture_at(&isolated, layer, PLUMB_POINT_OUTPUT),
									*y = plumb_capture_at(&b, layer, PLUMB_POINT_OUTPUT);
		double error = relative_l2(x->v, y->v, x->rows * x->width);
		ck_assert_msg(layer ? error == 0 : error > 0.1, "layer %d: %g", layer, error);
	}
	plumb_capture_free(&a);
	plumb_capture_free(&b);
	plumb_capture_free(&one);
	plumb_capture_free(&isolated);
}
END_TEST

START_TEST(stops_after_a_layer)
{
	struct plumb_capture c = { 0 };
	struct plumb_run run = fresh(&c);
	run.last_layer = 0;
	ck_good(plumb_run_watched(&run));
	ck_assert(plumb_capture_at(&c, 0, PLUMB_POINT_OUTPUT) != NULL);
	ck_assert(plumb_capture_at(&c, 1, PLUMB_POINT_INPUT_NORM) == NULL &&
		plumb_capture_at(&c, -1, PLUMB_POINT_LOGITS) == NULL);
	plumb_capture_free(&c);
}
END_TEST

START_TEST(common_rows)
{
	float v[12] = { 0 };
	const float *a, *b;
	int64_t n;
	struct plumb_captured all = { v, 6, 2, 0 }, last = { v, 1, 2, 5 }, beyond = { v, 1, 2, 6 },
						  wide = { v, 1, 3, 0 };
	ck_assert(plumb_captured_common(&all, &last, &a, &b, &n) && a == v + 10 && b == v && n == 2);
	ck_assert(!plumb_captured_common(&all, &beyond, &a, &b, &n) &&
		!plumb_captured_common(&all, &wide, &a, &b, &n) && !plumb_captured_common(&all, NULL, &a, &b, &n));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diag_run");
	TCase *tc = tcase_create("run");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, captures_what_the_session_gives);
	tcase_add_test(tc, visits_in_order_of_evaluation);
	tcase_add_test(tc, feeding_own_values_changes_nothing);
	tcase_add_test(tc, feeding_isolates_a_layer);
	tcase_add_test(tc, stops_after_a_layer);
	tcase_add_test(tc, common_rows);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
