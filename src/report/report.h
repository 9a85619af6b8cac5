/* SPDX-License-Identifier: Apache-2.0 */
/* What text for a terminal and the page share: values out of a result's JSON, and the tables of each part. How a table looks is not here:
 * text.c and html_table.c. */
#ifndef PLUMB_REPORT_H
#define PLUMB_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>
#include "core/core.h"
#include "core/string.h"

/* --- field.c --- */
/* Value by keys with dots between ("measure.rel"); NULL: absent. */
const json_t *plumb_field(const json_t *root, const char *path);
double plumb_field_number(const json_t *root, const char *path); /* NaN: absent or not finite */
const char *plumb_field_text(const json_t *root, const char *path); /* "": absent */
bool plumb_field_true(const json_t *root, const char *path); /* a true value */

/* --- command.c --- */
/* The command line that makes this report again. */
void plumb_report_command(struct plumb_string *s, const json_t *report);

/* --- table.c --- */
enum plumb_cell { PLUMB_CELL_TEXT, PLUMB_CELL_WHOLE, PLUMB_CELL_REAL, PLUMB_CELL_FINE, PLUMB_CELL_SMALL, PLUMB_CELL_TIMES,
	PLUMB_CELL_SCORE, PLUMB_CELL_SHARE, PLUMB_CELL_FLAG };
struct plumb_column {
	const char *title, *path; /* path "^x": x of the outer row */
	enum plumb_cell kind;
};
struct plumb_table {
	const char *title;
	const char *rows;  /* array of rows in the part */
	const char *inner; /* NULL, or array in each of them, whose elements are the rows */
	bool (*brief)(const json_t *row); /* rows that a report shows first (or only); NULL: all */
	const char *none;  /* said when no row is brief */
	bool folded;       /* the page shows it in another form, so the table itself is folded */
	struct plumb_column column[15]; /* ends with title NULL */
};
struct plumb_section {
	const char *name, *title;
	const struct plumb_table *table[5]; /* ends with NULL */
};
const struct plumb_section *plumb_section(const char *name); /* NULL: no tables are known for it */
/* Calls see for each row, outer first; returns the number of rows. brief: only the rows that `brief` keeps. */
typedef void (*plumb_table_fn)(void *user, const struct plumb_table *table, const json_t *outer, const json_t *row);
size_t plumb_table_rows(const struct plumb_table *table, const json_t *part, bool brief, plumb_table_fn see, void *user);
/* Text of a cell, "-" for nothing; not escaped. */
void plumb_table_cell(struct plumb_string *s, const struct plumb_column *column, const json_t *outer, const json_t *row);
bool plumb_table_right(const struct plumb_column *column); /* numbers go to the right */

#endif
