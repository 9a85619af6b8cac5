/* SPDX-License-Identifier: Apache-2.0 */
/* Whose reference is it: tokens found from embeddings, other tokens and other models noticed. */
#include "diag/reference.h"

START_TEST(finds_tokens) /* in every weight type */
{
	static const char *const types[] = { "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "k" };
	char name[64];
	struct plumb_file *gguf, *made;
	struct plumb_config c;
	struct plumb_reference *r;
	snprintf(name, sizeof name, "tiny-%s.gguf", types[_i]);
	ck_good(plumb_file_open(&gguf, data_path(name)));
	ck_good(plumb_config_read(&c, gguf));
	snprintf(name, sizeof name, "tiny-%s.safetensors", types[_i]);
	ck_good(plumb_file_open(&made, data_path(name)));
	ck_good(plumb_reference_open(&r, data_path(name), &c));
	ck_assert_int_eq(r->token_count, N);
	int32_t *found;
	int64_t n;
	struct plumb_captured *p = plumb_capture_at(&r->raw, -1, PLUMB_POINT_EMBEDDINGS);
	for (int64_t i = 0; i < p->rows * p->width; i++)
		p->v[i] = plumb_round_to(PLUMB_STORED_BF16, p->v[i]);
	ck_good(plumb_reference_find_tokens(r, gguf, &c, &found, &n));
	ck_assert_int_eq(n, N);
	ck_assert_mem_eq(found, r->tokens, sizeof *found * N);
	free(found);
	for (int64_t i = 0; i < p->width; i++) /* the last row is now of no token */
		p->v[(N - 1) * p->width + i] = (float)((i * 37) % 11) - 5;
	ck_bad(plumb_reference_find_tokens(r, gguf, &c, &found, &n), PLUMB_E_FORMAT,
		"row 10 of its embeddings is near no row");
	plumb_reference_free(r);
	plumb_file_close(made);
	plumb_file_close(gguf);
}
END_TEST

START_TEST(tokens_of_one_row)
{
	source = &trusted_run;
	as_named();
	write_text("reference.json", "{\"position\": 10}");
	struct plumb_reference *r;
	struct plumb_diag *d;
	ck_good(plumb_reference_open(&r, dir, config));
	ck_bad(plumb_diag_new(&d, model, NULL, r, &(const struct plumb_diag_options){ .layer = -1 }),
		PLUMB_E_ARGUMENT, "struct plumb_diag_options: size is 0");
	ck_bad(plumb_diag_new(&d, model, NULL, r, PLUMB_DIAG_OPTIONS(.layer = -1)), PLUMB_E_ARGUMENT,
		"does not declare the tokens before it");
	plumb_reference_free(r);
	unlink(in("reference.json"));
	ck_good(plumb_reference_open(&r, dir, config));
	ck_good(plumb_diag_new(&d, model, NULL, r, PLUMB_DIAG_OPTIONS(.layer = -1)));
	ck_assert(d->n == 1 && d->tokens[0] == prompt[LAST] && !r->tokens);
	ck_assert(declared(&d->problems, "", "token 258, which is taken for position 0", "give the tokens"));
	plumb_diag_free(d);
	plumb_reference_free(r);
}
END_TEST

START_TEST(other_tokens_and_models)
{
	int32_t wrong[N];
	source = &trusted_run;
	as_named();
	memcpy(wrong, prompt, sizeof wrong);
	wrong[LAST] = 77;
	struct opened o = judge(wrong, NULL);
	ck_assert(
		json_integer_value(json_array_get(json_object_get(o.part, "other_tokens"), 0)) == prompt[LAST] &&
		!json_is_true(json_object_get(o.part, "other_model")));
	ck_assert(strstr(text(o.part, "text"), "token 258 where the prompt has 77") != NULL);
	finish(&o);
	struct plumb_capture noise = { 0 };
	capture(&noise, NULL);
	for (int layer = -1, point = -1;
		 plumb_capture_next(&noise, &layer, &point);) { /* the same sizes, other numbers */
		struct plumb_captured *p = plumb_capture_at(&noise, layer, point);
		for (int64_t i = 0; i < p->rows * p->width; i++)
			p->v[i] = (float)((i * 7919 + layer * 31 + point) % 101) / 50 - 1;
	}
	source = &noise;
	as_named();
	o = judge(prompt, NULL);
	ck_assert(json_is_true(json_object_get(o.part, "other_model")));
	ck_assert_str_eq(text(o.part, "convention"), "raw");
	ck_assert(declared(&o.d->problems, "", "another model", "says anything about the port"));
	finish(&o);
	plumb_capture_free(&noise);
}
END_TEST

/* Another file of the same model: its embeddings are near, and its mark is another. */
START_TEST(other_weights)
{
	char mark[32], told_mark[64];
	source = &trusted_run;
	as_named();
	float v[64];
	for (int i = 0; i < 64; i++)
		v[i] = out(-1)[i] * (i % 2 ? 1.03f : 0.97f);
	write_values("after_embeddings.bin", 64, v, 64);
	plumb_model_fingerprint(plumb_model_file(model), mark);
	for (int same = 0; same < 2; same++) {
		snprintf(told_mark, sizeof told_mark, "{\"model_hash\": \"%s\"}",
			same ? mark : "fnv1a64:0123456789abcdef");
		write_text("reference.json", told_mark);
		struct opened o = judge(prompt, NULL);
		double differ = json_real_value(json_object_get(o.part, "weights_differ"));
		ck_assert_msg(differ > 0.029 && differ < 0.031, "%g", differ);
		ck_assert(json_is_boolean(json_object_get(o.part, "same_file")) &&
			json_is_true(json_object_get(o.part, "same_file")) == same);
		ck_assert((strstr(text(o.part, "text"), "made from another file of weights") == NULL) == same);
		ck_assert(strstr(text(o.part, "text"), "another quantisation") != NULL);
		finish(&o);
	}
}
END_TEST

TCase *token_tests(void)
{
	TCase *tc = tcase_create("token");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, finds_tokens, 0, 9);
	tcase_add_test(tc, tokens_of_one_row);
	tcase_add_test(tc, other_tokens_and_models);
	tcase_add_test(tc, other_weights);
	return tc;
}
