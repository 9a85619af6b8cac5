/* SPDX-License-Identifier: Apache-2.0 */
/* One self-contained page from the JSON of a report, or of several: no script, no request. Everything that
 * may come from a file is escaped. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/diag.h>
#include "report/html.h"
#include "core/json.h"

static void html_element(struct plumb_string *s, const char *open, const char *text, const char *close)
{
	if (!*text)
		return;
	plumb_string_put(s, open);
	plumb_html_text(s, text);
	plumb_string_put(s, close);
}

static void html_put_list(struct plumb_string *s, const json_t *sentences)
{
	if (!json_array_size(sentences))
		return;
	plumb_string_put(s, "<ul>\n");
	for (size_t i = 0; i < json_array_size(sentences); i++)
		html_element(s, "<li>", plumb_element_text(sentences, i), "</li>\n");
	plumb_string_put(s, "</ul>\n");
}

static void html_put_verdict(struct plumb_string *s, const json_t *verdict, const char *heading)
{
	double code = plumb_field_number(verdict, "code");
	plumb_string_put(s, "<div class=\"verdict ");
	plumb_html_text(s, plumb_field_text(verdict, "word"));
	plumb_string_format(s, "\">\n<%s>", heading);
	plumb_html_text(s,
		*plumb_field_text(verdict, "text") ? plumb_field_text(verdict, "text") : "No verdict could be made.");
	plumb_string_format(s, "</%s>\n", heading);
	html_put_list(s, plumb_field(verdict, "sentences"));
	html_element(
		s, "<p class=soft>In one word: <span class=word>", plumb_field_text(verdict, "word"), "</span>");
	if (!isnan(code))
		plumb_string_format(s, " (exit code %.0f)", code);
	plumb_string_put(s, *plumb_field_text(verdict, "word") ? "</p>\n</div>\n" : "</div>\n");
}

static void html_put_facts(struct plumb_string *s, const json_t *report)
{
	double positions = plumb_field_number(report, "reference.positions"),
		   seconds = plumb_field_number(report, "seconds");
	plumb_string_put(s, "<dl>\n");
	html_element(s, "<dt>Model</dt><dd>", plumb_field_text(report, "model.name"), "");
	plumb_string_format(s, "%s%.0f layers, width %.0f",
		*plumb_field_text(report, "model.name") ? "; " : "<dt>Model</dt><dd>",
		plumb_field_number(report, "model.layers"), plumb_field_number(report, "model.hidden"));
	html_element(s, "<br><code>", plumb_field_text(report, "model.file"), "</code>");
	plumb_string_put(s, "</dd>\n");
	html_element(s, "<dt>Port</dt><dd>", plumb_field_text(report, "driver"), "");
	html_element(s, ", broken on purpose: <code>", plumb_field_text(report, "fault"), "</code>");
	html_element(s,
		*plumb_field_text(report, "driver") ? "</dd>\n<dt>Trusted</dt><dd>" : "<dt>Trusted</dt><dd>",
		plumb_field_text(report, "trusted"), "</dd>\n");
	html_element(s, "<dt>Reference</dt><dd><code>", plumb_field_text(report, "reference.path"), "</code>");
	if (*plumb_field_text(report, "reference.format")) {
		html_element(s, "<br>", plumb_field_text(report, "reference.format"), "");
		plumb_string_format(s, ", %.0f tensors, %.0f position%s",
			plumb_field_number(report, "reference.tensors"), positions, positions == 1 ? "" : "s");
		html_element(s, ", stored as ", plumb_field_text(report, "precision.stored"), "");
	}
	plumb_string_put(s, "</dd>\n");
	const json_t *tokens = plumb_field(report, "tokens");
	if (json_array_size(tokens))
		plumb_string_put(s, "<dt>Tokens</dt><dd>");
	for (size_t i = 0; i < json_array_size(tokens); i++)
		plumb_string_format(
			s, "%s%lld", i ? ", " : "", (long long)json_integer_value(json_array_get(tokens, i)));
	plumb_string_put(s, json_array_size(tokens) ? "</dd>\n" : "");
	if (!isnan(seconds))
		plumb_string_format(s, "<dt>Took</dt><dd>%.1f s</dd>\n", seconds);
	plumb_string_put(s, "</dl>\n");
}

static void html_put_problems(struct plumb_string *s, const json_t *problems)
{
	if (!json_array_size(problems))
		return;
	plumb_string_put(s, "<h3>Problems of the reference</h3>\n<ul>\n");
	for (size_t i = 0; i < json_array_size(problems); i++) {
		const json_t *one = json_array_get(problems, i);
		html_element(s, "<li><code>", plumb_field_text(one, "file"), "</code>: ");
		html_element(s, *plumb_field_text(one, "file") ? "" : "<li>", plumb_field_text(one, "problem"), "");
		html_element(s, "; ", plumb_field_text(one, "consequence"), "");
		plumb_string_put(s, "</li>\n");
	}
	plumb_string_put(s, "</ul>\n");
}

static void html_put_blind(struct plumb_string *s, const json_t *result)
{
	const json_t *breaks = plumb_field(result, "breaks");
	for (int seen = 0; seen < 2; seen++) {
		size_t n = 0;
		for (size_t i = 0; i < json_array_size(breaks); i++) {
			const json_t *one = json_array_get(breaks, i);
			if (plumb_field_true(one, "seen") != (bool)seen)
				continue;
			if (!n++)
				plumb_string_put(
					s, seen ? "<h3>It would notice</h3>\n<ul>\n" : "<h3>It cannot notice</h3>\n<ul>\n");
			html_element(s, "<li>",
				*plumb_field_text(one, "what") ? plumb_field_text(one, "what")
											   : plumb_field_text(one, "name"),
				"");
			html_element(s, ": ", seen ? "" : plumb_field_text(one, "why"), "");
			plumb_string_put(s, "</li>\n");
		}
		plumb_string_put(s, n ? "</ul>\n" : "");
	}
}

static void html_put_causes(struct plumb_string *s, const json_t *result)
{
	const json_t *causes = plumb_field(result, "causes");
	plumb_string_put(s, "<ul class=bars>\n");
	for (size_t i = 0; i < json_array_size(causes) && i < 8; i++) {
		const json_t *one = json_array_get(causes, i);
		double score = fmin(fmax(plumb_field_number(one, "score"), 0), 1),
			   layer = plumb_field_number(one, "layer");
		html_element(s, "<li>",
			*plumb_field_text(one, "what") ? plumb_field_text(one, "what") : plumb_field_text(one, "name"),
			"");
		if (layer >= 0)
			plumb_string_format(s, ", layer %.0f", layer);
		plumb_string_format(s,
			": <b>%.2f</b><span class=bar><span style=\"width:%.0f%%\"></span></span></li>\n", score,
			100 * score);
	}
	plumb_string_put(s,
		"</ul>\n<p class=soft>1: the error has exactly the pattern that this break makes; 0: nothing in common.</p>\n");
}

/* What a check has besides its text and tables. */
static void html_put_figure(
	struct plumb_string *s, enum plumb_figure figure, const json_t *result, const json_t *report)
{
	switch (figure) {
	case PLUMB_FIGURE_NONE: return;
	case PLUMB_FIGURE_LAYERS:
		plumb_html_growth(s, result);
		if (!json_array_size(plumb_field(report, "components.layers")))
			plumb_html_heat(s, NULL, result);
		return;
	case PLUMB_FIGURE_HEAT: plumb_html_heat(s, result, NULL); return;
	case PLUMB_FIGURE_CHANNEL: plumb_html_biography(s, result); return;
	case PLUMB_FIGURE_NOTICED: html_put_blind(s, result); return;
	case PLUMB_FIGURE_CAUSES: html_put_causes(s, result); return;
	}
}

static void html_put_check(
	struct plumb_string *s, const struct plumb_check_row *row, const json_t *result, const json_t *report)
{
	const json_t *lead = plumb_field(result, "lead"), *others = plumb_field(result, "others");
	html_put_list(s, lead);
	if (!json_array_size(lead) &&
		!json_array_size(
			plumb_field(result, "channels"))) /* else the tables show it, or the first channel's picture */
		html_element(s, "<p class=lines>", plumb_field_text(result, "text"), "</p>\n");
	if (*plumb_field_text(result, "failed")) {
		html_element(s, "<p>This check could not be made: ", plumb_field_text(result, "failed"), "</p>\n");
		return;
	}
	html_put_figure(s, row->figure, result, report);
	for (size_t i = 0; i < json_array_size(others); i++)
		html_element(s, "<p>", plumb_element_text(others, i), "</p>\n");
	for (int i = 0; row->table[i]; i++)
		plumb_html_table(s, row->table[i], result);
}

static void html_put_checks(struct plumb_string *s, const json_t *report, int number)
{
	const struct plumb_check_row *row;
	for (int i = 0; (row = plumb_check_row(i)); i++) {
		const json_t *result = plumb_report_section(report, row);
		if (!result)
			continue;
		plumb_string_format(s, "<section id=r%d-%s>\n<h2>%s</h2>\n", number, row->check->name, row->title);
		html_put_check(s, row, result, report);
		plumb_string_put(s, "</section>\n");
	}
}

static void html_put_report(struct plumb_string *s, const json_t *report, int number, bool alone)
{
	const struct plumb_check_row *row;
	plumb_string_format(s, "<article id=r%d>\n<p class=kicker>", number);
	html_element(
		s, alone ? "plumb diag report: " : "Reference ", plumb_field_text(report, "reference.path"), "");
	plumb_string_put(s, "</p>\n");
	html_put_verdict(s, plumb_field(report, "verdict"), alone ? "h1" : "h2");
	plumb_string_put(s, "<nav aria-label=Checks><ul>\n");
	for (int i = 0; (row = plumb_check_row(i)); i++)
		if (plumb_report_section(report, row))
			plumb_string_format(
				s, "<li><a href=\"#r%d-%s\">%s</a></li>\n", number, row->check->name, row->title);
	plumb_string_put(s, "</ul></nav>\n");
	html_put_checks(s, report, number);
	plumb_string_put(s, "<section><h2>What was compared</h2>\n");
	html_put_facts(s, report);
	html_put_problems(s, plumb_field(report, "reference.problems"));
	struct plumb_string command = { NULL, 0, 0, false };
	plumb_report_command(&command, report);
	html_element(s, "<h3>To repeat it</h3>\n<pre>", command.failed ? "" : command.text, "</pre>\n");
	s->failed = s->failed || command.failed;
	free(command.text);
	plumb_string_put(s, "</section>\n</article>\n");
}

static void html_put_page(struct plumb_string *s, const json_t *root)
{
	size_t n = json_array_size(root);
	const json_t *first = json_is_array(root) ? json_array_get(root, 0) : root;
	plumb_string_put(s,
		"<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n<meta name=viewport content=\"width=device-width,initial-scale=1\">\n<title>");
	plumb_html_text(s,
		n > 1                                          ? "plumb: several references"
			: *plumb_field_text(first, "verdict.text") ? plumb_field_text(first, "verdict.text")
													   : "plumb: report");
	plumb_string_put(s, "</title>\n<style>\n");
	plumb_string_put(s, plumb_html_style);
	plumb_string_put(s, "</style>\n</head>\n<body>\n<main>\n");
	if (n > 1)
		plumb_string_format(s, "<h1>%zu references</h1>\n<ul>\n", n);
	for (size_t i = 0; n > 1 && i < n; i++) {
		const json_t *one = json_array_get(root, i);
		plumb_string_format(s, "<li><a href=\"#r%zu\">", i);
		plumb_html_text(s, plumb_field_text(one, "reference.path"));
		plumb_string_put(s, "</a>: ");
		plumb_html_text(s, plumb_field_text(one, "verdict.text"));
		plumb_string_put(s, "</li>\n");
	}
	plumb_string_put(s, n > 1 ? "</ul>\n" : "");
	for (size_t i = 0; i < (n ? n : 1); i++)
		html_put_report(s, json_is_array(root) ? json_array_get(root, i) : root, (int)i, n < 2);
	plumb_string_put(s, "</main>\n<footer>Made by plumb ");
	plumb_html_text(s, plumb_field_text(first, "plumb"));
	plumb_string_put(
		s, ". This page holds everything it shows and asks for nothing.</footer>\n</body>\n</html>\n");
}

static bool html_is_report(const json_t *root)
{
	bool all = json_array_size(root) > 0;
	for (size_t i = 0; i < json_array_size(root); i++)
		all = all && !strcmp(plumb_field_text(json_array_get(root, i), "part"), "report");
	return json_is_array(root) ? all : !strcmp(plumb_field_text(root, "part"), "report");
}

enum plumb_status plumb_diag_html(const char *report_json, char **html)
{
	struct plumb_string s = { NULL, 0, 0, false };
	json_error_t error;
	*html = NULL;
	json_t *root;
	enum plumb_status read = plumb_json_read(&root, report_json, strlen(report_json), 0, &error);
	if (read)
		return plumb_fail_in(read, "the report");
	bool good = html_is_report(root);
	if (good)
		html_put_page(&s, root);
	json_decref(root);
	if (!good)
		return plumb_fail(PLUMB_E_FORMAT, "only the result of \"report\" makes a page");
	if (s.failed) {
		free(s.text);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the page");
	}
	*html = s.text;
	return PLUMB_OK;
}
