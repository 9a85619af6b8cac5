/* SPDX-License-Identifier: Apache-2.0 */
/* What the two faces of a result share, text for a terminal and a page: growing text, values out of JSON, and the tables of each part,
 * declared once. How a table looks is not here: text.c and html_table.c. */
#ifndef PLUMB_REPORT_SHOW_H
#define PLUMB_REPORT_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>
#include "core/core.h"
#include "core/string.h"

/* --- show.c --- */
void plumb_show_escaped(struct plumb_string *s, const char *text); /* for HTML, also inside of "..." */
void plumb_show_quoted(struct plumb_string *s, const char *text);  /* one word of a shell's command line */

/* Value by keys with dots between ("measure.rel"); NULL: absent. */
const json_t *plumb_show_at(const json_t *root, const char *path);
double plumb_show_number(const json_t *root, const char *path); /* NaN: absent or not finite */
const char *plumb_show_string(const json_t *root, const char *path); /* "": absent */
bool plumb_show_is(const json_t *root, const char *path); /* a true value */
/* Characters that a terminal shows for n bytes of UTF-8. */
size_t plumb_show_width(const char *text, size_t n);
/* The command line that makes this report again. */
void plumb_show_command(struct plumb_string *s, const json_t *report);

/* --- show_table.c: the tables --- */
enum plumb_cell { PLUMB_CELL_TEXT, PLUMB_CELL_WHOLE, PLUMB_CELL_REAL, PLUMB_CELL_FINE, PLUMB_CELL_SMALL, PLUMB_CELL_TIMES,
	PLUMB_CELL_SCORE, PLUMB_CELL_SHARE, PLUMB_CELL_FLAG };
struct plumb_show_column {
	const char *title, *path; /* path "^x": x of the outer row */
	enum plumb_cell kind;
};
struct plumb_show_table {
	const char *title;
	const char *rows;  /* array of rows in the part */
	const char *inner; /* NULL, or array in each of them, whose elements are the rows */
	bool (*brief)(const json_t *row); /* rows that a report shows first (or only); NULL: all */
	const char *none;  /* said when no row is brief */
	bool folded;       /* the page shows it in another form, so the table itself is folded */
	struct plumb_show_column column[15]; /* ends with title NULL */
};
struct plumb_show_part {
	const char *name, *title;
	const struct plumb_show_table *table[5]; /* ends with NULL */
};
const struct plumb_show_part *plumb_show_part(const char *name); /* NULL: no tables are known for it */
/* Calls see for each row, outer first; returns the number of rows. brief: only the rows that `brief` keeps. */
typedef void (*plumb_show_row_fn)(void *user, const struct plumb_show_table *table, const json_t *outer, const json_t *row);
size_t plumb_show_rows(const struct plumb_show_table *table, const json_t *part, bool brief, plumb_show_row_fn see, void *user);
/* Text of a cell, "-" for nothing; not escaped. */
void plumb_show_cell(struct plumb_string *s, const struct plumb_show_column *column, const json_t *outer, const json_t *row);
bool plumb_show_right(const struct plumb_show_column *column); /* numbers go to the right */

#endif
