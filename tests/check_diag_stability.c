/* SPDX-License-Identifier: Apache-2.0 */
/* Stability: ranges and sums against plain loops, planted NaN and overflow found where they are, and the fp16
 * plan carried out. The real model's figures are asked for in check_diag_model.c. */
#include "replant.h"

static const struct {
	const char *tensor;
	int64_t row, column;
	float value;
	int layer;
	const char *point, *op, *what;
	int64_t at[2];
	const char *cause;
} offenders[] = {
	{ "blk.1.ffn_down.weight", 9, 3, NAN, 1, "ffn_down", "matmul", "NaN", { 0, 9 },
		"blk.1.ffn_down.weight holds NaN at [9, 3]" },
	{ "blk.2.attn_norm.weight", 0, 17, INFINITY, 2, "input_norm", "rmsnorm", "infinity", { 0, 17 },
		"blk.2.attn_norm.weight holds infinity at [17]" },
	{ "blk.0.attn_k.bias", 0, 5, NAN, 0, "k_proj", "matmul", "NaN", { 0, 5 },
		"blk.0.attn_k.bias holds NaN at [5]" },
	{ "token_embd.weight", 250, 11, NAN, -1, "embeddings", "embed", "NaN", { 2, 11 },
		"token_embd.weight holds NaN at [250, 11]" },
	{ "output_norm.weight", 0, 63, NAN, -1, "final_norm", "rmsnorm", "NaN", { 0, 63 },
		"output_norm.weight holds NaN at [63]" },
	{ "blk.1.ffn_gate.weight", -1, 0, 1e36f, 1, "ffn_act", "swiglu", "", { 0, 0 },
		"inputs and weights are finite" },
};

START_TEST(first_offender)
{
	struct replant r = { .layers = 3,
		.sets = 1,
		.set = { { offenders[_i].tensor, offenders[_i].row, offenders[_i].column, offenders[_i].value } } };
	if (offenders[_i].row < 0) /* gate * up beyond float32, each below */
		r.set[r.sets++] = (struct replant_value){ "blk.1.ffn_up.weight", -1, 0, 1e6f };
	struct loaded l = load_planted(&r);
	json_t *s = part(l.diag, "stability"), *first = json_object_get(s, "first_offender");
	ck_assert_int_eq(whole(first, "layer"), offenders[_i].layer);
	ck_assert_str_eq(word(first, "point"), offenders[_i].point);
	ck_assert_str_eq(word(first, "operator"), offenders[_i].op);
	ck_assert(json_is_null(json_object_get(first, "value")));
	ck_says(word(first, "cause"), offenders[_i].cause);
	for (size_t i = 0; *offenders[_i].what && i < 2; i++)
		ck_assert_int_eq(
			json_integer_value(json_array_get(json_object_get(first, "index"), i)), offenders[_i].at[i]);
	ck_says(word(first, "what"), offenders[_i].what);
	ck_says(word(s, "text"), "The first value that is not finite");
	/* the other checks live with it */
	part(l.diag, "weights");
	part(l.diag, "biography");
	part(l.diag, "special");
	unload(&l);
}
END_TEST

START_TEST(nothing_wrong)
{
	struct loaded l = load(data_path("tiny-f32.gguf"), tokens, TOKENS);
	json_t *s = part(l.diag, "stability"), *row;
	const struct plumb_capture *c;
	size_t i;
	ck_assert(json_is_null(json_object_get(s, "first_offender")));
	ck_good(plumb_diag_ours(l.diag, &c));
	json_array_foreach(
		json_object_get(s, "points"), i, row) { /* against a plain loop; masked scores are -inf */
		int layer = whole(row, "layer"), point = 0;
		double low = INFINITY, high = -INFINITY;
		while (strcmp(plumb_point_name(point), word(row, "point")))
			point++;
		const struct plumb_captured *p = plumb_capture_at(c, layer, point);
		for (int64_t k = 0; k < p->rows * p->width; k++)
			if (p->v[k] != -INFINITY) {
				low = fmin(low, (double)p->v[k]);
				high = fmax(high, (double)p->v[k]);
			}
		ck_assert_double_eq(number(row, "min"), low);
		ck_assert_double_eq(number(row, "max"), high);
		ck_assert_int_eq(whole(row, "inf") + whole(row, "nan"), 0);
		ck_near(number(row, "fp16_bits"), log2(65504 / fmax(fabs(low), fabs(high))), 1e-12);
	}
	ck_assert_uint_eq(i, 3 + 3 * 17);
	json_array_foreach(json_object_get(json_object_get(s, "plan"), "fp16"), i, row)
		ck_assert_msg(!strcmp(word(row, "keep"), "fp16"), "%s: %s", word(row, "operator"), word(row, "why"));
	unload(&l);
}
END_TEST

START_TEST(sums_by_plain_loop)
{
	struct loaded l = load(data_path(_i ? "tiny-q5_0.gguf" : "tiny-f32.gguf"), tokens, TOKENS);
	json_t *sums = json_object_get(part(l.diag, "stability"), "accumulators");
	const struct plumb_file_tensor *t = plumb_file_find(plumb_model_file(l.model), "blk.1.ffn_down.weight");
	const struct plumb_capture *c;
	float w[HIDDEN * FFN];
	double norm = -1, worst = 0, squares = 0;
	int64_t row = 0;
	ck_good(plumb_diag_ours(l.diag, &c));
	const struct plumb_captured *x = plumb_capture_at(c, 1, PLUMB_POINT_FFN_ACT),
								*in = plumb_capture_at(c, 0, PLUMB_POINT_OUTPUT);
	ck_good(plumb_type_to_f32(t->type, t->data, w, HIDDEN * FFN));
	for (int64_t i = 0; i < TOKENS; i++) {
		double sum = 0, input = 0;
		for (int64_t k = 0; k < FFN; k++)
			sum += pow((double)x->v[i * FFN + k], 2);
		for (int64_t k = 0; k < HIDDEN; k++)
			input += pow((double)in->v[i * HIDDEN + k], 2);
		row = sum > norm ? i : row;
		norm = fmax(norm, sum);
		squares = fmax(squares, input);
	}
	for (int64_t j = 0; j < HIDDEN; j++) {
		double sum = 0;
		for (int64_t k = 0; k < FFN; k++)
			sum += fabs((double)w[j * FFN + k] * (double)x->v[row * FFN + k]);
		worst = fmax(worst, sum);
	}
	ck_near(number(row_of(sums, 1, "point", "ffn_down"), "worst_sum"), worst, 1e-6);
	ck_near(number(row_of(sums, 1, "point", "input_norm"), "worst_sum"), squares, 1e-6);
	unload(&l);
}
END_TEST

struct narrow {
	json_t *plan;
	bool infinite;
};

static enum plumb_status narrow_see(void *user, struct plumb_live *live)
{
	struct narrow *n = user;
	bool wide = n->plan &&
		!strcmp(word(row_of(n->plan, -2, "point", plumb_point_name((int)live->point)), "keep"), "float32");
	for (int64_t i = 0; i < live->rows * live->width; i++) {
		bool masked = live->point == PLUMB_POINT_ATTN_SCORES && live->v[i] == -INFINITY;
		live->v[i] = wide ? live->v[i] : plumb_f16_to_f32(plumb_f32_to_f16(live->v[i]));
		n->infinite |= !masked && !isfinite(live->v[i]);
	}
	live->changed = true;
	return PLUMB_OK;
}

/* What the plan lets be narrow (NULL: everything) is rounded to fp16 where it is made; true when all stays
 * finite. */
static bool finite_in_fp16(struct loaded *l, json_t *plan)
{
	struct narrow n = { plan, false };
	struct plumb_run run = plumb_diag_run(l->diag, true);
	run.hook[run.hooks++] = (struct plumb_hook){ PLUMB_POINTS_ALL, narrow_see, &n };
	ck_good(plumb_run_watched(&run));
	return !n.infinite;
}

/* A weight is scaled so that one product overflows fp16 and nothing else does. The keys' products with the
 * queries are sums, which are never seen from outside; values and what is mixed from them are. */
START_TEST(one_product_overflows)
{
	struct loaded l = load(data_path("tiny-f32.gguf"), tokens, TOKENS);
	json_t *s = part(l.diag, "stability"), *row;
	double k = number(row_of(json_object_get(s, "accumulators"), 1, "point", "attn_scores"), "worst_sum");
	json_t *v = row_of(json_object_get(s, "points"), 2, "point", "v_proj");
	float up = _i ? (float)(100000 / fmax(fabs(number(v, "min")), number(v, "max"))) : (float)(40000 / k);
	unload(&l);
	struct replant r = { .layers = 3, .sets = 2 };
	if (_i) {
		r.set[0] = (struct replant_value){ "blk.2.attn_v.weight", -1, 0, up };
		r.set[1] = (struct replant_value){ "blk.2.attn_v.bias", -1, 0, up };
		r.set[r.sets++] = (struct replant_value){ "blk.2.attn_output.weight", -1, 0, 1 / up };
	} else {
		r.set[0] = (struct replant_value){ "blk.1.attn_k.weight", -1, 0, up };
		r.set[1] = (struct replant_value){ "blk.1.attn_k.bias", -1, 0, up };
	}
	l = load_planted(&r);
	s = part(l.diag, "stability");
	size_t i;
	json_array_foreach(json_object_get(json_object_get(s, "plan"), "fp16"), i, row) {
		const char *point = word(row, "point");
		bool wide = !strcmp(word(row, "keep"), "float32"),
			 must = _i ? !strcmp(point, "v_proj") || !strcmp(point, "attn_context")
					   : !strcmp(point, "attn_scores");
		ck_assert_msg(
			wide == must, "%s: %s (%s)", word(row, "operator"), word(row, "keep"), word(row, "why"));
	}
	if (_i)
		ck_says(word(keep_of(s, "fp16", "v_proj"), "why"), "in layer 2; fp16 ends at 65504");
	else
		ck_says(word(keep_of(s, "fp16", "attn_scores"), "why"), "in layer 1; fp16 ends at 65504");
	if (_i)
		ck_assert(!finite_in_fp16(&l, NULL)); /* or this would show nothing */
	ck_assert(finite_in_fp16(&l, json_object_get(json_object_get(s, "plan"), "fp16")));
	json_array_foreach(json_object_get(json_object_get(s, "plan"), "bf16"), i, row)
		ck_assert_msg(strcmp(word(row, "keep"), "float32") || !strcmp(word(row, "point"), "attn_scores"),
			"%s", word(row, "why")); /* bf16 has the range */
	unload(&l);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diag_stability");
	TCase *tc = tcase_create("planted");
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, first_offender, 0, (int)(sizeof offenders / sizeof *offenders));
	tcase_add_test(tc, nothing_wrong);
	tcase_add_loop_test(tc, sums_by_plain_loop, 0, 2);
	tcase_add_loop_test(tc, one_product_overflows, 0, 2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
