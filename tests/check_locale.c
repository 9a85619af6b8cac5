/* SPDX-License-Identifier: Apache-2.0 */
/* A program that has set a locale with a decimal comma gets the same JSON, text, page and messages, and may
 * write numbers with a point. The locale is made here, so that it need not be installed. */
#include <dirent.h>
#include <locale.h>
#include <unistd.h>
#include "diag_part.h"

static char folder[] = "/tmp/plumb-locale-XXXXXX";

static void make_locale(void)
{
	char command[256];
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 '%s/de_DE.UTF-8' >/dev/null 2>&1", folder);
	if (!system(command))
		setenv("LOCPATH", folder, 1);
}

static void remove_locale(void)
{
	char command[64];
	snprintf(command, sizeof command, "rm -r '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}

/* Everything the library makes out of numbers, one text after the other. */
static char *everything(void)
{
	static const char *const parts[] = { "convention", "precision", "growth", "components", "verdict",
		"weights", "biography", "stability", "blindspots", "fingerprint", "diverge", "isolate", "trace",
		"report" };
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_reference *r;
	struct plumb_diag *d;
	char *all, *json, *text, *page;
	size_t size;
	FILE *f = open_memstream(&all, &size);
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_model_load(&model, ctx, data_path("tiny-f32.gguf"), NULL, NULL));
	ck_good(plumb_reference_open(&r, data_path("tiny-f32.safetensors"), plumb_model_config(model)));
	ck_good(plumb_diag_new(&d, model, NULL, r, PLUMB_DIAG_OPTIONS(.layer = -1, .fault = "eps@2=0.5")));
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		json_t *made = part(d, parts[i]);
		if (!strcmp(parts[i], "report"))
			json_object_set_new(made, "seconds", json_real(1.5)); /* time differs */
		json = json_dumps(made, JSON_REAL_PRECISION(9));
		ck_good(plumb_diag_text(json, &text));
		fprintf(f, "%s\n%s\n", json, text);
		free(text);
		if (!strcmp(parts[i], "report")) {
			ck_good(plumb_diag_html(json, &page));
			fputs(page, f);
			free(page);
		}
		free(json);
	}
	ck_bad(plumb_budget_take(ctx, (uint64_t)1 << 62), PLUMB_OK, "");
	plumb_budget_give(ctx, (uint64_t)1 << 62);
	ctx->limit = 1 << 20;
	plumb_budget_take(ctx, 1500 << 10);
	fputs(plumb_last_error(), f);
	ctx->limit = 0;
	plumb_diag_free(d);
	plumb_reference_free(r);
	plumb_model_free(model);
	plumb_close(ctx);
	fclose(f);
	return all;
}

START_TEST(with_a_decimal_comma)
{
	char *plain = everything(), *comma;
	make_locale();
	if (!setlocale(LC_ALL, "de_DE.UTF-8") || strcmp(localeconv()->decimal_point, ",")) {
		fprintf(stderr,
			"check_locale: SKIPPED: there is no locale de_DE.UTF-8, and localedef (package locales) cannot make it\n");
		remove_locale();
		return;
	}
	char own[32];
	snprintf(own, sizeof own, "%.1f", 0.5);
	ck_assert_str_eq(own, "0,5"); /* the locale is really in force */
	comma = everything();
	snprintf(own, sizeof own, "%.1f", 0.5);
	ck_assert_str_eq(own, "0,5"); /* and was put back */
	ck_assert_ptr_nonnull(strstr(plain, "viewBox="));
	for (size_t i = 0; plain[i] || comma[i]; i++)
		ck_assert_msg(plain[i] == comma[i], "at %zu: %.80s / %.80s", i, plain + (i < 40 ? 0 : i - 40),
			comma + (i < 40 ? 0 : i - 40));
	remove_locale();
	free(plain);
	free(comma);
}
END_TEST

START_TEST(numbers_both_ways)
{
	char text[32], *end;
	ck_assert_int_eq(plumb_format(text, sizeof text, "%.2f %g %s", 1.25, 1e-7, "x"), 12);
	ck_assert_str_eq(text, "1.25 1e-07 x");
	ck_assert(plumb_number("0.5,", &end) == 0.5 && *end == ',');
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("locale");
	TCase *tc = tcase_create("locale");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, numbers_both_ways);
	tcase_add_test(tc, with_a_decimal_comma);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
