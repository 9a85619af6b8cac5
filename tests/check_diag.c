/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict: never an alarm for an unbroken model, whatever the reference's precision and convention; the
 * right layer and role for a broken one. Runs on small random models; what the real model must show is in
 * check_diag_real.c. */
#include "diag_make.h"
#include "diag_opened.h"

static const char *const models[] = { "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "k" };
#define MODELS ((int)(sizeof models / sizeof *models))
static const struct {
	int64_t n;
	int64_t row;
	uint64_t seed;
} prompts[] = { { 1, 0, 7 }, { 11, 10, 3 }, { 9, 4, 5 } };
#define PROMPTS ((int)(sizeof prompts / sizeof *prompts))
_Static_assert(
	sizeof models / sizeof *models * MAKE_SOURCES * MAKE_LAYOUTS * (sizeof prompts / sizeof *prompts) >= 200,
	"too few unbroken cases");

struct loaded {
	struct plumb_context *ctx;
	struct plumb_model *model;
};

static struct loaded load(const char *type)
{
	struct loaded l;
	char name[64];
	snprintf(name, sizeof name, "tiny-%s.gguf", type);
	ck_good(plumb_open(&l.ctx, PLUMB_OPTIONS(.driver = test_driver())));
	ck_good(plumb_model_load(&l.model, l.ctx, data_path(name), NULL, NULL));
	return l;
}

static void unload(struct loaded *l)
{
	plumb_model_free(l->model);
	plumb_close(l->ctx);
}

static struct opened open_diag(struct plumb_model *model, const char *dir, const int32_t *tokens, int64_t n,
	int64_t row, const char *fault)
{
	struct opened o;
	ck_good(plumb_reference_open(&o.reference, dir, plumb_model_config(model)));
	if (row >= 0)
		o.reference->position = row;
	ck_good(plumb_diag_new(&o.diag, model, NULL, o.reference,
		PLUMB_DIAG_OPTIONS(.tokens = tokens, .token_count = n, .layer = -1, .fault = fault)));
	return o;
}

/* --- no false alarm --- */
static double worst_excess(struct opened *o, char *where, size_t size)
{
	const struct plumb_errors *e;
	double worst = 0;
	ck_good(plumb_diag_errors(o->diag, &e));
	for (int kind = 0; kind < PLUMB_GAP_KINDS; kind++)
		for (int layer = -1; layer < e->layers; layer++)
			for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
				const struct plumb_gap *gap = plumb_gap_at(e, (enum plumb_gap_kind)kind, layer, point);
				if (gap && gap->excess > worst) {
					worst = gap->excess;
					snprintf(where, size, "L%d.%s (%d)", layer, plumb_point_name(point), kind);
				}
			}
	return worst;
}

static double one_unbroken(struct plumb_model *model, const struct plumb_capture *c, const char *type,
	int prompt, int source, int layout, const int32_t *tokens)
{
	char dir[64], where[64] = "";
	bool fp32 = source == MAKE_FP64 || source == MAKE_PORTABLE,
		 raw = layout == MAKE_RAW || layout >= MAKE_ALL_POINTS;
	int want = !fp32 ? PLUMB_PRECISION : raw ? PLUMB_RIGHT : PLUMB_CONVENTION;
	make_reference(dir, c, prompts[prompt].row, layout, fp32);
	struct opened o = open_diag(
		model, dir, tokens, prompts[prompt].n, layout < MAKE_ALL_POINTS ? prompts[prompt].row : -1, NULL);
	json_t *verdict = part(o.diag, "verdict");
	double worst = worst_excess(&o, where, sizeof where);
	ck_assert_msg(json_integer_value(json_object_get(verdict, "code")) == want,
		"tiny-%s, prompt %d, %s, %s: %s (%s), not %d; worst %.3g at %s; convention %s", type, prompt,
		make_source_name[source], make_layout_name[layout], word(verdict, "word"), word(verdict, "text"),
		want, worst, where, word(part(o.diag, "convention"), "convention"));
	if (getenv("PLUMB_TEST_VERBOSE"))
		fprintf(stderr, "EXCESS %s %s %s prompt %d %.3f %s\n", make_source_name[source],
			make_layout_name[layout], type, prompt, worst, where);
	close_diag(&o);
	make_remove(dir);
	return worst;
}

START_TEST(no_false_alarm)
{
	const char *type = models[_i / MAKE_SOURCES];
	int source = _i % MAKE_SOURCES;
	struct loaded l = load(type);
	struct make_model m;
	char name[64];
	snprintf(name, sizeof name, "tiny-%s.gguf", type);
	make_open(&m, data_path(name), source);
	for (int prompt = 0; prompt < PROMPTS; prompt++) {
		struct plumb_capture c;
		int32_t tokens[16];
		make_tokens(tokens, prompts[prompt].n, plumb_model_config(l.model)->vocab, prompts[prompt].seed);
		make_values(&m, source, tokens, prompts[prompt].n, &c);
		for (int layout = 0; layout < MAKE_LAYOUTS; layout++)
			one_unbroken(l.model, &c, type, prompt, source, layout, tokens);
		plumb_capture_free(&c);
	}
	make_close(&m, source);
	unload(&l);
}
END_TEST

/* --- precision --- */
static const struct {
	float x;
	enum plumb_stored stored;
	float y;
} roundings[] = {
	{ 1.00390625f, PLUMB_STORED_BF16, 1 }, /* halfway, to even */
	{ 1.01171875f, PLUMB_STORED_BF16, 1.015625f },
	{ -1583.3f, PLUMB_STORED_BF16, -1584 },
	{ 1.00048828125f, PLUMB_STORED_FP16, 1 },
	{ 65519, PLUMB_STORED_FP16, 65504 },
	{ 70000, PLUMB_STORED_FP16, INFINITY },
	{ 1.1f, PLUMB_STORED_FP32, 1.1f },
};

START_TEST(rounds)
{
	ck_assert(plumb_round_to(roundings[_i].stored, roundings[_i].x) == roundings[_i].y);
}
END_TEST

/* A reference of `source` and `layout` for tiny-f32, opened; fault is put into the run that is judged. */
static struct opened prepare(struct loaded *l, enum make_source source, enum make_layout layout, int64_t n,
	const char *fault, char dir[64], struct plumb_capture *c)
{
	static int32_t tokens[16];
	struct make_model m;
	*l = load("f32");
	make_tokens(tokens, n, plumb_model_config(l->model)->vocab, 3);
	make_open(&m, data_path("tiny-f32.gguf"), source);
	make_values(&m, source, tokens, n, c);
	make_close(&m, source);
	make_reference(dir, c, n - 1, layout, source <= MAKE_PORTABLE);
	return open_diag(l->model, dir, tokens, n, layout < MAKE_ALL_POINTS ? n - 1 : -1, fault);
}

static void finish(struct loaded *l, struct opened *o, const char *dir, struct plumb_capture *c)
{
	close_diag(o);
	make_remove(dir);
	plumb_capture_free(c);
	unload(l);
}

static const struct {
	enum make_source source;
	const char *stored;
	double least, most;
	bool late;
} storages[] = {
	{ MAKE_FP64, "fp32", 1e-7, 1e-4, false },
	{ MAKE_BF16_RUN, "fp32-from-bf16", 2e-3, 0.3, false },
	{ MAKE_FP16_RUN, "fp32-from-fp16", 2e-4, 0.04, false },
	{ MAKE_BF16_FILES, "fp32-from-bf16", 2e-3, 0.3, true },
};

START_TEST(tells_the_precision)
{
	char dir[64];
	struct loaded l;
	struct plumb_capture c;
	struct opened o = prepare(&l, storages[_i].source, MAKE_RAW, 11, NULL, dir, &c);
	json_t *p = part(o.diag, "precision");
	double blind = json_number_value(json_object_get(p, "blind_below"));
	ck_assert_str_eq(word(p, "stored"), storages[_i].stored);
	ck_assert_msg(blind > storages[_i].least && blind < storages[_i].most, "blind below %g", blind);
	ck_assert_int_eq(json_array_size(json_object_get(p, "floor")), 3);
	ck_assert_int_eq(json_is_true(json_object_get(p, "rounded_at_the_end")), storages[_i].late);
	finish(&l, &o, dir, &c);
}
END_TEST

START_TEST(twin_repeats_itself)
{
	char dir[64];
	struct loaded l;
	struct plumb_capture c, a = { .layers = 0 }, b = { .layers = 0 };
	const struct plumb_capture *first;
	struct opened o = prepare(&l, MAKE_BF16_RUN, MAKE_RAW, 5, NULL, dir, &c);
	int layer = -1, point = -1, differ = 0;
	ck_good(plumb_diag_control(o.diag, &first));
	ck_good(plumb_control_run(o.diag, 0, PLUMB_POINTS_ALL, &a));
	ck_good(plumb_control_run(o.diag, 1, PLUMB_POINTS_ALL, &b));
	while (plumb_capture_next(&a, &layer, &point)) {
		const struct plumb_captured *p = plumb_capture_at(first, layer, point),
									*q = plumb_capture_at(&a, layer, point),
									*r = plumb_capture_at(&b, layer, point);
		ck_assert_mem_eq(p->v, q->v, sizeof *p->v * (size_t)(p->rows * p->width));
		differ += memcmp(p->v, r->v, sizeof *p->v * (size_t)(p->rows * p->width)) != 0;
	}
	ck_assert_int_gt(differ, 40); /* another draw is another run */
	plumb_capture_free(&a);
	plumb_capture_free(&b);
	finish(&l, &o, dir, &c);
}
END_TEST

/* --- broken ports --- */
START_TEST(roles)
{
	char dir[64];
	struct loaded l;
	struct plumb_capture c;
	struct opened o = prepare(&l, MAKE_FP64, MAKE_RAW, 11, "v_bias@1", dir, &c);
	static const char *const role[] = { "clean", "culprit", "victim" };
	json_t *growth = part(o.diag, "growth"), *isolate = part(o.diag, "isolate"),
		   *verdict = part(o.diag, "verdict"), *row;
	size_t i;
	ck_assert_int_eq(json_array_size(json_object_get(growth, "layers")), 3);
	json_array_foreach(json_object_get(growth, "layers"), i, row)
		ck_assert_str_eq(word(row, "role"), role[i]);
	json_array_foreach(json_object_get(isolate, "layers"), i, row) {
		ck_assert_int_eq(json_is_true(json_object_get(row, "ok")), i != 1);
		ck_assert_str_eq(word(row, "input"), "hybrid");
	}
	ck_assert_int_eq(json_integer_value(json_object_get(verdict, "code")), PLUMB_DIVERGES);
	ck_assert_int_eq(json_integer_value(json_object_get(verdict, "layer")), 1);
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(part(o.diag, "diverge"), "first"), "layer")), 1);
	ck_assert_msg(
		strstr(word(verdict, "text"), "Layer 1") == word(verdict, "text"), "%s", word(verdict, "text"));
	finish(&l, &o, dir, &c);
}
END_TEST

/* Where the file of the last layer is already normed, that layer is judged through the norm, and the norm by
 * itself. */
START_TEST(last_layer_through_the_norm)
{
	char dir[64];
	struct loaded l;
	struct plumb_capture c;
	struct opened o = prepare(&l, MAKE_FP64, MAKE_NORMED, 11, _i ? "final_norm" : "v_bias@2", dir, &c);
	json_t *last = json_array_get(json_object_get(part(o.diag, "growth"), "layers"), 2),
		   *verdict = part(o.diag, "verdict");
	ck_assert_str_eq(word(last, "convention"), "final-normed");
	ck_assert_str_eq(word(last, "role"), _i ? "clean" : "culprit");
	ck_assert_int_eq(json_integer_value(json_object_get(verdict, "code")), PLUMB_DIVERGES);
	if (_i)
		ck_assert_str_eq(word(verdict, "point"), "final_norm");
	else
		ck_assert_int_eq(json_integer_value(json_object_get(verdict, "layer")), 2);
	finish(&l, &o, dir, &c);
}
END_TEST

static const struct {
	const char *fault, *point;
} components[] = {
	{ "q_bias@0", "q_proj" },
	{ "k_bias@2", "k_proj" },
	{ "v_bias@1", "v_proj" },
	{ "rope_pairs@1", "q_rope" },
	{ "mask@0", "attn_scores" },
	{ "scale@1", "attn_scores" },
	{ "swiglu_order@2", "ffn_act" },
	{ "activation@1", "ffn_act" },
	{ "attn_residual@1", "attn_residual" },
	{ "final_norm", "final_norm" },
};

START_TEST(finds_the_component)
{
	char dir[64];
	struct loaded l;
	struct plumb_capture c;
	struct opened o = prepare(&l, MAKE_PORTABLE, MAKE_ALL_POINTS, 9, components[_i].fault, dir, &c);
	json_t *bad = json_object_get(part(o.diag, "components"), "first_bad"),
		   *verdict = part(o.diag, "verdict");
	const char *at = strchr(components[_i].fault, '@');
	const json_t *rows = json_object_get(part(o.diag, "components"), "layers");
	size_t of_head = json_array_size(json_object_get(json_array_get(rows, 3), "points"));
	ck_assert_uint_eq(json_array_size(rows), 4); /* three layers, each once, and what is outside of them */
	ck_assert_uint_eq(of_head, 3);               /* embeddings, final norm, logits */
	ck_assert_str_eq(word(bad, "point"), components[_i].point);
	ck_assert_int_eq(json_integer_value(json_object_get(bad, "layer")), at ? atoi(at + 1) : -1);
	ck_assert_str_eq(word(verdict, "point"), components[_i].point);
	ck_assert_int_eq(json_integer_value(json_object_get(verdict, "code")), PLUMB_DIVERGES);
	finish(&l, &o, dir, &c);
}
END_TEST

/* --- references that are not what they should be --- */
START_TEST(other_tokens)
{
	char dir[64];
	struct loaded l;
	struct plumb_capture c;
	struct opened o = prepare(&l, MAKE_FP64, MAKE_RAW, 1, NULL, dir, &c), wrong;
	int32_t other = o.diag->tokens[0] ? 0 : 1;
	wrong = open_diag(l.model, dir, &other, 1, 0, NULL);
	json_t *verdict = part(wrong.diag, "verdict");
	ck_assert_msg(
		json_integer_value(json_object_get(verdict, "code")) == PLUMB_UNUSABLE, "%s", word(verdict, "text"));
	ck_assert_ptr_nonnull(strstr(word(verdict, "text"), "other tokens"));
	close_diag(&wrong);
	finish(&l, &o, dir, &c);
}
END_TEST

START_TEST(a_missing_layer_is_told)
{
	char dir[64], path[128];
	struct loaded l;
	struct plumb_capture c;
	struct opened o = prepare(&l, MAKE_FP64, MAKE_RAW, 11, NULL, dir, &c), less;
	snprintf(path, sizeof path, "%s/after_layer_1.bin", dir);
	unlink(path);
	less = open_diag(l.model, dir, o.diag->tokens, 11, 10, NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(part(less.diag, "verdict"), "code")), PLUMB_RIGHT);
	ck_assert_int_gt(less.reference->problems.n, 0);
	close_diag(&less);
	less = open_diag(l.model, dir, o.diag->tokens, 11, 10, "v_bias@1");
	json_t *verdict = part(less.diag, "verdict");
	ck_assert_int_eq(json_integer_value(json_object_get(verdict, "code")), PLUMB_DIVERGES);
	ck_assert_int_eq(json_integer_value(json_object_get(verdict, "layer")),
		1); /* the trusted run shows what the reference cannot */
	close_diag(&less);
	finish(&l, &o, dir, &c);
}
END_TEST

START_TEST(holes_in_a_reference_are_no_error)
{
	char dir[64];
	struct loaded l;
	struct plumb_capture c;
	struct opened o = prepare(&l, MAKE_FP64, MAKE_ALL_POINTS, 9, NULL, dir, &c), holed;
	plumb_capture_at(&c, 1, PLUMB_POINT_FFN_GATE)->v[5] = NAN;
	plumb_capture_at(&c, 2, PLUMB_POINT_OUTPUT)->v[64] = INFINITY;
	make_tensors(dir, &c, PLUMB_POINTS_ALL);
	holed = open_diag(l.model, dir, o.diag->tokens, 9, -1, NULL);
	json_t *verdict = part(holed.diag, "verdict");
	ck_assert_msg(
		json_integer_value(json_object_get(verdict, "code")) == PLUMB_RIGHT, "%s", word(verdict, "text"));
	ck_assert_int_gt(holed.reference->problems.n, 0);
	close_diag(&holed);
	finish(&l, &o, dir, &c);
}
END_TEST

#define LOOP(name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof(table) / sizeof *(table)))
int main(void)
{
	Suite *suite = suite_create("diag");
	TCase *tc = tcase_create("diag");
	tcase_set_timeout(tc, 600);
	LOOP(rounds, roundings);
	LOOP(tells_the_precision, storages);
	tcase_add_test(tc, twin_repeats_itself);
	tcase_add_test(tc, roles);
	tcase_add_loop_test(tc, last_layer_through_the_norm, 0, 2);
	LOOP(finds_the_component, components);
	tcase_add_test(tc, other_tokens);
	tcase_add_test(tc, a_missing_layer_is_told);
	tcase_add_test(tc, holes_in_a_reference_are_no_error);
	tcase_add_loop_test(tc, no_false_alarm, 0, MODELS * MAKE_SOURCES);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
