/* SPDX-License-Identifier: Apache-2.0 */
/* The models of tests/data/families, each a folder that Transformers saved and a GGUF file that llama.cpp's
 * converter made of it: what the folder opens as says of keys, names, shapes and weights what that file
 * says. */
#include "core/core.h"
#include "parts.h"

/* By the folder's name. */
static const struct {
	const char *name, *architecture;
	bool permuted; /* the converter puts queries' and keys' rows in another order */
	double offset; /* ... and this on norms' weights */
} families[] = {
	{ "qwen2", "qwen2", false, 0 },
	{ "qwen2-yarn", "qwen2", false, 0 },
	{ "qwen3", "qwen3", false, 0 },
	{ "llama", "llama", true, 0 },
	{ "llama2", "llama", true, 0 },
	{ "llama-linear", "llama", true, 0 },
	{ "smollm2", "llama", true, 0 },
	{ "smollm3", "smollm3", true, 0 },
	{ "mistral", "llama", true, 0 },
	{ "granite", "granite", true, 0 },
	{ "gemma3", "gemma3", false, 1 },
	{ "gemma3-linear", "gemma3", false, 1 },
	{ "phi3", "phi3", false, 0 },
	{ "olmo2", "olmo2", false, 0 },
};

static bool span_begins(struct plumb_span s, const char *text)
{
	return s.n >= strlen(text) && !memcmp(s.p, text, strlen(text));
}

static double number_at(const struct plumb_meta *m, uint64_t i)
{
	return m->kind == PLUMB_META_ARRAY ? plumb_meta_float_at(m, i)
		: m->kind == PLUMB_META_BOOL   ? (double)m->i
									   : m->f;
}

static void compare_value(const char *key, const struct plumb_meta *a, const struct plumb_meta *b)
{
	if (a->kind == PLUMB_META_STRING) {
		ck_assert_msg(b->kind == PLUMB_META_STRING && a->s.n == b->s.n && !memcmp(a->s.p, b->s.p, a->s.n),
			"%s is other text", key);
		return;
	}
	const uint64_t n = a->kind == PLUMB_META_ARRAY ? a->n : 1;
	ck_assert_msg(
		n == (b->kind == PLUMB_META_ARRAY ? b->n : 1), "%s has %llu values", key, (unsigned long long)b->n);
	for (uint64_t i = 0; i < n; i++) {
		const double x = number_at(a, i), y = number_at(b, i);
		ck_assert_msg(
			fabs(x - y) <= 1e-6 * fabs(x), "%s is %.9g in the folder, %.9g in the GGUF file", key, y, x);
	}
}

/* A GGUF file writes a window of none as 0. */
static bool may_lack(const struct plumb_meta *m)
{
	char key[128];
	snprintf(key, sizeof key, "%.*s", (int)m->key.n, m->key.p);
	return strstr(key, ".attention.sliding_window") && m->kind == PLUMB_META_INT && m->i == 0;
}

static void compare_keys(const struct plumb_file *gguf, const struct plumb_file *folder, const char *prefix)
{
	char key[128];
	int compared = 0;
	for (int64_t i = 0; i < plumb_file_metas(gguf); i++) {
		const struct plumb_meta *m = plumb_file_meta(gguf, i);
		const bool id = span_begins(m->key, "tokenizer.ggml.bos_token_id") ||
			span_begins(m->key, "tokenizer.ggml.eos_token_id");
		if (!id && !span_begins(m->key, prefix))
			continue;
		snprintf(key, sizeof key, "%.*s", (int)m->key.n, m->key.p);
		const struct plumb_meta *other = plumb_file_meta_find(folder, key);
		ck_assert_msg(other || may_lack(m), "the folder says nothing of %s", key);
		if (other)
			compare_value(key, m, other);
		compared++;
	}
	ck_assert_int_ge(compared, 10);
	for (int64_t i = 0; i < plumb_file_metas(folder); i++)
		ck_assert(!span_begins(plumb_file_meta(folder, i)->key, "config.json."));
}

static void compare_numbers(
	const struct plumb_file_tensor *a, const struct plumb_file_tensor *b, double offset)
{
	const int64_t n = a->dim[0] * a->dim[1];
	float *x = calloc((size_t)n, sizeof *x), *y = calloc((size_t)n, sizeof *y);
	ck_assert(x && y);
	ck_good(plumb_type_to_f32(a->type, a->data, x, n));
	ck_good(plumb_type_to_f32(b->type, b->data, y, n));
	for (int64_t i = 0; i < n; i++)
		ck_assert_msg(x[i] == (float)(y[i] + offset), "%.*s: number %lld is %g and %g", (int)a->name.n,
			a->name.p, (long long)i, (double)x[i], (double)y[i]);
	free(x);
	free(y);
}

static void compare_tensors(
	const struct plumb_file *gguf, const struct plumb_file *folder, bool permuted, double offset)
{
	char name[128];
	int64_t compared = 0;
	for (int64_t i = 0; i < plumb_file_tensors(gguf); i++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(gguf, i), *other;
		snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
		if (!strncmp(name, "rope_f", 6)) /* a folder has them in config.json */
			continue;
		other = plumb_file_find(folder, name);
		ck_assert_msg(other != NULL, "the folder has no %s", name);
		ck_assert_msg(!memcmp(t->dim, other->dim, sizeof t->dim), "%s has another shape", name);
		if (!permuted || (!strstr(name, "attn_q.") && !strstr(name, "attn_k.")))
			compare_numbers(t, other, strstr(name, "norm") ? offset : 0);
		compared++;
	}
	ck_assert_int_eq(compared, plumb_file_tensors(folder));
}

START_TEST(as_gguf)
{
	char path[128], prefix[64];
	struct plumb_file *gguf, *folder;
	snprintf(path, sizeof path, "families/%s/model.gguf", families[_i].name);
	ck_good(plumb_file_open(&gguf, data_path(path)));
	snprintf(path, sizeof path, "families/%s/hf", families[_i].name);
	ck_good(plumb_file_open(&folder, data_path(path)));
	const struct plumb_meta *m = plumb_file_meta_find(folder, "general.architecture");
	ck_assert(m && span_begins(m->s, families[_i].architecture));
	snprintf(prefix, sizeof prefix, "%s.", families[_i].architecture);
	compare_keys(gguf, folder, prefix);
	compare_tensors(gguf, folder, families[_i].permuted, families[_i].offset);
	plumb_file_close(folder);
	plumb_file_close(gguf);
}
END_TEST

TCase *folder_family_tests(void)
{
	TCase *tests = tcase_create("families");
	tcase_add_loop_test(tests, as_gguf, 0, (int)(sizeof families / sizeof *families));
	return tests;
}
