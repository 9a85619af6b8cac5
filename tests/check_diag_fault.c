/* SPDX-License-Identifier: Apache-2.0 */
/* The library of porting bugs on the small model: each changes its point and nothing before it, is what it
 * says it is, is found by the fingerprint; and what a reference of one token cannot notice. */
#include <jansson.h>
#include <unistd.h>
#include "suite.h"
#include "diag/diag.h"
#include "diag/forms.h"

static struct plumb_context *ctx;
static struct plumb_model *model;
static const struct plumb_config *config;
static const int32_t prompt[] = { 3, 147, 9, 234, 98, 197, 183, 112, 58, 97, 258 };
#define N ((int64_t)(sizeof prompt / sizeof *prompt))

static void setup(void)
{
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_model_load(&model, ctx, data_path("tiny-f32.gguf"), NULL, NULL));
	config = plumb_model_config(model);
}

static void teardown(void)
{
	plumb_model_free(model);
	plumb_close(ctx);
}

static void capture(struct plumb_capture *c, const char *fault, int64_t n)
{
	struct plumb_fault f;
	struct plumb_run run = { .model = model,
		.tokens = prompt,
		.n = n,
		.last_layer = -1,
		.all_logits = true,
		.points = PLUMB_POINTS_ALL,
		.out = c };
	*c = (struct plumb_capture){ .layers = 0 };
	if (fault) {
		ck_good(plumb_fault_parse(&f, fault, config));
		run.fault = &f;
	}
	ck_good(plumb_run_watched(&run));
}

static double differs(const struct plumb_capture *a, const struct plumb_capture *b, int layer, int point)
{
	const struct plumb_captured *x = plumb_capture_at(a, layer, point),
								*y = plumb_capture_at(b, layer, point);
	ck_assert(x && y && x->rows == y->rows && x->width == y->width);
	return relative_l2(x->v, y->v, x->rows * x->width);
}

/* Where each acts first, and after which place everything may change. */
static const struct {
	const char *text;
	int layer, point;
} acts[] = {
	{ "rope_base", 0, PLUMB_POINT_Q_ROPE },
	{ "rope_base@2=500", 2, PLUMB_POINT_Q_ROPE },
	{ "rope_pairs@1", 1, PLUMB_POINT_Q_ROPE },
	{ "q_bias@1", 1, PLUMB_POINT_Q_PROJ },
	{ "k_bias@2", 2, PLUMB_POINT_K_PROJ },
	{ "v_bias", 0, PLUMB_POINT_V_PROJ },
	{ "kv_heads@1", 1, PLUMB_POINT_ATTN_SCORES },
	{ "mask", 0, PLUMB_POINT_ATTN_SCORES },
	{ "scale@2", 2, PLUMB_POINT_ATTN_SCORES },
	{ "cache_slot@1", 1, PLUMB_POINT_ATTN_SCORES },
	{ "attn_residual@1", 1, PLUMB_POINT_ATTN_RESIDUAL },
	{ "eps@1=1e-3", 1, PLUMB_POINT_INPUT_NORM },
	{ "swiglu_order@2", 2, PLUMB_POINT_FFN_ACT },
	{ "activation", 0, PLUMB_POINT_FFN_ACT },
	{ "final_norm", -1, PLUMB_POINT_FINAL_NORM },
	{ "layer_order@1", 1, PLUMB_POINT_INPUT_NORM },
	{ "layer_order", 1, PLUMB_POINT_INPUT_NORM },
};

START_TEST(acts_there_and_downstream)
{
	struct plumb_capture clean, faulty, again;
	int layer = -1, point = -1;
	bool reached = false;
	capture(&clean, NULL, N);
	capture(&faulty, acts[_i].text, N);
	capture(&again, acts[_i].text, N);
	while (plumb_capture_next(&clean, &layer, &point)) {
		const struct plumb_captured *x = plumb_capture_at(&clean, layer, point),
									*y = plumb_capture_at(&faulty, layer, point);
		size_t bytes = sizeof *x->v * (size_t)(x->rows * x->width);
		bool here = layer == acts[_i].layer && point == acts[_i].point;
		if (here)
			ck_assert_msg(
				!(differs(&faulty, &clean, layer, point) <= 1e-5), /* NaN: a mask that is not there */
				"%s changes nothing", acts[_i].text);
		reached |= here;
		if (!reached)
			ck_assert_msg(!memcmp(x->v, y->v, bytes), "%s changes layer %d %s, too", acts[_i].text, layer,
				plumb_point_name(point));
		ck_assert_mem_eq(y->v, plumb_capture_at(&again, layer, point)->v, bytes);
	}
	ck_assert(reached);
	ck_assert(differs(&faulty, &clean, -1, PLUMB_POINT_LOGITS) > 1e-6);
	plumb_capture_free(&faulty);
	capture(&faulty, NULL, N); /* and nothing of it stays */
	ck_assert(differs(&faulty, &clean, -1, PLUMB_POINT_LOGITS) == 0);
	plumb_capture_free(&clean);
	plumb_capture_free(&faulty);
	plumb_capture_free(&again);
}
END_TEST

START_TEST(right_parameter_is_no_fault)
{
	struct plumb_capture clean, faulty;
	char text[2][64];
	snprintf(text[0], sizeof text[0], "rope_base=%.17g", config->kind[0].rope_base);
	snprintf(text[1], sizeof text[1], "eps=%.17g", config->norm_eps);
	capture(&clean, NULL, N);
	for (int i = 0; i < 2; i++) {
		capture(&faulty, text[i], N);
		ck_assert_msg(differs(&faulty, &clean, -1, PLUMB_POINT_LOGITS) < 1e-6, "%s: %g", text[i],
			differs(&faulty, &clean, -1, PLUMB_POINT_LOGITS));
		plumb_capture_free(&faulty);
	}
	plumb_capture_free(&clean);
}
END_TEST

/* What the attention bugs leave as it is: rows of position and head. */
START_TEST(attention_bugs_are_what_they_say)
{
	struct plumb_capture clean, open, heads, late;
	int64_t d = config->head_dim, width = config->heads * d;
	capture(&clean, NULL, N);
	capture(&open, "mask@0", N);
	capture(&heads, "kv_heads@0", N);
	capture(&late, "cache_slot@0", N);
	const float *c = plumb_capture_at(&clean, 0, PLUMB_POINT_ATTN_CONTEXT)->v,
				*o = plumb_capture_at(&open, 0, PLUMB_POINT_ATTN_CONTEXT)->v;
	const float *h = plumb_capture_at(&heads, 0, PLUMB_POINT_ATTN_CONTEXT)->v,
				*l = plumb_capture_at(&late, 0, PLUMB_POINT_ATTN_CONTEXT)->v;
	const float *p = plumb_capture_at(&open, 0, PLUMB_POINT_ATTN_SOFTMAX)->v,
				*v = plumb_capture_at(&clean, 0, PLUMB_POINT_V_PROJ)->v;
	/* The last position sees all keys anyway; the first sees later ones now. */
	ck_assert(relative_l2(o + (N - 1) * width, c + (N - 1) * width, width) < 1e-6 &&
		relative_l2(o, c, width) > 1e-3);
	double sum = 0;
	for (int64_t t = 0; t < N; t++)
		sum += p[t];
	ck_assert(fabs(sum - 1) < 1e-6 && p[1] > 0);
	/* Query heads 0 and 3 have the same KV head in both maps, 1 and 2 have not; at position 0 the context is
	 * the KV head's value. */
	ck_assert(relative_l2(h, c, d) < 1e-6 && relative_l2(h + 3 * d, c + 3 * d, d) < 1e-6);
	ck_assert(relative_l2(h + d, v + d, d) < 1e-6 && relative_l2(c + d, v, d) < 1e-6 &&
		relative_l2(h + 2 * d, v, d) < 1e-6);
	/* One slot early: position 0 as ever, position 1 sees position 0 twice. */
	ck_assert(relative_l2(l, c, width) < 1e-6 && relative_l2(l + width, v, d) < 1e-6 &&
		relative_l2(c + width, v, d) > 1e-3);
	plumb_capture_free(&clean);
	plumb_capture_free(&open);
	plumb_capture_free(&heads);
	plumb_capture_free(&late);
}
END_TEST

START_TEST(exchanged_layers)
{
	/* With layers 1 and 2 exchanged, the output of layer 0 goes into layer 2's weights: its norm tells. */
	struct plumb_capture clean, faulty;
	const float *w = plumb_file_find(plumb_model_file(model), "blk.2.attn_norm.weight")->data;
	capture(&clean, NULL, N);
	capture(&faulty, "layer_order@1", N);
	const struct plumb_captured *x = plumb_capture_at(&clean, 0, PLUMB_POINT_OUTPUT),
								*y = plumb_capture_at(&faulty, 1, PLUMB_POINT_INPUT_NORM);
	double sum = 0;
	for (int64_t i = 0; i < x->width; i++)
		sum += (double)x->v[i] * x->v[i];
	for (int64_t i = 0; i < x->width; i++)
		ck_assert(fabs(w[i] * x->v[i] / sqrt(sum / (double)x->width + config->norm_eps) - y->v[i]) < 1e-5);
	ck_bad(plumb_model_exchange(model, 0, config->layers), PLUMB_E_ARGUMENT, "cannot be exchanged");
	plumb_capture_free(&clean);
	plumb_capture_free(&faulty);
}
END_TEST

static const struct {
	const char *text;
	bool blind;
} single[] = {
	{ "rope_base", true },
	{ "rope_pairs", true },
	{ "q_bias", true },
	{ "k_bias", true },
	{ "mask", true },
	{ "scale", true },
	{ "cache_slot", true },
	{ "v_bias", false },
	{ "kv_heads", false },
	{ "attn_residual", false },
	{ "eps", false },
	{ "swiglu_order", false },
	{ "activation", false },
	{ "final_norm", false },
	{ "layer_order", false },
};

START_TEST(one_token_does_not_react)
{
	struct plumb_capture clean, faulty;
	capture(&clean, NULL, 1);
	capture(&faulty, single[_i].text, 1);
	double by = differs(&faulty, &clean, -1, PLUMB_POINT_LOGITS);
	ck_assert_msg(single[_i].blind ? by == 0 : by > 1e-6, "%s: %g", single[_i].text, by);
	plumb_capture_free(&clean);
	plumb_capture_free(&faulty);
}
END_TEST

static const struct {
	const char *text, *words;
} bad[] = {
	{ "k_bia", "k_bias, v_bias" },
	{ "", "is no fault; there are: rope_base" },
	{ "k_bias@3", "0 to 2" },
	{ "k_bias@-1", "0 to 2" },
	{ "k_bias@", "0 to 2" },
	{ "k_bias@1x", "0 to 2" },
	{ "k_bias=2", "takes no value" },
	{ "eps=0", "above 0" },
	{ "eps=nan", "above 0" },
	{ "eps@1=", "above 0" },
	{ "eps=1e-5x", "above 0" },
	{ "final_norm@1", "not in a layer" },
	{ "layer_order@2", "no successor" },
};

START_TEST(parse_errors)
{
	struct plumb_fault f;
	ck_bad(plumb_fault_parse(&f, bad[_i].text, config), PLUMB_E_ARGUMENT, bad[_i].words);
}
END_TEST

START_TEST(parses)
{
	struct plumb_fault f;
	struct plumb_config other = *config;
	const char *name, *what;
	int i = 0;
	ck_good(plumb_fault_parse(&f, "eps@2=1e-3", config));
	ck_assert(!strcmp(f.kind->name, "eps") && f.layer == 2 && f.value == 1e-3);
	ck_good(plumb_fault_parse(&f, "k_bias", config));
	ck_assert(f.layer == -1);
	/* The usual wrong value is never the right one. */
	other.kind[0].rope_base = 1e4;
	other.norm_eps = 1e-5;
	ck_good(plumb_fault_parse(&f, "rope_base", &other));
	ck_assert(f.value == 1e6);
	ck_good(plumb_fault_parse(&f, "eps", &other));
	ck_assert(f.value == 1e-6);
	other.biases = PLUMB_BIAS_Q | PLUMB_BIAS_V;
	ck_good(plumb_fault_parse(&f, "v_bias", &other));
	other.kv_heads = other.heads;
	ck_bad(plumb_fault_parse(&f, "k_bias", &other), PLUMB_E_ARGUMENT, "no such bias");
	ck_bad(plumb_fault_parse(&f, "kv_heads", &other), PLUMB_E_ARGUMENT, "both maps are the same");
	for (; plumb_fault_row(i, &name, &what); i++)
		ck_assert(*name && *what);
	ck_assert_int_eq(i,
		sizeof single / sizeof *single +
			18); /* bugs of what this model has not: check_diag_family, diag/forms.c */
}
END_TEST

/* --- with a reference: a folder of .bin files made by a run, of the last position --- */

static char folder[64];

static void write_bin(const char *name, const float *v, int64_t n)
{
	char path[256];
	int32_t count = (int32_t)n;
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	ck_assert(f && fwrite(&count, sizeof count, 1, f) == 1 &&
		fwrite(v, sizeof *v, (size_t)n, f) == (size_t)n && !fclose(f));
}

static void make_reference(const char *fault, int64_t n)
{
	struct plumb_capture c;
	char name[64];
	capture(&c, fault, n);
	snprintf(folder, sizeof folder, "/tmp/plumb-fault-XXXXXX");
	ck_assert(mkdtemp(folder) != NULL);
	for (int layer = -1; layer < (int)config->layers; layer++) {
		const struct plumb_captured *p = plumb_capture_at(
			&c, layer, layer < 0 ? PLUMB_POINT_EMBEDDINGS : PLUMB_POINT_OUTPUT);
		snprintf(name, sizeof name, layer < 0 ? "after_embeddings.bin" : "after_layer_%d.bin", layer);
		write_bin(name, p->v + (p->rows - 1) * p->width, p->width);
	}
	const struct plumb_captured *p = plumb_capture_at(&c, -1, PLUMB_POINT_LOGITS);
	write_bin("final_logits.bin", p->v + (p->rows - 1) * p->width, p->width);
	plumb_capture_free(&c);
}

static json_t *diagnose(const char *part, const char *fault, int64_t n)
{
	struct plumb_reference *r;
	struct plumb_diag *d;
	char *text;
	json_error_t error;
	ck_good(plumb_reference_open(&r, folder, config));
	ck_good(plumb_diag_new(&d, model, NULL, r,
		PLUMB_DIAG_OPTIONS(.tokens = prompt, .token_count = n, .layer = -1, .fault = fault)));
	ck_good(plumb_diag_json(d, part, &text));
	json_t *result = json_loads(text, 0, &error);
	ck_assert_msg(result != NULL, "%s", error.text);
	free(text);
	plumb_diag_free(d);
	plumb_reference_free(r);
	return result;
}

static void remove_reference(void)
{
	char name[256];
	for (int layer = -2; layer < (int)config->layers; layer++) {
		snprintf(name, sizeof name,
			layer == -2     ? "%s/final_logits.bin"
				: layer < 0 ? "%s/after_embeddings.bin"
							: "%s/after_layer_%d.bin",
			folder, layer);
		unlink(name);
	}
	rmdir(folder);
}

static bool holds(const json_t *names, const char *name)
{
	size_t i;
	json_t *at;
	json_array_foreach(names, i, at)
		if (!strcmp(json_string_value(at), name))
			return true;
	return false;
}

START_TEST(blind_spots)
{
	make_reference(NULL, _i ? N : 1);
	json_t *result = diagnose("blindspots", NULL, _i ? N : 1), *names = json_object_get(result, "blind");
	for (size_t i = 0; i < sizeof single / sizeof *single; i++)
		ck_assert_msg(holds(names, single[i].text) == (!_i && single[i].blind), "%lld tokens: %s; %s",
			(long long)(_i ? N : 1), single[i].text, json_string_value(json_object_get(result, "text")));
	json_decref(result);
	remove_reference();
}
END_TEST

/* Each bug, first in the port, then in the reference, which has one row; bugs of a whole model in all layers.
 */
static const struct {
	const char *text, *name;
	int layer;
} prints[] = {
	{ "rope_base", "rope_base", 0 },
	{ "rope_pairs", "rope_pairs", 0 },
	{ "rope_pairs@2", "rope_pairs", 2 },
	{ "q_bias@1", "q_bias", 1 },
	{ "k_bias@1", "k_bias", 1 },
	{ "k_bias@2", "k_bias", 2 },
	{ "v_bias@0", "v_bias", 0 },
	{ "kv_heads", "kv_heads", 0 },
	{ "kv_heads@1", "kv_heads", 1 },
	{ "scale", "scale", 0 },
	{ "scale@1", "scale", 1 },
	{ "cache_slot", "cache_slot", 0 },
	{ "attn_residual@1", "attn_residual", 1 },
	{ "eps=1e-3", "eps", 0 },
	{ "swiglu_order@2", "swiglu_order", 2 },
	{ "activation", "activation", 0 },
	{ "layer_order@1", "layer_order", 1 },
	{ "final_norm", "final_norm", 3 },
	{ "mask", "mask", 0 },
};

START_TEST(fingerprints)
{
	for (int in_reference = 0; in_reference < 2; in_reference++) {
		make_reference(in_reference ? prints[_i].text : NULL, N);
		json_t *result = diagnose("fingerprint", in_reference ? NULL : prints[_i].text, N),
			   *first = json_array_get(json_object_get(result, "causes"), 0);
		const char *text = json_string_value(json_object_get(result, "text")),
				   *name = json_string_value(json_object_get(first, "name"));
		/* The last row sees no later key: a missing mask shows one layer later. */
		int layer = prints[_i].layer + (in_reference && !strcmp(prints[_i].text, "mask"));
		ck_assert_msg(name && !strcmp(name, prints[_i].name), "%s in the %s: %s", prints[_i].text,
			in_reference ? "reference" : "port", text);
		ck_assert_msg(json_number_value(json_object_get(first, "score")) > 0.9, "%s in the %s: %s",
			prints[_i].text, in_reference ? "reference" : "port", text);
		ck_assert_msg(json_integer_value(json_object_get(result, "layer")) == layer,
			"%s in the %s: layer %lld, %s", prints[_i].text, in_reference ? "reference" : "port",
			(long long)json_integer_value(json_object_get(result, "layer")), text);
		ck_assert_msg(json_is_null(json_object_get(first, "layer")) == !strchr(prints[_i].text, '@'),
			"%s in the %s: %s", prints[_i].text, in_reference ? "reference" : "port", text);
		ck_assert_str_eq(
			json_string_value(json_object_get(result, "explains")), in_reference ? "reference" : "port");
		json_decref(result);
		remove_reference();
	}
}
END_TEST

START_TEST(nothing_to_explain)
{
	make_reference(NULL, N);
	json_t *result = diagnose("fingerprint", NULL, N);
	ck_assert_uint_eq(json_array_size(json_object_get(result, "causes")), 0);
	ck_assert(json_is_null(json_object_get(result, "layer")));
	json_decref(result);
	remove_reference();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diag_fault");
	TCase *tc = tcase_create("fault");
#define LOOP(name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof table / sizeof *table))
	tcase_add_checked_fixture(tc, setup, teardown);
	LOOP(acts_there_and_downstream, acts);
	tcase_add_test(tc, right_parameter_is_no_fault);
	tcase_add_test(tc, attention_bugs_are_what_they_say);
	tcase_add_test(tc, exchanged_layers);
	LOOP(one_token_does_not_react, single);
	LOOP(parse_errors, bad);
	tcase_add_test(tc, parses);
	tcase_add_loop_test(tc, blind_spots, 0, 2);
	LOOP(fingerprints, prints);
	tcase_add_test(tc, nothing_to_explain);
	suite_add_tcase(suite, tc);
	add_diag_forms(suite);
	return run_suite(suite);
}
