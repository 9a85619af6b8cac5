/* SPDX-License-Identifier: Apache-2.0 */
/* plumb diag CHECK: runs a check against each reference, prints what comes out or writes the page, and turns
 * verdicts into an exit code. */
#include "cli/diag.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool diag_report_judges(const struct cli_diag *r)
{
	return !strcmp(r->check, "report") || !strcmp(r->check, "verdict");
}

/* A verdict on a reference that could not be used. */
static json_t *diag_report_unusable(const char *why)
{
	json_t *verdict = json_pack("{s:s, s:i, s:s, s:[], s:n, s:n, s:n}", "part", "verdict", "code",
		(int)PLUMB_UNUSABLE, "word", "unusable", "sentences", "layer", "point", "cause");
	char text[1200];
	snprintf(text, sizeof text, "The reference cannot be used: %s", why);
	if (verdict)
		json_object_set_new(verdict, "text", cli_json_text(text));
	return verdict;
}

/* One diagnosis; its JSON. reference NULL: of the model alone. */
static enum plumb_status diag_report_diagnose(const struct cli_diag *r, struct plumb_model *port,
	struct plumb_model *trusted, struct plumb_reference *reference, json_t **result)
{
	struct plumb_diag_options options = cli_diag_options(r);
	struct plumb_diag *diag;
	char *text = NULL;
	*result = NULL;
	enum plumb_status s = plumb_diag_new(&diag, port, trusted, reference, &options);
	if (!s)
		s = plumb_diag_json(diag, r->check, &text);
	cli_progress_end();
	plumb_diag_free(diag);
	if (!s && !(*result = json_loads(text, 0, NULL))) {
		cli_starved = true; /* our own JSON: it is right */
		s = PLUMB_E_MEMORY;
	}
	free(text);
	return s;
}

/* What can still be said when the reference cannot be used. */
static enum plumb_status diag_report_without_reference(const struct cli_diag *r, struct plumb_model *port,
	struct plumb_model *trusted, const char *path, const char *why, json_t **result)
{
	enum plumb_status s = PLUMB_OK;
	if (!strcmp(r->check, "verdict"))
		*result = diag_report_unusable(why);
	else if (!(s = diag_report_diagnose(r, port, trusted, NULL, result))) {
		json_object_set_new(*result, "reference",
			json_pack("{s:o, s:[{s:s, s:o, s:s}]}", "path", cli_json_text(path), "problems", "file", "",
				"problem", cli_json_text(why), "consequence",
				"nothing is compared; what can be said of the model alone is below"));
		json_object_set_new(*result, "verdict", diag_report_unusable(why));
	}
	return s;
}

/* A complaint about the command line itself would come without a reference, too. */
static enum plumb_status diag_report_check(const struct cli_diag *r, struct plumb_model *port)
{
	struct plumb_diag_options options = cli_diag_options(r);
	struct plumb_diag *diag;
	enum plumb_status s = plumb_diag_new(&diag, port, NULL, NULL, &options);
	plumb_diag_free(diag);
	return s;
}

/* The check against one reference (NULL: none). */
static int diag_report_one(const struct cli_diag *r, struct plumb_model *port, struct plumb_model *trusted,
	const char *path, json_t **result)
{
	struct plumb_reference *reference = NULL;
	*result = NULL;
	enum plumb_status s = diag_report_check(r, port);
	if (s)
		return cli_fail(s);
	if (path)
		s = plumb_reference_open(&reference, path, plumb_model_config(port));
	if (!s)
		s = diag_report_diagnose(r, port, trusted, reference, result);
	plumb_reference_free(reference);
	if (s && path && diag_report_judges(r) && s != PLUMB_E_CANCELLED && s != PLUMB_E_MEMORY &&
		s != PLUMB_E_DEVICE && s != PLUMB_E_DRIVER && s != PLUMB_E_INTERNAL) {
		char why[1024]; /* the next failure overwrites it */
		snprintf(why, sizeof why, "%s", plumb_last_error());
		s = diag_report_without_reference(r, port, trusted, path, why, result);
	}
	if (s == PLUMB_E_FORMAT && path) /* cli_fail's advice is about models */
		return cli_complain(CLI_INPUT, "%s", plumb_last_error());
	if (s == PLUMB_E_ARGUMENT && !r->tokens)
		return cli_complain(
			CLI_USAGE, "%s (--tokens, --prompt or --chat gives the prompt)", plumb_last_error());
	if (s)
		return cli_fail(s);
	json_t *model = json_object_get(*result, "model");
	if (json_is_object(model))
		json_object_set_new(model, "file", cli_json_text(r->model));
	return CLI_OK;
}

static int diag_report_code_of(const json_t *result)
{
	const json_t *verdict = json_object_get(result, "verdict");
	return (int)json_integer_value(json_object_get(verdict ? verdict : result, "code"));
}

/* The graver of two verdicts: what was seen counts more than what could not be. */
static int diag_report_graver(int a, int b)
{
	static const int order[] = { PLUMB_DIVERGES, PLUMB_UNUSABLE, PLUMB_PRECISION, PLUMB_CONVENTION };
	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return a ? a : b;
}

/* Beside the file first, then renamed: whoever looks sees the old page or the new one. */
static int diag_report_write_page(const char *path, const char *html)
{
	size_t n = strlen(path);
	char *made = malloc(n + 12);
	if (!made)
		return cli_complain(CLI_ERROR, "no memory for a path");
	snprintf(made, n + 12, "%s.XXXXXX", path);
	int fd = mkstemp(made);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
	mode_t mask = umask(0);
	umask(mask);
	bool good = f && fchmod(fd, 0666 & ~mask) == 0 && fputs(html, f) >= 0;
	if (f && fclose(f))
		good = false;
	good = good && rename(made, path) == 0;
	int error = errno;
	if (!good && fd >= 0)
		unlink(made);
	free(made);
	return good ? CLI_OK
				: cli_complain(CLI_ERROR, "%s: the page cannot be written: %s", path, strerror(error));
}

static int diag_report_show_text(const json_t *result)
{
	char *json = json_dumps(result, JSON_REAL_PRECISION(9)),
		 *text = NULL; /* no memory: cli_starved says so */
	enum plumb_status s = json ? plumb_diag_text(json, &text) : PLUMB_E_MEMORY;
	free(json);
	if (s)
		return cli_fail(s);
	fputs(text, stdout);
	free(text);
	return CLI_OK;
}

static int diag_report_show_page(const struct cli_diag *r, const json_t *result)
{
	char *json = json_dumps(result, JSON_REAL_PRECISION(9)), *html = NULL;
	enum plumb_status s = json ? plumb_diag_html(json, &html) : PLUMB_E_MEMORY;
	free(json);
	int code = s ? cli_fail(s) : diag_report_write_page(r->html, html);
	free(html);
	for (size_t i = 0; !code && !r->common.json && i < (json_is_array(result) ? json_array_size(result) : 1);
		 i++) {
		const json_t *report = json_is_array(result) ? json_array_get(result, i) : result;
		if (json_is_array(result))
			printf("%s=== %s ===\n", i ? "\n" : "", r->refs[i]);
		code = diag_report_show_text(json_object_get(report, "verdict"));
	}
	if (!code && !r->common.json)
		printf("\nThe page: %s\n", r->html);
	return code;
}

int cli_diag_part(struct cli_diag *r, struct plumb_model *port, struct plumb_model *trusted)
{
	json_t *all = r->ref_count > 1 ? json_array() : NULL, *result = NULL;
	int worst = 0, code = CLI_OK;
	for (int i = 0; !code && i < (r->ref_count ? r->ref_count : 1); i++) {
		code = diag_report_one(r, port, trusted, r->ref_count ? r->refs[i] : NULL, &result);
		if (!code && diag_report_judges(r))
			worst = diag_report_graver(worst, diag_report_code_of(result));
		if (!code && all)
			json_array_append_new(all, result);
	}
	json_t *shown = all ? all : result;
	if (!code && r->html)
		code = diag_report_show_page(r, shown);
	if (!code && r->common.json)
		code = cli_json_print(json_incref(shown), false);
	else if (!code && !r->html)
		code = diag_report_show_text(shown);
	json_decref(shown);
	return code ? code : worst;
}
