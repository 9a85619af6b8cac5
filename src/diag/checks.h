/* SPDX-License-Identifier: Apache-2.0 */
/* The table of checks: what help, the report, its text and its page know of each stands in its row and in the
 * check itself. */
#ifndef PLUMB_DIAG_CHECKS_H
#define PLUMB_DIAG_CHECKS_H

#include "diag/context.h"
#include "diag/table.h"

/* When a report makes a check. */
enum plumb_when {
	PLUMB_WHEN_ASKED, /* never: only `plumb diag NAME` does */
	PLUMB_WHEN_ALWAYS,
	PLUMB_WHEN_COMPARED, /* there is a reference */
	PLUMB_WHEN_INNER,    /* ... with points inside of layers */
	PLUMB_WHEN_JUDGED,   /* ... and the verdict found it of use */
	PLUMB_WHEN_DIVERGED  /* ... and a divergence */
};
/* What the page draws beside the tables. */
enum plumb_figure {
	PLUMB_FIGURE_NONE,
	PLUMB_FIGURE_LAYERS,
	PLUMB_FIGURE_HEAT,
	PLUMB_FIGURE_CHANNEL,
	PLUMB_FIGURE_NOTICED,
	PLUMB_FIGURE_CAUSES
};

struct plumb_check_row {
	const struct plumb_check *check; /* name, question, need of a reference, run */
	const char *title;               /* heading of its section in a report; NULL: none of its own */
	enum plumb_when when;
	int turn;     /* in the order of a report's work, from 1 on; 0: not made by it */
	double share; /* of a report's time, in percent, as usual */
	enum plumb_figure figure;
	const struct plumb_table *table[5]; /* ends with NULL */
};
/* In the order in which help lists them and text and page show them; NULL past the end. The last, bisect, has
 * no run: it is of two models. */
const struct plumb_check_row *plumb_check_row(int index);
const struct plumb_check_row *plumb_check_named(const char *name); /* NULL: none of that name */

#endif
