/* SPDX-License-Identifier: Apache-2.0 */
/* The result of a check as text for a terminal of 110 columns: the plain words first, then tables. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/diag.h>
#include "report/report.h"
#include "core/json.h"
#include "core/utf8.h"

#define WIDTH 110
#define NARROWEST 24 /* of a last column that is broken into lines */

/* Characters that a terminal shows for n bytes of UTF-8. */
static size_t text_characters(const char *text, size_t n)
{
	size_t width = 0;
	for (size_t i = 0; i < n; i++)
		width += ((unsigned char)text[i] & 0xc0) != 0x80;
	return width;
}

/* Bytes of `text` that fit into `width` characters, broken at a blank where there is one. */
static size_t text_fitting(const char *text, size_t width)
{
	size_t n = 0, blank = 0, shown = 0;
	while (text[n] && text[n] != '\n') {
		size_t step = 1;
		while (((unsigned char)text[n + step] & 0xc0) == 0x80)
			step++;
		if (text[n] == ' ')
			blank = n;
		if (++shown > width)
			return blank ? blank : n;
		n += step;
	}
	return n;
}

/* Lines of at most WIDTH; the first goes on at column `at`, the others begin at `indent`. */
static void text_wrap(struct plumb_string *s, const char *text, size_t at, size_t indent)
{
	for (bool first = true; *text || first; first = false) {
		size_t room = WIDTH > (first ? at : indent) + NARROWEST / 2 ? WIDTH - (first ? at : indent)
																	: NARROWEST / 2,
			   n = text_fitting(text, room);
		if (!first)
			plumb_string_format(s, "%*s", (int)indent, "");
		plumb_string_bytes(s, text, n);
		plumb_string_put(s, "\n");
		text += n;
		while (*text == ' ' || *text == '\n')
			text++;
	}
}

static void text_paragraph(struct plumb_string *s, const char *text)
{
	if (*text)
		text_wrap(s, text, 0, 0);
}

static void text_heading(struct plumb_string *s, const char *title)
{
	plumb_string_format(s, "\n%s\n", title);
	for (size_t i = 0; i < strlen(title); i++)
		plumb_string_put(s, "-");
	plumb_string_put(s, "\n");
}

static void text_fact(struct plumb_string *s, const char *name, const char *text)
{
	if (!*text)
		return;
	plumb_string_format(s, "%-11s ", name);
	text_wrap(s, text, 12, 12);
}

/* --- tables: widths are measured in one pass, written in the next --- */

struct layout {
	struct plumb_string *s;
	struct plumb_string cell;
	size_t width[15];
	int columns;
};

static void text_cell(struct layout *l, const struct plumb_column *c, const json_t *outer, const json_t *row)
{
	l->cell.n = 0;
	plumb_string_put(&l->cell, "");
	plumb_table_cell(&l->cell, c, outer, row);
	l->s->failed = l->s->failed || l->cell.failed;
}

static void text_measure(void *user, const struct plumb_table *table, const json_t *outer, const json_t *row)
{
	struct layout *l = user;
	for (int i = 0; i < l->columns; i++) {
		text_cell(l, &table->column[i], outer, row);
		size_t width = l->cell.failed ? 0 : text_characters(l->cell.text, l->cell.n);
		if (width > l->width[i])
			l->width[i] = width;
	}
}

static void text_write_row(
	void *user, const struct plumb_table *table, const json_t *outer, const json_t *row)
{
	struct layout *l = user;
	size_t at = 0;
	for (int i = 0; i < l->columns && !l->s->failed; i++) {
		const struct plumb_column *c = &table->column[i];
		text_cell(l, c, outer, row);
		if (l->cell.failed)
			return;
		size_t width = text_characters(l->cell.text, l->cell.n),
			   pad = l->width[i] > width ? l->width[i] - width : 0;
		if (i == l->columns - 1 && !plumb_table_right(c)) {
			text_wrap(l->s, l->cell.text, at, at);
			return;
		}
		if (plumb_table_right(c))
			plumb_string_format(l->s, "%*s", (int)pad, "");
		plumb_string_put(l->s, l->cell.text);
		if (i == l->columns - 1)
			break;
		plumb_string_format(l->s, "%*s", (int)(plumb_table_right(c) ? 2 : pad + 2), "");
		at += (l->width[i] > width ? l->width[i] : width) + 2;
	}
	plumb_string_put(l->s, "\n");
}

static void text_head(struct layout *l, const struct plumb_table *table)
{
	for (int i = 0; i < l->columns; i++) {
		const struct plumb_column *c = &table->column[i];
		int width = (int)l->width[i];
		bool last = i == l->columns - 1;
		if (plumb_table_right(c))
			plumb_string_format(l->s, "%*s%s", width, c->title, last ? "" : "  ");
		else
			plumb_string_format(l->s, "%-*s%s", last ? 0 : width, c->title, last ? "" : "  ");
	}
	plumb_string_put(l->s, "\n");
}

static void text_put_table(struct plumb_string *s, const struct plumb_table *table, const json_t *result,
	bool brief, const char *name)
{
	struct layout l = { .s = s };
	size_t rows = plumb_table_rows(table, result, false, NULL, NULL);
	while (table->column[l.columns].title)
		l.width[l.columns] = text_characters(
			table->column[l.columns].title, strlen(table->column[l.columns].title)),
		l.columns++;
	size_t shown = plumb_table_rows(table, result, brief, text_measure, &l);
	if (shown) {
		plumb_string_format(s, "\n%s", table->title);
		if (shown < rows)
			plumb_string_format(s, " (%zu of %zu; `plumb diag %s` shows all)", shown, rows, name);
		plumb_string_put(s, "\n");
		text_head(&l, table);
		plumb_table_rows(table, result, brief, text_write_row, &l);
		text_paragraph(s, table->note ? table->note : "");
	} else if (!brief && table->none && json_is_array(plumb_field(result, table->rows)))
		plumb_string_format(s, "\n%s: %s\n", table->title, table->none);
	free(l.cell.text);
}

static void text_put_lives(struct plumb_string *s, const json_t *channels, size_t most)
{
	for (size_t i = 0; i < json_array_size(channels) && i < most; i++) {
		const json_t *one = json_array_get(channels, i), *sentences = plumb_field(one, "chapters");
		if (json_array_size(sentences))
			plumb_string_format(s, "\nLife of channel %.0f at position %.0f\n",
				plumb_field_number(one, "channel"), plumb_field_number(one, "token"));
		for (size_t j = 0; j < json_array_size(sentences); j++) {
			plumb_string_format(s, "%3zu. ", j + 1);
			text_wrap(s, plumb_element_text(sentences, j), 5, 5);
		}
	}
}

static void text_put_list(struct plumb_string *s, const json_t *sentences)
{
	for (size_t i = 0; i < json_array_size(sentences); i++) {
		plumb_string_put(s, "  - ");
		text_wrap(s, plumb_element_text(sentences, i), 4, 4);
	}
}

/* said: its text was among the sentences of the verdict. */
static void text_put_check(
	struct plumb_string *s, const char *name, const json_t *result, bool brief, bool said)
{
	const struct plumb_check_row *row = plumb_check_named(name);
	const json_t *channels = plumb_field(result, "channels"), *lead = plumb_field(result, "lead"),
				 *others = plumb_field(result, "others");
	if (*plumb_field_text(result, "failed")) {
		plumb_string_put(s, "This check could not be made: ");
		text_wrap(s, plumb_field_text(result, "failed"), 29, 2);
		return;
	}
	text_put_list(s, lead);
	if (!said && !json_array_size(lead) &&
		!json_array_size(channels)) /* else the tables show it, or the chapters of the first channel */
		text_paragraph(s, plumb_field_text(result, "text"));
	for (size_t i = 0; !said && i < json_array_size(others); i++)
		text_paragraph(s, plumb_element_text(others, i));
	for (int i = 0; row && row->table[i]; i++)
		text_put_table(s, row->table[i], result, brief, name);
	text_put_lives(s, channels, brief ? 1 : SIZE_MAX);
}

/* --- reports --- */

static void text_put_verdict(struct plumb_string *s, const json_t *verdict)
{
	text_paragraph(s, plumb_field_text(verdict, "text"));
	text_put_list(s, plumb_field(verdict, "sentences"));
	if (!isnan(plumb_field_number(verdict, "code")))
		plumb_string_format(s, "  (%s; exit code %.0f)\n", plumb_field_text(verdict, "word"),
			plumb_field_number(verdict, "code"));
}

static void text_put_reference(struct plumb_string *s, const json_t *reference)
{
	const json_t *problems = plumb_field(reference, "problems");
	for (size_t i = 0; i < json_array_size(problems); i++) {
		const json_t *one = json_array_get(problems, i);
		struct plumb_string line = { NULL, 0, 0, false };
		const char *file = plumb_field_text(one, "file");
		plumb_string_format(&line, "%s%s%s; %s", file, *file ? ": " : "", plumb_field_text(one, "problem"),
			plumb_field_text(one, "consequence"));
		text_fact(s, i ? "" : "Problems", line.text ? line.text : "");
		free(line.text);
	}
}

static void text_put_facts(struct plumb_string *s, const json_t *report)
{
	struct plumb_string line = { NULL, 0, 0, false };
	plumb_string_format(&line, "%s, %.0f layers, %s", plumb_field_text(report, "model.name"),
		plumb_field_number(report, "model.layers"), plumb_field_text(report, "model.file"));
	text_fact(s, "Model", line.failed ? "" : line.text);
	line.n = 0;
	plumb_string_format(&line, "%s%s%s; trusted: %s", plumb_field_text(report, "driver"),
		*plumb_field_text(report, "fault") ? ", broken on purpose: " : "", plumb_field_text(report, "fault"),
		plumb_field_text(report, "trusted"));
	text_fact(s, "Port", line.failed ? "" : line.text);
	line.n = 0;
	plumb_string_format(&line, "%s (%s): %.0f tensors, %.0f position%s, %s",
		plumb_field_text(report, "reference.path"), plumb_field_text(report, "reference.format"),
		plumb_field_number(report, "reference.tensors"), plumb_field_number(report, "reference.positions"),
		plumb_field_number(report, "reference.positions") == 1 ? "" : "s",
		plumb_field_text(report, "precision.stored"));
	text_fact(s, "Reference",
		line.failed || !*plumb_field_text(report, "reference.format")
			? plumb_field_text(report, "reference.path")
			: line.text);
	text_put_reference(s, plumb_field(report, "reference"));
	line.n = 0;
	plumb_report_command(&line, report);
	text_fact(s, "Again", line.failed ? "" : line.text);
	s->failed = s->failed || line.failed;
	free(line.text);
	if (!isnan(plumb_field_number(report, "seconds")))
		plumb_string_format(s, "%-11s %.1f s\n", "Took", plumb_field_number(report, "seconds"));
}

static void text_put_report(struct plumb_string *s, const json_t *report)
{
	const struct plumb_check_row *row;
	text_put_verdict(s, plumb_field(report, "verdict"));
	plumb_string_put(s, "\n");
	text_put_facts(s, report);
	for (int i = 0; (row = plumb_check_row(i)); i++) {
		const json_t *result = plumb_report_section(report, row);
		if (!result)
			continue;
		text_heading(s, row->title);
		text_put_check(s, row->check->name, result, true, plumb_report_said(report, row));
	}
}

static void text_put_any(struct plumb_string *s, const json_t *result)
{
	const char *name = plumb_field_text(result, "part");
	if (!strcmp(name, "report"))
		text_put_report(s, result);
	else if (!strcmp(name, "verdict"))
		text_put_verdict(s, result);
	else {
		text_put_check(s, name, result, false, false);
		const json_t *reference = plumb_field(result, "reference");
		if (json_array_size(plumb_field(reference, "problems"))) {
			plumb_string_put(s, "\n");
			text_put_reference(s, reference);
		}
		if (*plumb_field_text(result, "environment")) {
			plumb_string_put(s, "\nWorkaround until it is fixed, run with:\n  ");
			plumb_string_put(s, plumb_field_text(result, "environment"));
			plumb_string_put(s, "\n");
		}
	}
}

enum plumb_status plumb_diag_text(const char *part_json, char **text)
{
	struct plumb_string s = { NULL, 0, 0, false };
	json_error_t error;
	*text = NULL;
	json_t *result;
	enum plumb_status read = plumb_json_read(&result, part_json, strlen(part_json), 0, &error);
	if (read)
		return plumb_fail_in(read, "the result");
	plumb_string_put(&s, "");
	if (json_is_array(result))
		for (size_t i = 0; i < json_array_size(result); i++) {
			const char *path = plumb_field_text(json_array_get(result, i), "reference.path");
			plumb_string_format(&s, "%s=== ", i ? "\n\n" : "");
			plumb_string_put(&s, *path ? path : "a report");
			plumb_string_put(&s, " ===\n");
			text_put_any(&s, json_array_get(result, i));
		}
	else
		text_put_any(&s, result);
	json_decref(result);
	if (s.failed) {
		free(s.text);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the text of a result");
	}
	plumb_utf8_plain(s.text, "\n"); /* whatever a result holds, and wherever it went */
	*text = s.text;
	return PLUMB_OK;
}
