/* SPDX-License-Identifier: Apache-2.0 */
/* Random models of every family, made with Transformers and converted by llama.cpp
 * (tools/make-family-models.py): each capture point, the logits of all positions and greedy tokens, from the
 * folder and from the GGUF. */
#include <jansson.h>
#include <unistd.h>
#include "compare.h"
#include "model/anatomy.h"

/* Relative L2; doc/numerics.md, "Whole models". In the mode default, too: weights in bfloat16 are multiplied
 * with activations in float32. */
#define TOLERANCE 1e-5

static const struct family {
	const char *name, *reference; /* tests/data/families/NAME/REFERENCE.safetensors */
	unsigned norms;
	bool windows, left_out; /* layers with a window, layers without RoPE */
	int scaling;
} families[] = {
	{ "qwen2", "reference", PLUMB_NORM_BEFORE, false, false, PLUMB_ROPE_SCALING_NONE },
	{ "qwen2-yarn", "reference", PLUMB_NORM_BEFORE, false, false, PLUMB_ROPE_SCALING_YARN },
	{ "qwen3", "reference", PLUMB_NORM_BEFORE | PLUMB_NORM_HEAD, false, false, PLUMB_ROPE_SCALING_NONE },
	{ "llama", "reference", PLUMB_NORM_BEFORE, false, false, PLUMB_ROPE_SCALING_LLAMA3 },
	{ "llama-linear", "reference", PLUMB_NORM_BEFORE, false, false, PLUMB_ROPE_SCALING_LINEAR },
	{ "llama2", "reference", PLUMB_NORM_BEFORE, false, false, PLUMB_ROPE_SCALING_NONE },
	{ "smollm2", "reference", PLUMB_NORM_BEFORE, false, false, PLUMB_ROPE_SCALING_NONE },
	{ "smollm3", "reference", PLUMB_NORM_BEFORE, false, true, PLUMB_ROPE_SCALING_NONE },
	{ "mistral", "reference", PLUMB_NORM_BEFORE, true, false, PLUMB_ROPE_SCALING_NONE },
	{ "granite", "reference", PLUMB_NORM_BEFORE, false, false, PLUMB_ROPE_SCALING_NONE },
	{ "gemma3", "reference", PLUMB_NORM_BEFORE | PLUMB_NORM_AFTER | PLUMB_NORM_HEAD, true, false,
		PLUMB_ROPE_SCALING_NONE },
	{ "gemma3-linear", "reference", PLUMB_NORM_BEFORE | PLUMB_NORM_AFTER | PLUMB_NORM_HEAD, true, false,
		PLUMB_ROPE_SCALING_LINEAR },
	{ "phi3", "reference", PLUMB_NORM_BEFORE, false, false, PLUMB_ROPE_SCALING_LONG },
	{ "phi3", "reference-long", PLUMB_NORM_BEFORE, false, false, PLUMB_ROPE_SCALING_LONG },
	{ "olmo2", "reference", PLUMB_NORM_AFTER | PLUMB_NORM_WIDTH, false, false, PLUMB_ROPE_SCALING_NONE },
};
#define FAMILIES (int)(sizeof families / sizeof *families)
static const char *const forms[] = { "model.gguf", "hf" };
#define FORMS (int)(sizeof forms / sizeof *forms)

static const char *family_path(const struct family *f, const char *file)
{
	char name[128];
	snprintf(name, sizeof name, "families/%s/%s", f->name, file);
	return data_path(name);
}

/* Of a GGUF whose rows of queries and keys are in another order there is a reference in that order. */
static struct plumb_file *reference_of(const struct family *f, const char *form)
{
	struct plumb_file *file;
	char name[64];
	snprintf(name, sizeof name, "%s-gguf.safetensors", f->reference);
	if (strcmp(form, "model.gguf") || access(family_path(f, name), R_OK))
		snprintf(name, sizeof name, "%s.safetensors", f->reference);
	ck_good(plumb_file_open(&file, family_path(f, name)));
	return file;
}

static void check_config(const struct family *f, const struct plumb_config *c, const char *form)
{
	bool windows = false, left_out = false;
	for (int64_t i = 0; i < c->layers; i++) {
		windows |= plumb_config_layer(c, i)->window != 0;
		left_out |= !plumb_config_layer(c, i)->rope;
	}
	ck_assert_uint_eq(c->norms, f->norms);
	ck_assert(windows == f->windows && left_out == f->left_out);
	/* llama.cpp's converter turns Llama 3's scaling into factors */
	int scaling = f->scaling == PLUMB_ROPE_SCALING_LLAMA3 && !strcmp(form, "model.gguf")
		? PLUMB_ROPE_SCALING_FACTORS
		: f->scaling;
	ck_assert_int_eq(c->rope_scaling, scaling);
}

static void check_greedy(const struct family *f, struct plumb_session *s)
{
	json_error_t error;
	json_t *all = json_load_file(family_path(f, "expected.json"), 0, &error), *one;
	size_t at;
	ck_assert_msg(all != NULL, "%s", error.text);
	json_array_foreach(json_object_get(all, "greedy"), at, one) {
		int32_t ids[2][64];
		size_t n[2];
		const char *keys[] = { "ids", "next" };
		for (int k = 0; k < 2; k++) {
			json_t *list = json_object_get(one, keys[k]);
			n[k] = json_array_size(list);
			ck_assert(n[k] > 0 && n[k] <= 64);
			for (size_t i = 0; i < n[k]; i++)
				ids[k][i] = (int32_t)json_integer_value(json_array_get(list, i));
		}
		compare_greedy(s, ids[0], (int64_t)n[0], ids[1], (int64_t)n[1]);
	}
	ck_assert(at > 0);
	json_decref(all);
}

static void run_form(const struct family *f, const char *form, const char *mode, bool points)
{
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_session *session;
	struct plumb_file *file = reference_of(f, form);
	struct compare c = { .file = file };
	int32_t ids[64];
	int64_t n = compare_ids(file, "token_ids", ids, 64);
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = test_driver(), .threads = 2, .mode = mode)));
	ck_good(plumb_model_load(&model, ctx, family_path(f, form), NULL, NULL));
	check_config(f, plumb_model_config(model), form);
	ck_good(plumb_session_new(&session, model, NULL));
	plumb_session_tap(session, points ? PLUMB_POINTS_ALL : 1u << PLUMB_POINT_LOGITS, compare_tap, &c);
	ck_good(plumb_session_eval(session, ids, n, PLUMB_LOGITS_ALL));
	plumb_session_tap(session, 0, NULL, NULL);
	ck_assert_int_eq(c.compared, points ? plumb_file_tensors(file) : 1);
	ck_assert_msg(c.worst <= TOLERANCE, "%s/%s, %s: relative error %.3g at %s is over %g", f->name, form,
		mode, c.worst, c.where, TOLERANCE);
	check_greedy(f, session);
	plumb_session_free(session);
	plumb_model_free(model);
	plumb_file_close(file);
	plumb_close(ctx);
}

/* By basic operators, every value that a reference has. */
START_TEST(points_logits_and_greedy_tokens)
{
	run_form(&families[_i / FORMS], forms[_i % FORMS], "exact", true);
}
END_TEST

/* By fused operators and in the mode that users run. */
START_TEST(in_the_default_mode)
{
	run_form(&families[_i], "model.gguf", "default", false);
}
END_TEST

/* Texts to ids as Hugging Face's tokenizers make them, by the file's tokenizer and the folder's. */
START_TEST(texts)
{
	const struct family *f = &families[_i / FORMS];
	struct plumb_context *ctx;
	struct plumb_model *model;
	json_error_t error;
	json_t *all = json_load_file(family_path(f, "expected.json"), 0, &error), *one, *id;
	size_t at, k, count;
	int32_t *ids;
	ck_assert_msg(all != NULL, "%s", error.text);
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .threads = 1)));
	ck_good(plumb_model_load(&model, ctx, family_path(f, forms[_i % FORMS]), NULL, NULL));
	struct plumb_tokenizer *tok = plumb_model_tokenizer(model);
	ck_assert_msg(tok != NULL, "%s/%s: %s", f->name, forms[_i % FORMS], plumb_last_error());
	plumb_tokenizer_add_bos(tok, false);
	json_array_foreach(json_object_get(all, "texts"), at, one) {
		const json_t *text = json_object_get(one, "text"), *want = json_object_get(one, "ids");
		ck_good(plumb_tokenize(
			tok, json_string_value(text), json_string_length(text), PLUMB_SPECIALS_TEXT, &ids, &count));
		ck_assert_msg(count == json_array_size(want), "%s/%s: \"%s\" is %zu tokens, expected %zu", f->name,
			forms[_i % FORMS], json_string_value(text), count, json_array_size(want));
		json_array_foreach(want, k, id)
			ck_assert_msg(ids[k] == json_integer_value(id), "%s/%s: token %zu of \"%s\" is %d, expected %lld",
				f->name, forms[_i % FORMS], k, json_string_value(text), ids[k],
				(long long)json_integer_value(id));
		free(ids);
	}
	ck_assert(at >= 8);
	json_decref(all);
	plumb_model_free(model);
	plumb_close(ctx);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("family");
	TCase *tc = tcase_create("families");
	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, points_logits_and_greedy_tokens, 0, FAMILIES * FORMS);
	tcase_add_loop_test(tc, in_the_default_mode, 0, FAMILIES);
	tcase_add_loop_test(tc, texts, 0, FAMILIES * FORMS);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
