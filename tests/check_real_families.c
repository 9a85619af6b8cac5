/* SPDX-License-Identifier: Apache-2.0 */
/* Real models of other families against Transformers' figures (tests/data/real/README.md): greedy tokens,
 * likelihoods, every point, tokenizer. Each is skipped with a line where its file is not on the machine
 * (tools/get-model NAME puts it there). Those that are `large`: `make check-large` only. */
#include <jansson.h>
#include <unistd.h>
#include "compare.h"
#include "diag/diag.h"
#include "real_folder.h"

#define TOLERANCE 1e-5 /* relative L2; doc/numerics.md, "Whole models" */

static const struct real {
	const char *data, *file, *get;
	bool overflow; /* its residual stream leaves float16's range */
	bool large;
} reals[] = {
	{ "smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m", false, false },
	{ "gemma3", "gemma-3-270m-q4_k_m.gguf", "gemma3-270m", true, false },
	{ "qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-1.5b", false, true },
};
#define REALS (int)(sizeof reals / sizeof *reals)
static bool present[REALS], large; /* large: the long form */
static char paths[REALS][1024];

static const char *real_path(const struct real *r, const char *file)
{
	char name[128];
	snprintf(name, sizeof name, "real/%s/%s", r->data, file);
	return data_path(name);
}

struct loaded {
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_session *session;
	json_t *expected;
};

static struct loaded load(int i, const char *mode)
{
	struct loaded l;
	json_error_t error;
	l.expected = json_load_file(real_path(&reals[i], "expected.json"), 0, &error);
	ck_assert_msg(l.expected != NULL, "%s", error.text);
	ck_good(plumb_open(&l.ctx, PLUMB_OPTIONS(.driver = test_driver(), .mode = mode)));
	ck_good(plumb_model_load(&l.model, l.ctx, paths[i], NULL, NULL));
	ck_good(plumb_session_new(&l.session, l.model, PLUMB_SESSION_OPTIONS(.context = 2048, .batch = 1024)));
	return l;
}

static void unload(struct loaded *l)
{
	plumb_session_free(l->session);
	plumb_model_free(l->model);
	plumb_close(l->ctx);
	json_decref(l->expected);
}

static int64_t ids_of(const json_t *list, int32_t *ids, int64_t room)
{
	int64_t n = (int64_t)json_array_size(list);
	ck_assert(n > 0 && n <= room);
	for (int64_t i = 0; i < n; i++)
		ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
	return n;
}

/* --- every point, at the last position --- */

static enum plumb_status last_row(void *user, int layer, enum plumb_point point, struct plumb_tensor *t)
{
	struct compare *c = user;
	const struct plumb_file_tensor *want = compare_find(c, layer, point, 1);
	const int64_t n = plumb_tensor_count(t), width = t->dim[t->rank - 1];
	if (!want)
		return PLUMB_OK;
	if (want->bytes != sizeof(float) * (size_t)width)
		return PLUMB_E_SHAPE;
	float *got = malloc(sizeof *got * (size_t)n);
	enum plumb_status s = plumb_tensor_read_f32(t, got, n);
	double error = relative_l2(got + n - width, want->data, width);
	if (!(error <= c->worst)) {
		c->worst = error;
		snprintf(c->where, sizeof c->where, "L%d.%s", layer, plumb_point_name(point));
	}
	c->compared++;
	free(got);
	return s;
}

START_TEST(components)
{
	struct plumb_file *file;
	int32_t ids[1024];
	if (!present[_i])
		return;
	struct loaded l = load(_i, "exact");
	ck_good(plumb_file_open(&file, real_path(&reals[_i], "components.safetensors")));
	struct compare c = { .file = file };
	int64_t n = compare_ids(file, "token_ids", ids, 1024);
	plumb_session_tap(l.session, PLUMB_POINTS_ALL, last_row, &c);
	ck_good(plumb_session_eval(l.session, ids, n, PLUMB_LOGITS_LAST));
	fprintf(stderr, "  %s: %lld points, worst relative error %.3g at %s\n", reals[_i].data,
		(long long)c.compared, c.worst, c.where);
	ck_assert_int_eq(c.compared, plumb_file_tensors(file));
	ck_assert_msg(c.worst <= TOLERANCE, "%s: relative error %.3g at %s", reals[_i].data, c.worst, c.where);
	plumb_file_close(file);
	unload(&l);
}
END_TEST

/* --- texts --- */

START_TEST(greedy)
{
	const char *mode = _i % 2 ? "default" : "exact";
	int32_t ids[1024], next[128];
	json_t *one;
	size_t at;
	if (!present[_i / 2])
		return;
	struct loaded l = load(_i / 2, mode);
	json_array_foreach(json_object_get(l.expected, "greedy"), at, one) {
		int64_t n = ids_of(json_object_get(one, "ids"), ids, 1024),
				m = ids_of(json_object_get(one, "next"), next, 128);
		compare_greedy(l.session, ids, n, next, m);
	}
	ck_assert(at >= 3);
	unload(&l);
}
END_TEST

START_TEST(tokens)
{
	int32_t want[256], *ids;
	size_t at, count;
	json_t *one;
	if (!present[_i])
		return;
	struct loaded l = load(_i, "exact");
	struct plumb_tokenizer *tok = plumb_model_tokenizer(l.model);
	ck_assert_msg(tok != NULL, "%s", plumb_last_error());
	json_array_foreach(json_object_get(l.expected, "texts"), at, one) {
		const json_t *text = json_object_get(one, "text");
		size_t n = (size_t)ids_of(json_object_get(one, "ids"), want, 256);
		plumb_tokenizer_add_bos(tok, plumb_tokenizer_bos(tok) >= 0 && want[0] == plumb_tokenizer_bos(tok));
		ck_good(plumb_tokenize(
			tok, json_string_value(text), json_string_length(text), PLUMB_SPECIALS_TEXT, &ids, &count));
		ck_assert_msg(count == n && !memcmp(ids, want, sizeof *want * n), "%s: \"%s\"", reals[_i].data,
			json_string_value(text));
		free(ids);
	}
	ck_assert(at >= 8);
	unload(&l);
}
END_TEST

START_TEST(mean_nll)
{
	const int64_t pass = 128;
	int32_t *ids;
	size_t count;
	if (!present[_i])
		return;
	struct loaded l = load(_i, "exact");
	const int64_t vocab = plumb_model_config(l.model)->vocab;
	const json_t *one = json_object_get(json_object_get(l.expected, "nll"), "GPL-3 first 512");
	const int64_t n = json_integer_value(json_object_get(one, "n_tokens"));
	char *text = malloc(40000);
	FILE *f = fopen(data_path("real/GPL-3.txt"), "rb");
	ck_assert(f && text && n == 512);
	size_t size = fread(text, 1, 40000, f);
	fclose(f);
	ck_good(plumb_tokenize(plumb_model_tokenizer(l.model), text, size, PLUMB_SPECIALS_TEXT, &ids, &count));
	ck_assert_int_ge((int64_t)count, n);
	double sum = 0;
	for (int64_t i = 0, rows; i < n; i += rows) {
		const float *logits;
		ck_good(plumb_session_eval(l.session, ids + i, n - i < pass ? n - i : pass, PLUMB_LOGITS_ALL));
		ck_good(plumb_session_logits(l.session, &logits, &rows));
		for (int64_t r = 0; r < rows && i + r + 1 < n; r++) {
			const float *v = logits + r * vocab;
			double top = v[best(v, vocab)], total = 0;
			for (int64_t k = 0; k < vocab; k++)
				total += exp(v[k] - top);
			sum += top + log(total) - v[ids[i + r + 1]];
		}
	}
	double nll = sum / (double)(n - 1), want = json_real_value(json_object_get(one, "mean_nll"));
	fprintf(stderr, "  %s: mean NLL %.7f, expected %.7f\n", reals[_i].data, nll, want);
	ck_assert_msg(fabs(nll - want) <= 1e-4, "%s: mean NLL %.7f, expected %.7f", reals[_i].data, nll, want);
	free(text);
	free(ids);
	unload(&l);
}
END_TEST

/* --- known trouble --- */

/* The diagnosis says that the residual stream leaves float16's range, where it does, and keeps the sums in
 * float32; and it finds the channel that does so. */
START_TEST(beyond_float16)
{
	struct plumb_diag *d;
	json_t *stability, *channels;
	int32_t ids[1024];
	if (!present[_i])
		return;
	struct loaded l = load(_i, "exact");
	const json_t *one = json_array_get(json_object_get(l.expected, "greedy"), 0);
	int64_t n = ids_of(json_object_get(one, "ids"), ids, 1024);
	ck_good(plumb_diag_new(
		&d, l.model, NULL, NULL, PLUMB_DIAG_OPTIONS(.tokens = ids, .token_count = n, .layer = -1)));
	ck_good(plumb_diag_result(d, "stability", &stability));
	const char *text = json_string_value(json_object_get(stability, "text"));
	ck_assert_msg(!strstr(text, "add attn_residual (the largest value is") == !reals[_i].overflow, "%s: %s",
		reals[_i].data, text);
	ck_good(plumb_diag_result(d, "biography", &channels));
	ck_assert_msg(json_array_size(json_object_get(channels, "channels")) > 0, "%s: no massive activation",
		reals[_i].data);
	plumb_diag_free(d);
	unload(&l);
}
END_TEST

/* --- the same model as a folder; long: half a GB is written --- */

static char folder[64];

static void remove_folder(void)
{
	char command[96];
	snprintf(command, sizeof command, "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void make_folder(const struct plumb_model *model, bool bf16)
{
	strcpy(folder, "/tmp/plumb-real-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	real_folder_write(model, bf16, folder);
}

/* Dequantised, the model continues with the same tokens. */
START_TEST(folder_of_float32)
{
	int32_t ids[1024], next[128];
	json_t *one;
	size_t at;
	if (!large || !present[0])
		return;
	struct loaded l = load(0, "exact");
	make_folder(l.model, false);
	struct plumb_model *model;
	struct plumb_session *session;
	ck_good(plumb_model_load(&model, l.ctx, folder, NULL, NULL));
	ck_good(plumb_session_new(&session, model, NULL));
	json_array_foreach(json_object_get(l.expected, "greedy"), at, one) {
		int64_t n = ids_of(json_object_get(one, "ids"), ids, 1024),
				m = ids_of(json_object_get(one, "next"), next, 128);
		compare_greedy(session, ids, n, next, m);
	}
	plumb_session_free(session);
	plumb_model_free(model);
	unload(&l);
	remove_folder();
}
END_TEST

/* Weights in bfloat16 are used from the mapping: the process is hardly larger than the file. */
#define MOST_RESIDENT 1.15

START_TEST(memory_of_bfloat16)
{
	const char *plumb = getenv("PLUMB");
	char command[256];
	json_error_t error;
	if (!large || !present[0] || !plumb)
		return;
	struct loaded l = load(0, "exact");
	make_folder(l.model, true);
	unload(&l);
	/* a shell between, so that the process is not forked from this large one */
	snprintf(command, sizeof command,
		"%s bench %s --driver native --prefill 64 --decode 8 --rounds 1 --json 2>/dev/null; true", plumb,
		folder);
	FILE *f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	json_t *got = json_loadf(f, 0, &error);
	ck_assert_msg(got != NULL, "%s", error.text);
	pclose(f);
	struct plumb_file *file;
	ck_good(plumb_file_open(&file, folder));
	double resident = (double)json_integer_value(json_object_get(got, "resident_bytes")),
		   mapped = (double)plumb_file_size(file);
	fprintf(stderr, "  %s in bfloat16: %.1f MB resident, %.1f MB mapped\n", reals[0].data, resident / 1e6,
		mapped / 1e6);
	ck_assert(resident > mapped / 2 && resident < MOST_RESIDENT * mapped);
	plumb_file_close(file);
	json_decref(got);
	remove_folder();
}
END_TEST

static int find_models(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *only = getenv("PLUMB_TEST_MODEL");
	const char *more = getenv("PLUMB_TEST_LARGE");
	int n = 0;
	large = more && *more;
	for (int i = 0; i < REALS; i++) {
		snprintf(paths[i], sizeof paths[i], "%s%s/plumb/models/%s",
			cache && *cache ? cache
				: home      ? home
							: "",
			cache && *cache ? "" : "/.cache", reals[i].file);
		if (reals[i].large && !large)
			continue;
		/* a machine that is told to have no model has none of these either */
		present[i] = !(only && access(only, R_OK)) && !access(paths[i], R_OK);
		n += present[i];
		if (!present[i])
			fprintf(
				stderr, "  %s is not at %s (tools/get-model %s)\n", reals[i].data, paths[i], reals[i].get);
	}
	return n;
}

int main(void)
{
	if (!find_models()) {
		printf("SKIP: no real model of another family is here (tools/get-model --list)\n");
		return 77;
	}
	Suite *suite = suite_create("real_families");
	TCase *tc = tcase_create("models");
	tcase_set_timeout(tc, 1200);
	tcase_add_loop_test(tc, components, 0, REALS);
	tcase_add_loop_test(tc, greedy, 0, 2 * REALS);
	tcase_add_loop_test(tc, tokens, 0, REALS);
	tcase_add_loop_test(tc, mean_nll, 0, REALS);
	tcase_add_loop_test(tc, beyond_float16, 0, REALS);
	tcase_add_test(tc, folder_of_float32);
	tcase_add_test(tc, memory_of_bfloat16);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
