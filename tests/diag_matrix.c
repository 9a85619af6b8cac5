/* SPDX-License-Identifier: Apache-2.0 */
/* `make check-diag`: every bug of the library, put into small random models and into the first layers of the
 * real one, against float32 references. Prints who was found, where, and taken for what; fails when one is
 * not found, is found in another layer, or when fewer than 9 of 10 are called by their name. With a number as
 * argument, so many seeds (3). */
#include "diag_make.h"

#define SEEDS 3
#define REAL_LAYERS 5
static const char *const types[] = { "f32", "q8_0", "k", "bf16", "q4_0" };

struct count {
	int tried, found, layer, cause;
	char taken_for[160];
};
struct subject {
	const char *name, *path;
	bool theirs;
	int64_t layers, n;
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct make_model maker;
};

static void subject_open(struct subject *s)
{
	ck_good(plumb_open(&s->ctx, PLUMB_OPTIONS(.driver = test_driver())));
	ck_good(plumb_model_load(&s->model, s->ctx, s->path, NULL, NULL));
	make_open(&s->maker, s->path, MAKE_PORTABLE);
}

static void subject_close(struct subject *s)
{
	make_close(&s->maker, MAKE_PORTABLE);
	plumb_model_free(s->model);
	plumb_close(s->ctx);
}

/* The break of this seed: in one layer, or, every third time, in all layers where that is natural. */
static int name_fault(char text[64], const struct plumb_fault_kind *kind, int seed, int64_t layers)
{
	/* The small models' values are so large that the usual wrong epsilon moves nothing. */
	const char *value = strcmp(kind->name, "eps") ? "" : "=1e-3";
	int layer = (int)((seed * 7 + 1 + strlen(kind->name)) % (uint64_t)(layers - kind->exchange));
	if (kind->scope == PLUMB_FAULT_HEAD)
		return snprintf(text, 64, "%s", kind->name), -1;
	if (kind->scope == PLUMB_FAULT_MODEL && seed % 3 == 2)
		return snprintf(text, 64, "%s%s", kind->name, value), 0;
	return snprintf(text, 64, "%s@%d%s", kind->name, layer, value), layer;
}

static void judge(struct count *c, const struct plumb_fault_kind *kind, const char *fault, int layer,
	struct plumb_diag *d, const char *subject, int seed)
{
	json_t *verdict, *print, *at;
	const char *name = "nothing";
	ck_good(plumb_diag_result(d, "verdict", &verdict));
	c->tried++;
	bool found = json_integer_value(json_object_get(verdict, "code")) == PLUMB_DIVERGES;
	if (found) {
		ck_good(plumb_diag_result(d, "fingerprint", &print));
		json_t *best = json_array_get(json_object_get(print, "causes"), 0);
		name = best ? json_string_value(json_object_get(best, "name")) : "?";
	}
	at = json_object_get(verdict, "layer");
	bool right = found && (json_is_integer(at) ? (int)json_integer_value(at) : -1) == layer;
	c->found += found;
	c->layer += right;
	c->cause += !strcmp(name, kind->name);
	size_t used = strlen(c->taken_for);
	if (strcmp(name, kind->name))
		snprintf(c->taken_for + used, sizeof c->taken_for - used, "%s%s", used ? ", " : "", name);
	if (!right || strcmp(name, kind->name))
		fprintf(stderr, "  %s seed %d, %s: %s\n", subject, seed, fault,
			json_string_value(json_object_get(verdict, "text")));
}

static void one(struct subject *s, const struct plumb_fault_kind *kind, int seed, struct count *count)
{
	static const enum make_layout layouts[] = { MAKE_ALL_POINTS, MAKE_RAW, MAKE_SOME_POINTS };
	enum make_layout layout = layouts[seed % 3];
	bool head = kind->scope == PLUMB_FAULT_HEAD;
	int64_t layers = head || !s->layers ? plumb_model_config(s->model)->layers : s->layers, n = s->n + seed;
	struct plumb_reference *reference;
	struct plumb_capture c;
	struct plumb_diag *d;
	int32_t tokens[32];
	char dir[64], fault[64];
	int layer = name_fault(fault, kind, seed, layers);
	make_tokens(tokens, n, plumb_model_config(s->model)->vocab, (uint64_t)seed + 11);
	struct plumb_fault theirs = { 0 };
	if (plumb_fault_parse(&theirs, fault,
			plumb_model_config(s->maker.model))) { /* a bias that the model has not, say: nothing to find */
		ck_assert_msg(strstr(plumb_last_error(), "this model"), "%s", plumb_last_error());
		return;
	}
	make_values_of(&s->maker, MAKE_PORTABLE, tokens, n,
		layers < plumb_model_config(s->model)->layers ? (int)layers - 1 : -1, s->theirs ? &theirs : NULL, &c);
	make_reference(dir, &c, n - 1, layout, true);
	ck_good(plumb_reference_open(&reference, dir, plumb_model_config(s->model)));
	if (layout == MAKE_RAW)
		reference->position = n - 1;
	enum plumb_status status = plumb_diag_new(&d, s->model, NULL, reference,
		PLUMB_DIAG_OPTIONS(.tokens = tokens, .token_count = n, .layer = -1, .layers = layers,
			.fault = s->theirs ? NULL : fault));
	if (!status) {
		judge(count, kind, fault, layer, d, s->name, seed);
		plumb_diag_free(d);
	} else
		fprintf(stderr, "  %s, %s: %s\n", s->name, fault, plumb_last_error());
	plumb_reference_free(reference);
	plumb_capture_free(&c);
	make_remove(dir);
}

static const char *real_path(void)
{
	static char path[1024];
	const char *given = getenv("PLUMB_TEST_MODEL"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (given && *given)
		snprintf(path, sizeof path, "%s", given);
	else
		snprintf(path, sizeof path, "%s%s/plumb/models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
			cache && *cache ? cache
				: home      ? home
							: "",
			cache && *cache ? "" : "/.cache");
	return access(path, R_OK) ? NULL : path;
}

static void run_subject(struct subject *s, int first, int step, int seeds, struct count *counts)
{
	subject_open(s);
	for (int k = 0; k < plumb_fault_count(); k++)
		for (int seed = first; seed < seeds; seed += step)
			one(s, plumb_fault_at(k), seed, &counts[k]);
	subject_close(s);
}

static void print(const char *title, const struct count *counts, struct count *sum)
{
	printf("\n%-16s %6s %6s %6s %6s  %s\n", title, "tried", "found", "layer", "cause", "taken for");
	for (int k = 0; k < plumb_fault_count(); k++) {
		const struct count *c = &counts[k];
		printf("%-16s %6d %6d %6d %6d  %s\n", plumb_fault_at(k)->name, c->tried, c->found, c->layer, c->cause,
			c->taken_for);
		sum->tried += c->tried;
		sum->found += c->found;
		sum->layer += c->layer;
		sum->cause += c->cause;
	}
}

/* Each seed another model. */
static void run_tiny(int seeds, bool theirs, struct count *counts)
{
	int kinds = (int)(sizeof types / sizeof *types);
	for (int seed = 0; seed < seeds; seed++) {
		struct subject s = { .name = types[seed % kinds], .n = 8, .theirs = theirs };
		char name[64];
		snprintf(name, sizeof name, "tiny-%s.gguf", s.name);
		s.path = data_path(name);
		run_subject(&s, seed, seeds, seeds, counts);
	}
}

static void require(const char *what, const struct count *c)
{
	printf("\n%d %s: %d found, %d in the right layer, %d called by their name first\n", c->tried, what,
		c->found, c->layer, c->cause);
	ck_assert_msg(c->tried > 0 && c->found == c->tried, "%d of %d %s found", c->found, c->tried, what);
	ck_assert_msg(c->layer == c->tried, "%d of %d %s in the right layer", c->layer, c->tried, what);
	ck_assert_msg(
		c->cause * 10 >= c->tried * 9, "%d of %d %s called by their name", c->cause, c->tried, what);
}

static int seeds = SEEDS;

START_TEST(matrix)
{
	struct count tiny[64] = { { 0 } }, theirs[64] = { { 0 } }, real[64] = { { 0 } }, sum = { 0 },
				 other = { 0 };
	ck_assert_int_le(plumb_fault_count(), 64);
	run_tiny(seeds, true, theirs);
	print("broken reference", theirs, &other);
	run_tiny(seeds, false, tiny);
	print("tiny models", tiny, &sum);
	struct subject s = { .name = "real", .path = real_path(), .layers = REAL_LAYERS, .n = 6 };
	if (s.path) {
		run_subject(&s, 0, 1, seeds, real);
		print("real model", real, &sum);
	} else
		printf("\nSKIP: the real model is not on this machine (tools/get-model fetches it)\n");
	require("breaks of the port", &sum);
	require("breaks of the reference", &other);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("diag matrix");
	TCase *tc = tcase_create("matrix");
	if (argc > 1 && atoi(argv[1]) > 0)
		seeds = atoi(argv[1]);
	setenv(
		"CK_FORK", "no", 1); /* the table goes to the terminal as it grows, and nothing here may time out */
	tcase_add_test(tc, matrix);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
