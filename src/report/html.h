/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of the page, one file each: style, tables, charts, heat map. html.c puts them together. */
#ifndef PLUMB_REPORT_HTML_H
#define PLUMB_REPORT_HTML_H

#include "report/report.h"

extern const char plumb_html_style[];

/* --- html_text.c --- */
void plumb_html_text(struct plumb_string *s, const char *text); /* escaped, also inside of "..." */

/* --- html_table.c --- */
/* The rows that matter, the whole table folded below them. */
void plumb_html_table(struct plumb_string *s, const struct plumb_table *table, const json_t *result);

/* --- html_chart.c --- */
struct plumb_series {
	const char *label, *look; /* look: class of the line, "ours", "reference", "floor", "isolated" */
	const double *v;          /* NaN: no value here */
};
struct plumb_mark {
	int at;
	char sign[12]; /* shown above the plot */
	const char *title;
};
struct plumb_chart {
	const char *title, *x, *y; /* y with its unit */
	bool log;
	int n;     /* values of each series, at x = 0, 1 ... */
	int count; /* series */
	struct plumb_series series[4];
	int marks;
	struct plumb_mark mark[24];
};
/* A figure with its title; nothing when no series has a value. */
void plumb_html_chart(struct plumb_string *s, const struct plumb_chart *chart);

/* --- html_growth.c: the charts of layers --- */
void plumb_html_growth(struct plumb_string *s, const json_t *growth);
void plumb_html_biography(struct plumb_string *s, const json_t *biography);

/* --- html_heat.c --- */
/* Layer x capture point; of a reference without inner points (components null) the outputs alone. */
void plumb_html_heat(struct plumb_string *s, const json_t *components, const json_t *growth);

#endif
