/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of the page, from the declarations of diag/checks.c: each in a box that scrolls by itself. */
#include <stdlib.h>
#include <string.h>
#include "report/html.h"

#define LONG 48 /* characters from which on a cell may be broken into lines, but not too narrow */
#define SHORT 16
#define FOLDED 12 /* rows from which on a table begins folded */

static void html_table_put_row(
	void *user, const struct plumb_table *table, const json_t *outer, const json_t *row)
{
	struct plumb_string *s = user, cell = { NULL, 0, 0, false };
	plumb_string_put(s, "<tr>");
	for (const struct plumb_column *c = table->column; c->title; c++) {
		cell.n = 0;
		plumb_string_put(&cell, "");
		plumb_table_cell(&cell, c, outer, row);
		if (cell.failed)
			break;
		plumb_string_put(s,
			plumb_table_right(c) ? "<td class=n>"
				: cell.n > LONG  ? "<td class=\"t long\">"
				: cell.n > SHORT ? "<td class=\"t mid\">"
								 : "<td class=t>");
		plumb_html_text(s, cell.text);
		plumb_string_put(s, "</td>");
	}
	plumb_string_put(s, "</tr>\n");
	s->failed = s->failed || cell.failed;
	free(cell.text);
}

static void html_table_put(
	struct plumb_string *s, const struct plumb_table *table, const json_t *result, bool brief, bool caption)
{
	plumb_string_put(s, "<div class=scroll tabindex=0><table>");
	if (caption)
		plumb_string_format(s, "<caption>%s</caption>", table->title);
	plumb_string_put(s, "<thead><tr>");
	for (const struct plumb_column *c = table->column; c->title; c++)
		plumb_string_format(s, "<th scope=col%s>%s</th>", plumb_table_right(c) ? " class=n" : "", c->title);
	plumb_string_put(s, "</tr></thead>\n<tbody>\n");
	plumb_table_rows(table, result, brief, html_table_put_row, s);
	plumb_string_put(s, "</tbody></table></div>\n");
	if (table->note)
		plumb_string_format(s, "<p class=soft>%s</p>\n", table->note);
}

void plumb_html_table(struct plumb_string *s, const struct plumb_table *table, const json_t *result)
{
	size_t rows = plumb_table_rows(table, result, false, NULL, NULL),
		   shown = plumb_table_rows(table, result, true, NULL, NULL);
	bool fold = rows && (table->folded || (shown == rows && rows >= FOLDED));
	if (shown && !fold)
		html_table_put(s, table, result, true, true);
	else if (!shown && table->none && json_is_array(plumb_field(result, table->rows)))
		plumb_string_format(s, "<p class=empty>%s: %s</p>\n", table->title, table->none);
	if (!fold && shown == rows)
		return;
	plumb_string_format(s, "<details><summary>%s: all %zu rows</summary>\n", table->title, rows);
	html_table_put(s, table, result, false, false);
	plumb_string_put(s, "</details>\n");
}
