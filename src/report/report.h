/* SPDX-License-Identifier: Apache-2.0 */
/* What text for a terminal and the page share: values out of a result's JSON, and the tables of each check.
 * How a table looks is not here: text.c and html_table.c. */
#ifndef PLUMB_REPORT_H
#define PLUMB_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>
#include "core/core.h"
#include "core/string.h"
#include "diag/checks.h"

/* --- field.c --- */
/* Value by keys with dots between ("measure.rel"); NULL: absent. */
const json_t *plumb_field(const json_t *root, const char *path);
double plumb_field_number(const json_t *root, const char *path);    /* NaN: absent or not finite */
const char *plumb_field_text(const json_t *root, const char *path); /* "": absent */
const char *plumb_element_text(const json_t *array, size_t i);      /* "": no text there */
bool plumb_field_true(const json_t *root, const char *path);        /* a true value */

int plumb_layer_count(const json_t *layers); /* one more than the largest `layer` of these rows */

/* --- section.c --- */
/* A check's result in a report when it has something to say, else NULL: also where it has no section of its
 * own. */
const json_t *plumb_report_section(const json_t *report, const struct plumb_check_row *row);
/* Is its text among the sentences of the report's verdict? */
bool plumb_report_said(const json_t *report, const struct plumb_check_row *row);

/* --- command.c --- */
/* The command line that makes this report again. */
void plumb_report_command(struct plumb_string *s, const json_t *report);

/* --- table.c --- */
/* Calls see for each row, outer first; returns the number of rows. brief: only the rows that `brief` keeps.
 */
typedef void (*plumb_table_fn)(
	void *user, const struct plumb_table *table, const json_t *outer, const json_t *row);
size_t plumb_table_rows(
	const struct plumb_table *table, const json_t *result, bool brief, plumb_table_fn see, void *user);
/* Text of a cell, "-" for nothing; not escaped. */
void plumb_table_cell(
	struct plumb_string *s, const struct plumb_column *column, const json_t *outer, const json_t *row);
bool plumb_table_right(const struct plumb_column *column); /* numbers go to the right */

#endif
