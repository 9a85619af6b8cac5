/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of a check's result, declared as data: which array, which columns, which rows matter most.
 * src/report draws them. */
#ifndef PLUMB_DIAG_TABLE_H
#define PLUMB_DIAG_TABLE_H

#include <stdbool.h>
#include <jansson.h>

enum plumb_cell {
	PLUMB_CELL_TEXT,
	PLUMB_CELL_WHOLE, /* an integer; below 0: nothing */
	PLUMB_CELL_REAL,  /* 4 digits */
	PLUMB_CELL_FINE,  /* 8 digits */
	PLUMB_CELL_SMALL, /* an error: 1.2e-06 */
	PLUMB_CELL_TIMES, /* a factor: 1.23x */
	PLUMB_CELL_SCORE, /* from 0 to 1 */
	PLUMB_CELL_SHARE, /* the same in percent */
	PLUMB_CELL_FLAG
};
struct plumb_column {
	const char *title, *path; /* path "^x": x of the outer row */
	enum plumb_cell kind;
};
struct plumb_table {
	const char *title;
	const char *rows;                 /* array of rows in the result */
	const char *inner;                /* NULL, or array in each of them, whose elements are the rows */
	bool (*of)(const json_t *row);    /* rows of the array that belong to this table; NULL: all */
	bool (*brief)(const json_t *row); /* rows that a report shows first (or only); NULL: all */
	const char *none;                 /* said when no row is brief */
	const char *note;                 /* below the table: what its columns mean; NULL: nothing */
	bool folded;                      /* the page shows it in another form, so the table itself is folded */
	struct plumb_column column[15];   /* ends with title NULL */
};

#endif
