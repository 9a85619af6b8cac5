/* SPDX-License-Identifier: Apache-2.0 */
/* The porting bugs in a model that has every bias, in bfloat16, scaled RoPE, and values narrower than keys:
 * each acts, the parameter
 * that is right is none, and what a bias takes away is the file's bias. */
#include <unistd.h>
#include "diag/diag.h"
#include "../model/made.h"
#include "forms.h"

#define N 7
static const int32_t prompt[N] = { 3, 47, 12, 0, 31, 8, 20 };
static const struct made form = {
	.name = "all", .key = 8, .value = 3, .biases = 255, .vectors = PLUMB_BF16, .factor = 4, .turns = 4
};
static struct made_model numbers;
static struct plumb_context *ctx;
static struct plumb_model *model;
static struct plumb_capture clean;

static void capture(struct plumb_capture *c, const char *fault)
{
	struct plumb_fault f;
	struct plumb_run run = { .model = model,
		.tokens = prompt,
		.n = N,
		.last_layer = -1,
		.all_logits = true,
		.points = PLUMB_POINTS_ALL,
		.out = c };
	memset(c, 0, sizeof *c);
	if (fault) {
		ck_good(plumb_fault_parse(&f, fault, plumb_model_config(model)));
		run.fault = &f;
	}
	ck_good(plumb_run_watched(&run));
}

static void setup(void)
{
	char path[64];
	made_write(&form, &numbers, path);
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_model_load(&model, ctx, path, NULL, NULL));
	unlink(path);
	capture(&clean, NULL);
}

static void teardown(void)
{
	plumb_capture_free(&clean);
	plumb_model_free(model);
	plumb_close(ctx);
}

static double differs(const struct plumb_capture *c, int layer, int point)
{
	const struct plumb_captured *x = plumb_capture_at(c, layer, point),
								*y = plumb_capture_at(&clean, layer, point);
	ck_assert(x && y && x->rows == y->rows && x->width == y->width);
	return relative_l2(x->v, y->v, x->rows * x->width);
}

/* Those of other families: check_diag_family.c. */
START_TEST(every_bug_acts)
{
	struct plumb_capture faulty;
	struct plumb_fault fault;
	const enum plumb_status s = plumb_fault_make(&fault, plumb_fault_at(_i), -1, plumb_model_config(model));
	if (s || plumb_fault_fits(plumb_fault_at(_i), model)) {
		ck_assert(!strstr(plumb_fault_at(_i)->name, "_bias"));
		return;
	}
	capture(&faulty, plumb_fault_at(_i)->name);
	double by = differs(&faulty, -1, PLUMB_POINT_LOGITS);
	ck_assert_msg(!(by <= 1e-6), "%s: %g", plumb_fault_at(_i)->name, by);
	plumb_capture_free(&faulty);
}
END_TEST

START_TEST(right_parameters)
{
	static const char *const right[] = { "rope_base=100", "eps=9.99999974737875e-06" };
	struct plumb_capture faulty;
	capture(&faulty, right[_i]);
	double by = differs(&faulty, -1, PLUMB_POINT_LOGITS);
	ck_assert_msg(by < 1e-6, "%s: %g", right[_i], by);
	plumb_capture_free(&faulty);
}
END_TEST

static const struct {
	const char *fault;
	int point, matrix;
} lacking[] = {
	{ "q_bias@1", PLUMB_POINT_Q_PROJ, MADE_Q },
	{ "k_bias@1", PLUMB_POINT_K_PROJ, MADE_K },
	{ "v_bias@1", PLUMB_POINT_V_PROJ, MADE_V },
	{ "o_bias@1", PLUMB_POINT_ATTN_OUT, MADE_O },
	{ "gate_bias@1", PLUMB_POINT_FFN_GATE, MADE_GATE },
	{ "up_bias@1", PLUMB_POINT_FFN_UP, MADE_UP },
	{ "down_bias@1", PLUMB_POINT_FFN_DOWN, MADE_DOWN },
	{ "logit_bias", PLUMB_POINT_LOGITS, MADE_MATRICES },
};

START_TEST(a_bias_is_the_files)
{
	struct plumb_capture faulty;
	int layer = lacking[_i].matrix < MADE_MATRICES ? 1 : -1;
	const double *bias = layer < 0 ? numbers.output_bias : numbers.layer[1].b[lacking[_i].matrix];
	capture(&faulty, lacking[_i].fault);
	const struct plumb_captured *x = plumb_capture_at(&faulty, layer, lacking[_i].point);
	const struct plumb_captured *y = plumb_capture_at(&clean, layer, lacking[_i].point);
	for (int64_t i = 0; i < x->rows * x->width; i++)
		ck_assert_msg(
			fabs(x->v[i] + bias[i % x->width] - y->v[i]) < 1e-5, "%s: value %d", lacking[_i].fault, (int)i);
	plumb_capture_free(&faulty);
}
END_TEST

/* The last position sees all keys anyway: with values of their own width its context stays. */
START_TEST(mask_of_narrow_values)
{
	struct plumb_capture faulty;
	capture(&faulty, "mask@0");
	const struct plumb_captured *x = plumb_capture_at(&faulty, 0, PLUMB_POINT_ATTN_CONTEXT);
	const struct plumb_captured *y = plumb_capture_at(&clean, 0, PLUMB_POINT_ATTN_CONTEXT);
	ck_assert_int_eq(x->width, MADE_HEADS * 3);
	ck_assert(relative_l2(x->v + (N - 1) * x->width, y->v + (N - 1) * x->width, x->width) < 1e-6);
	ck_assert(relative_l2(x->v, y->v, x->width) > 1e-3);
	plumb_capture_free(&faulty);
}
END_TEST

void add_diag_forms(Suite *suite)
{
	TCase *tc = tcase_create("forms");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, every_bug_acts, 0, plumb_fault_count());
	tcase_add_loop_test(tc, right_parameters, 0, 2);
	tcase_add_loop_test(tc, a_bias_is_the_files, 0, sizeof lacking / sizeof *lacking);
	tcase_add_test(tc, mask_of_narrow_values);
	suite_add_tcase(suite, tc);
}
