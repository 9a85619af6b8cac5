/* SPDX-License-Identifier: Apache-2.0 */
/* The diagnosis of the real model against PyTorch's sets: the table of growth with its three jumps explained,
 * the verdicts, and that rounding a reference changes no verdict but the precision. Skipped with a line where
 * the model is not on the machine. */
#include "diag_make.h"
#include "diag_opened.h"

static char model_path[1024];
static struct plumb_context *ctx;
static struct plumb_model *model;

static void setup(void)
{
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = test_driver())));
	ck_good(plumb_model_load(&model, ctx, model_path, NULL, NULL));
}

static void teardown(void)
{
	plumb_model_free(model);
	plumb_close(ctx);
}

static int32_t prompt[64];
static int64_t prompt_length;

/* Hello is token 9707; the chat prompt's tokens are in its set of components. */
static void read_prompt(const char *set)
{
	const struct plumb_reference *declared;
	struct plumb_reference *r;
	prompt[0] = 9707;
	prompt_length = 1;
	if (!strstr(set, "chat"))
		return;
	ck_good(
		plumb_reference_open(&r, data_path("real/chat-components.safetensors"), plumb_model_config(model)));
	declared = r;
	ck_assert(declared->tokens && declared->token_count <= 64);
	prompt_length = declared->token_count;
	memcpy(prompt, declared->tokens, sizeof *prompt * (size_t)prompt_length);
	plumb_reference_free(r);
}

static struct opened open_set(const char *path, const char *fault)
{
	struct opened o;
	read_prompt(path);
	ck_good(plumb_reference_open(&o.reference, path, plumb_model_config(model)));
	ck_good(plumb_diag_new(&o.diag, model, NULL, o.reference,
		PLUMB_DIAG_OPTIONS(.tokens = prompt, .token_count = prompt_length, .layer = -1, .fault = fault)));
	return o;
}

static struct opened open_real(const char *set, const char *fault)
{
	char name[64];
	snprintf(name, sizeof name, "real/%s", set);
	return open_set(data_path(name), fault);
}

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static void no_culprit(json_t *growth)
{
	json_t *layer;
	size_t i;
	ck_assert_uint_eq(json_array_size(json_object_get(growth, "layers")), 24);
	json_array_foreach(json_object_get(growth, "layers"), i, layer)
		ck_assert_msg(strcmp(word(layer, "role"), "culprit") && strcmp(word(layer, "role"), "victim"),
			"layer %zu is a %s", i, word(layer, "role"));
}

static const struct {
	const char *set;
	int code;
} verdicts[] = {
	{ "hello-bf16", PLUMB_PRECISION },
	{ "chat-bf16", PLUMB_PRECISION },
	{ "hello-fp32", PLUMB_CONVENTION },
	{ "chat-fp32", PLUMB_CONVENTION },
	{ "hello-components.safetensors", PLUMB_RIGHT },
	{ "chat-components.safetensors", PLUMB_RIGHT },
	{ "hello-exact.safetensors", PLUMB_RIGHT },
	{ "chat-exact.safetensors", PLUMB_RIGHT },
};

START_TEST(the_port_is_right)
{
	struct opened o = open_real(verdicts[_i].set, NULL);
	json_t *verdict = part(o.diag, "verdict"), *growth = part(o.diag, "growth");
	ck_assert_msg(json_integer_value(json_object_get(verdict, "code")) == verdicts[_i].code, "%s: %s",
		verdicts[_i].set, word(verdict, "text"));
	ck_assert_ptr_nonnull(strstr(word(verdict, "text"), "The port is right"));
	ck_assert(json_is_null(json_object_get(part(o.diag, "components"), "first_bad")));
	ck_assert(json_is_null(json_object_get(part(o.diag, "diverge"), "first")));
	ck_assert_msg(
		number(growth, "geometric_mean_rel") < 1.2, "grows %g a layer", number(growth, "geometric_mean_rel"));
	no_culprit(growth);
	close_diag(&o);
}
END_TEST

/* mission.md's table, and what causes each jump. */
START_TEST(the_seed_s_jumps)
{
	static const struct {
		int from;
		const char *kind, *word;
		double least, most, to;
	} want[] = {
		{ 2, "massive activation", "channel 62 goes from 4.1", 30, 38, 0.048 },
		{ 22, "cancellation", "channel 62", 2.3, 2.8, 0.23 },
		{ 23, "convention", "final-normed", 13, 17, 3.435 },
	};
	struct opened o = open_real("hello-bf16", NULL);
	json_t *growth = part(o.diag, "growth"), *jumps = json_object_get(growth, "jumps"),
		   *sentences = json_object_get(part(o.diag, "verdict"), "sentences"), *one;
	size_t i;
	bool named = false;
	ck_assert_uint_eq(json_array_size(jumps), 3);
	ck_assert_int_eq(json_integer_value(json_object_get(growth, "channel")), 62);
	for (int k = 0; k < 3; k++) {
		json_t *jump = json_array_get(jumps, (size_t)k),
			   *layer = json_array_get(json_object_get(growth, "layers"), (size_t)want[k].from);
		double mean = number(json_object_get(layer, "raw"), "mean_abs");
		ck_assert_int_eq(json_integer_value(json_object_get(jump, "from")), want[k].from);
		ck_assert_int_eq(json_integer_value(json_object_get(jump, "to")), want[k].from + 1);
		ck_assert_str_eq(word(jump, "kind"), want[k].kind);
		ck_assert_msg(strstr(word(jump, "text"), want[k].word) != NULL, "%s", word(jump, "text"));
		ck_assert_msg(number(jump, "growth_abs") > want[k].least && number(jump, "growth_abs") < want[k].most,
			"%g", number(jump, "growth_abs"));
		ck_assert_msg(
			fabs(mean / want[k].to - 1) < 0.03, "mean absolute error %g, expected %g", mean, want[k].to);
	}
	json_array_foreach(sentences, i, one)
		named |= strstr(json_string_value(one), "channel 62") != NULL;
	ck_assert(named);
	ck_assert_ptr_nonnull(strstr(word(part(o.diag, "precision"), "stored"), "bf16"));
	close_diag(&o);
}
END_TEST

/* Less than 1.2x a layer; where it is more, cancellation in layers 21 to 23. */
START_TEST(relative_growth)
{
	struct opened o = open_real("hello-fp32", NULL);
	json_t *layers = json_object_get(part(o.diag, "growth"), "layers"), *layer;
	size_t i;
	int exceptions = 0;
	json_array_foreach(layers, i, layer) {
		if (!(number(layer, "growth_rel") > 1.2))
			continue;
		exceptions++;
		ck_assert_msg(i >= 21 && strstr(word(layer, "cause"), "cancellation") == word(layer, "cause"),
			"layer %zu grows %gx: %s", i, number(layer, "growth_rel"), word(layer, "cause"));
	}
	ck_assert_int_ge(exceptions, 2);
	close_diag(&o);
}
END_TEST

static const struct {
	const char *set;
	enum plumb_stored stored;
} rounded[] = {
	{ "hello-fp32", PLUMB_STORED_BF16 },
	{ "chat-fp32", PLUMB_STORED_BF16 },
	{ "hello-fp32", PLUMB_STORED_FP16 },
};

/* The files of a folder, rounded. */
static void round_files(const char *from, const char *to, enum plumb_stored stored)
{
	struct dirent *e;
	DIR *d = opendir(from);
	char path[2048];
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d))) {
		int32_t count;
		float v;
		if (!strstr(e->d_name, ".bin"))
			continue;
		snprintf(path, sizeof path, "%s/%s", from, e->d_name);
		FILE *in = fopen(path, "rb");
		snprintf(path, sizeof path, "%s/%s", to, e->d_name);
		FILE *out = fopen(path, "wb");
		ck_assert(in && out && fread(&count, 4, 1, in) == 1 && fwrite(&count, 4, 1, out) == 1);
		while (fread(&v, 4, 1, in) == 1) {
			v = plumb_round_to(stored, v);
			ck_assert(fwrite(&v, 4, 1, out) == 1);
		}
		fclose(in);
		fclose(out);
	}
	closedir(d);
}

START_TEST(rounding_changes_nothing_else)
{
	char dir[64] = "/tmp/plumb-chat-XXXXXX", name[64], fp32[1024];
	struct opened o;
	snprintf(name, sizeof name, "real/%s", rounded[_i].set);
	snprintf(fp32, sizeof fp32, "%s", data_path(name));
	if (strstr(rounded[_i].set, "hello"))
		strcpy(dir, "/tmp/plumb-diag-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	round_files(fp32, dir, rounded[_i].stored);
	o = open_set(dir, NULL);
	json_t *verdict = part(o.diag, "verdict");
	ck_assert_msg(
		json_integer_value(json_object_get(verdict, "code")) == PLUMB_PRECISION, "%s", word(verdict, "text"));
	ck_assert_str_eq(word(part(o.diag, "convention"), "convention"), "final-normed last");
	ck_assert_str_eq(word(part(o.diag, "precision"), "stored"),
		rounded[_i].stored == PLUMB_STORED_BF16 ? "fp32-from-bf16" : "fp32-from-fp16");
	no_culprit(part(o.diag, "growth"));
	close_diag(&o);
	make_remove(dir);
}
END_TEST

static const struct {
	const char *set, *fault, *cause;
	int layer;
} broken[] = {
	{ "hello-bf16", "v_bias@4", "v_bias", 4 },
	{ "chat-bf16", "k_bias@5", "k_bias", 5 },
	{ "chat-fp32", "rope_base@9", "rope_base", 9 },
	{ "chat-components.safetensors", "swiglu_order@22", "swiglu_order", 22 },
	{ "chat-bf16", "layer_order@7", "layer_order", 7 },
};

START_TEST(a_real_bug_is_found)
{
	struct opened o = open_real(broken[_i].set, broken[_i].fault);
	json_t *verdict = part(o.diag, "verdict");
	ck_assert_msg(json_integer_value(json_object_get(verdict, "code")) == PLUMB_DIVERGES, "%s: %s",
		broken[_i].fault, word(verdict, "text"));
	ck_assert_int_eq(json_integer_value(json_object_get(verdict, "layer")), broken[_i].layer);
	ck_assert_str_eq(word(verdict, "cause"), broken[_i].cause);
	close_diag(&o);
}
END_TEST

static bool find_model(void)
{
	const char *path = getenv("PLUMB_TEST_MODEL"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (path && *path)
		snprintf(model_path, sizeof model_path, "%s", path);
	else
		snprintf(model_path, sizeof model_path, "%s%s/plumb/models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
			cache && *cache ? cache
				: home      ? home
							: "",
			cache && *cache ? "" : "/.cache");
	return !access(model_path, R_OK);
}

#define LOOP(name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof(table) / sizeof *(table)))
int main(void)
{
	if (!find_model()) {
		printf("SKIP: the real model is not at %s (tools/get-model fetches it)\n", model_path);
		return 77;
	}
	Suite *suite = suite_create("diag of the real model");
	TCase *tc = tcase_create("diag real");
	tcase_set_timeout(tc, 600);
	tcase_add_checked_fixture(tc, setup, teardown);
	LOOP(the_port_is_right, verdicts);
	tcase_add_test(tc, the_seed_s_jumps);
	tcase_add_test(tc, relative_growth);
	LOOP(rounding_changes_nothing_else, rounded);
	LOOP(a_real_bug_is_found, broken);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
