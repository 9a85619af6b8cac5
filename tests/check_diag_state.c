/* SPDX-License-Identifier: Apache-2.0 */
/* What a diagnosis keeps: nothing half made after a failure, and nothing in the reference, which others may
 * be using. */
#include "diag_make.h"
#include "diag_part.h"
#include "model/model.h"

static const int32_t prompt[] = { 3, 147, 9, 234, 98, 197, 183, 112, 58, 97, 258 };
#define N ((int64_t)(sizeof prompt / sizeof *prompt))
static const char *const parts[] = { "convention", "trace", "growth", "components", "diverge", "stability",
	"blindspots", "fingerprint", "verdict" };
#define PARTS ((int)(sizeof parts / sizeof *parts))

static struct plumb_context *ctx;
static struct plumb_model *model;
static char dir[64];

static void setup(void)
{
	struct plumb_capture c = { .layers = 0 };
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_model_load(&model, ctx, data_path("tiny-f32.gguf"), NULL, NULL));
	struct plumb_run run = { .model = model,
		.tokens = prompt,
		.n = N,
		.last_layer = -1,
		.all_logits = true,
		.points = PLUMB_POINTS_ALL,
		.out = &c };
	ck_good(plumb_run_watched(&run));
	make_reference(dir, &c, 4, MAKE_RAW, true); /* of position 4; who tells nothing takes it for the last */
	plumb_capture_free(&c);
}

static void teardown(void)
{
	make_remove(dir);
	plumb_model_free(model);
	plumb_close(ctx);
}

struct stop {
	int after, heard;
};
static bool hear(void *user, const char *what, double done, double total)
{
	struct stop *s = user;
	(void)what, (void)done, (void)total;
	return s->after < 0 || s->heard++ < s->after;
}

static struct plumb_diag *diagnose(const struct plumb_reference *r, const char *fault, struct stop *stop)
{
	struct plumb_diag *d;
	ck_good(plumb_diag_new(&d, model, NULL, r,
		PLUMB_DIAG_OPTIONS(.tokens = prompt, .token_count = N, .layer = -1, .fault = fault,
			.progress = stop ? hear : NULL, .user = stop)));
	return d;
}

/* What an undisturbed diagnosis says. */
static void say_all(const struct plumb_reference *r, const char *fault, char *text[PARTS])
{
	struct plumb_diag *d = diagnose(r, fault, NULL);
	for (int i = 0; i < PARTS; i++)
		ck_good(plumb_diag_json(d, parts[i], &text[i]));
	plumb_diag_free(d);
}

static void drop_all(char *text[PARTS])
{
	for (int i = 0; i < PARTS; i++)
		free(text[i]);
}

/* Every part again: as it should be, or the same failure; returns how many were right. */
static int check_all(struct plumb_diag *d, char *want[PARTS], enum plumb_status allowed)
{
	int right = 0;
	for (int i = 0; i < PARTS; i++) {
		char *text;
		enum plumb_status s = plumb_diag_json(d, parts[i], &text);
		ck_assert_msg(!s || s == allowed, "%s: %s", parts[i], plumb_last_error());
		if (!s)
			ck_assert_msg(
				!strcmp(text, want[i]), "%s differs after a failure:\n%s\n%s", parts[i], text, want[i]);
		right += !s;
		free(text);
	}
	return right;
}

/* A budget from too small for anything to just too small for one run, then room: what was not complete is not
 * kept. */
START_TEST(after_a_limit)
{
	struct plumb_reference *r;
	char *want[PARTS];
	int none = 0;
	ck_good(plumb_reference_open(&r, dir, plumb_model_config(model)));
	say_all(r, "k_bias@1", want);
	uint64_t used = ctx->used, need = ctx->peak - used;
	for (uint64_t step = 0; step < 16; step++) {
		struct plumb_diag *d = diagnose(r, "k_bias@1", NULL);
		ctx->limit = used + need * step / 16;
		int right = check_all(d, want, PLUMB_E_LIMIT);
		none += right == 0;
		ctx->limit = 0;
		ck_assert_int_eq(check_all(d, want, PLUMB_OK), PARTS);
		plumb_diag_free(d);
	}
	ck_assert_int_gt(none, 0);
	drop_all(want);
	plumb_reference_free(r);
}
END_TEST

/* A model of the default mode has two runs, of which the second, with the points inside attention, needs
 * most: just below that the first is complete and the whole is not. */
START_TEST(the_second_run_fails)
{
	const struct plumb_capture *c;
	struct plumb_diag *d = diagnose(NULL, NULL, NULL);
	uint64_t used = ctx->used, low = 0, high;
	ck_good(plumb_diag_trusted(d, &c));
	high = ctx->peak - used;
	plumb_diag_free(d);
	while (high - low > 1) { /* the least that does */
		uint64_t middle = low + (high - low) / 2;
		d = diagnose(NULL, NULL, NULL);
		ctx->limit = used + middle;
		if (plumb_diag_trusted(d, &c))
			low = middle;
		else
			high = middle;
		plumb_diag_free(d);
	}
	d = diagnose(NULL, NULL, NULL);
	ctx->limit = used + low;
	for (int again = 0; again < 2; again++) {
		ck_bad(plumb_diag_trusted(d, &c), PLUMB_E_LIMIT, "AR_HARDWARE_MEMORY_SCALE");
		ck_assert_ptr_null(d->ours.captured);
	}
	ctx->limit = 0;
	ck_good(plumb_diag_trusted(d, &c));
	ck_assert_ptr_nonnull(plumb_capture_at(c, 1, PLUMB_POINT_ATTN_SCORES));
	plumb_diag_free(d);
}
END_TEST

/* A hook that fails in the run for the points inside attention, wherever the memory goes: nothing of the
 * first run stays. */
static enum plumb_status refuse(void *user, struct plumb_live *live)
{
	(void)user, (void)live;
	return plumb_fail(PLUMB_E_MEMORY, "refused");
}

START_TEST(nothing_of_a_failed_run)
{
	struct plumb_capture c = { .layers = 0 };
	struct plumb_run run = { .model = model,
		.tokens = prompt,
		.n = N,
		.last_layer = -1,
		.points = PLUMB_POINTS_ALL,
		.out = &c,
		.hook = { { 1u << PLUMB_POINT_ATTN_SCORES, refuse, NULL } },
		.hooks = 1 };
	ck_assert(plumb_model_inside(model) >> PLUMB_POINT_ATTN_SCORES & 1);
	ck_bad(plumb_run_as_used(&run), PLUMB_E_MEMORY, "refused");
	ck_assert_ptr_null(c.captured);
}
END_TEST

START_TEST(after_a_cancel)
{
	struct plumb_reference *r;
	char *want[PARTS];
	bool whole = false;
	ck_good(plumb_reference_open(&r, dir, plumb_model_config(model)));
	say_all(r, "scale", want);
	for (int after = 0; !whole && after < 200; after += 1 + after / 2) {
		struct stop stop = { after, 0 };
		struct plumb_diag *d = diagnose(r, "scale", &stop);
		check_all(d, want, PLUMB_E_CANCELLED);
		whole = stop.heard <= after;
		stop.after = -1;
		ck_assert_int_eq(check_all(d, want, PLUMB_OK), PARTS);
		plumb_diag_free(d);
	}
	ck_assert(whole);
	drop_all(want);
	plumb_reference_free(r);
}
END_TEST

/* Side by side, one after the other, of other tokens: a reference is what it was. */
START_TEST(two_on_one_reference)
{
	struct plumb_reference *r;
	char *want[PARTS], *problems, *after;
	int32_t others[N];
	ck_good(plumb_reference_open(&r, dir, plumb_model_config(model)));
	problems = plumb_reference_problems(r);
	say_all(r, NULL, want);
	ck_assert_ptr_nonnull(strstr(want[0], "\"move\": -6")); /* found, as nobody told it */
	memcpy(others, prompt, sizeof others);
	others[4] = 7;
	struct plumb_diag *a = diagnose(r, NULL, NULL), *b = diagnose(r, NULL, NULL), *c;
	ck_good(plumb_diag_new(
		&c, model, NULL, r, PLUMB_DIAG_OPTIONS(.tokens = others, .token_count = N, .layer = -1)));
	part(a, "convention");
	part(c, "verdict"); /* finds other tokens, which is a problem of this diagnosis alone */
	part(b, "convention");
	ck_assert_int_eq(check_all(a, want, PLUMB_OK), PARTS);
	ck_assert_int_eq(check_all(b, want, PLUMB_OK), PARTS);
	after = plumb_reference_problems(r);
	ck_assert_str_eq(problems, after);
	for (int layer = -1, point = -1; plumb_capture_next(&r->raw, &layer, &point);)
		ck_assert_int_eq(plumb_capture_at(&r->raw, layer, point)->first, 0);
	plumb_diag_free(a);
	plumb_diag_free(b);
	plumb_diag_free(c);
	free(problems);
	free(after);
	drop_all(want);
	plumb_reference_free(r);
}
END_TEST

/* A report says the blind spots in its verdict, and the verdict that is asked for by itself stays what it
 * was, as do all others. */
START_TEST(after_a_report)
{
	struct plumb_reference *r;
	char *want[PARTS];
	ck_good(plumb_reference_open(&r, dir, plumb_model_config(model)));
	say_all(r, "scale", want);
	struct plumb_diag *d = diagnose(r, "scale", NULL);
	ck_assert_int_eq(check_all(d, want, PLUMB_OK), PARTS);
	json_t *report = part(d, "report"), *blind = json_object_get(report, "blindspots");
	json_t *sentences = json_object_get(json_object_get(report, "verdict"), "sentences");
	ck_assert_str_eq(
		json_string_value(json_array_get(sentences, json_array_size(sentences) - 1)), word(blind, "text"));
	ck_assert_int_eq(check_all(d, want, PLUMB_OK), PARTS);
	plumb_diag_free(d);
	drop_all(want);
	plumb_reference_free(r);
}
END_TEST

/* A family whose table leaves out a point that its forward pass shows: that point is shown to nobody, so a
 * report has none of it, though the reference has. */
START_TEST(a_point_that_the_family_leaves_out)
{
	const unsigned all = model->points;
	struct plumb_reference *r = NULL;
	const struct plumb_capture *ours;
	ck_good(plumb_reference_open(&r, data_path("tiny-f32.safetensors"), plumb_model_config(model)));
	model->points &= ~(1u << _i);
	struct plumb_diag *d = diagnose(r, _i == PLUMB_POINT_K_PROJ ? "v_bias@1" : "k_bias@1", NULL);
	json_t *report = part(d, "report"), *value;
	const char *key;
	json_object_foreach(report, key, value)
		ck_assert_msg(!*word(value, "failed"), "%s: %s", key, word(value, "failed"));
	ck_good(plumb_diag_ours(d, &ours));
	for (int layer = -1, point = -1; plumb_capture_next(ours, &layer, &point);)
		ck_assert_int_ne(point, _i);
	plumb_diag_free(d);
	if (_i == PLUMB_POINT_K_PROJ)
		ck_bad(plumb_diag_new(&d, model, NULL, NULL,
				   PLUMB_DIAG_OPTIONS(.tokens = prompt, .token_count = N, .layer = -1, .fault = "k_bias")),
			PLUMB_E_ARGUMENT, "shows no k_proj");
	model->points = all;
	plumb_reference_free(r);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diag_state");
	TCase *tc = tcase_create("state");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, after_a_limit);
	tcase_add_test(tc, the_second_run_fails);
	tcase_add_test(tc, nothing_of_a_failed_run);
	tcase_add_test(tc, after_a_cancel);
	tcase_add_test(tc, two_on_one_reference);
	tcase_add_test(tc, after_a_report);
	tcase_add_loop_test(tc, a_point_that_the_family_leaves_out, 0, PLUMB_POINT_COUNT);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
