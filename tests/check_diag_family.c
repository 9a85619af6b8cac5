/* SPDX-License-Identifier: Apache-2.0 */
/* The diagnosis on every family: right beside Transformers' values, and each porting bug that the family can
 * have named first by a report, be it in the port or in the reference. */
#include <unistd.h>
#include "diag_opened.h"
#include "diag/run/fault.h"
#include "model/anatomy.h"

static const char *const families[] = { "qwen2", "qwen2-yarn", "qwen3", "llama", "llama-linear", "llama2",
	"smollm2", "smollm3", "mistral", "granite", "gemma3", "gemma3-linear", "phi3", "olmo2" };
#define FAMILIES (int)(sizeof families / sizeof *families)

struct loaded {
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_reference *reference;
};

static const char *family_path(const char *family, const char *file)
{
	char name[128];
	snprintf(name, sizeof name, "families/%s/%s", family, file);
	return data_path(name);
}

static struct loaded load(const char *family)
{
	struct loaded l;
	const char *path = family_path(family, "reference-gguf.safetensors");
	if (access(path, R_OK))
		path = family_path(family, "reference.safetensors");
	ck_good(plumb_open(&l.ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_model_load(&l.model, l.ctx, family_path(family, "model.gguf"), NULL, NULL));
	ck_good(plumb_reference_open(&l.reference, path, plumb_model_config(l.model)));
	return l;
}

static void unload(struct loaded *l)
{
	plumb_reference_free(l->reference);
	plumb_model_free(l->model);
	plumb_close(l->ctx);
}

static struct plumb_diag *diagnose(const struct loaded *l, const char *fault)
{
	struct plumb_diag *d;
	ck_good(
		plumb_diag_new(&d, l->model, NULL, l->reference, PLUMB_DIAG_OPTIONS(.layer = -1, .fault = fault)));
	return d;
}

START_TEST(right_beside_transformers)
{
	struct loaded l = load(families[_i]);
	struct plumb_diag *d = diagnose(&l, NULL);
	json_t *report = part(d, "report"), *verdict = json_object_get(report, "verdict"), *value;
	const char *key;
	ck_assert_msg(json_integer_value(json_object_get(verdict, "code")) == PLUMB_RIGHT, "%s: %s", families[_i],
		word(verdict, "text"));
	json_object_foreach(report, key, value)
		ck_assert_msg(!*word(value, "failed"), "%s: %s", key, word(value, "failed"));
	/* A reference of several tokens with all points misses none of the bugs that the model can have. */
	json_t *blind = json_object_get(json_object_get(report, "blindspots"), "blind");
	ck_assert(json_is_array(blind));
	ck_assert_msg(
		!json_array_size(blind), "%s: %s", families[_i], word(json_object_get(report, "blindspots"), "text"));
	plumb_diag_free(d);
	unload(&l);
}
END_TEST

/* Every bug of the library that the model can have. */
static bool fits(const struct loaded *l, const struct plumb_fault_kind *kind)
{
	struct plumb_fault fault;
	return !plumb_fault_make(&fault, kind, -1, plumb_model_config(l->model)) &&
		!plumb_fault_fits(kind, l->model);
}

START_TEST(each_bug_is_named)
{
	struct loaded l = load(families[_i]);
	int bugs = 0;
	for (int k = 0; k < plumb_fault_count(); k++) {
		const struct plumb_fault_kind *kind = plumb_fault_at(k);
		if (!fits(&l, kind))
			continue;
		struct plumb_diag *d = diagnose(&l, kind->name);
		json_t *verdict = part(d, "verdict"), *print = part(d, "fingerprint"),
			   *first = json_array_get(json_object_get(print, "causes"), 0);
		ck_assert_msg(json_integer_value(json_object_get(verdict, "code")) == PLUMB_DIVERGES, "%s, %s: %s",
			families[_i], kind->name, word(verdict, "text"));
		ck_assert_msg(!strcmp(kind->name, word(first, "name")), "%s, %s: %s", families[_i], kind->name,
			word(print, "text"));
		plumb_diag_free(d);
		bugs++;
	}
	ck_assert_int_ge(bugs, 10);
	unload(&l);
}
END_TEST

/* No bug of the library is without a model here or in diag/forms.c, which has every bias. */
START_TEST(each_bug_has_a_family)
{
	bool met[64] = { false };
	ck_assert_int_le(plumb_fault_count(), 64);
	for (int i = 0; i < FAMILIES; i++) {
		struct loaded l = load(families[i]);
		for (int k = 0; k < plumb_fault_count(); k++)
			met[k] |= fits(&l, plumb_fault_at(k));
		unload(&l);
	}
	for (int k = 0; k < plumb_fault_count(); k++)
		ck_assert_msg(met[k] || strstr(plumb_fault_at(k)->name, "_bias"), "%s", plumb_fault_at(k)->name);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diag_family");
	TCase *tc = tcase_create("families");
	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, right_beside_transformers, 0, FAMILIES);
	tcase_add_loop_test(tc, each_bug_is_named, 0, FAMILIES);
	tcase_add_test(tc, each_bug_has_a_family);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
