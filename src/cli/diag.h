/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `plumb diag` share: the parsed command line, and the steps that its sub-commands have in
 * common. */
#ifndef PLUMB_CLI_DIAG_H
#define PLUMB_CLI_DIAG_H

#include <plumb/diag.h>
#include "cli/cli.h"

struct cli_diag {
	struct cli_common common;
	const char *check, *model;
	char **refs; /* of the command line */
	int ref_count;
	const char *ids, *prompt, *chat, *fault, *out, *html, *good, *bad;
	long layer, layers; /* -1: all; 0: all */
	bool bins, help;
	unsigned points;  /* 0: all */
	double tolerance; /* 0: the library's */
	/* once a model is open */
	int32_t *tokens; /* NULL: not given */
	int64_t token_count;
};
/* --- diag_options.c --- */
/* Tokens of --tokens, --prompt or --chat; none is no failure. */
int cli_diag_tokens(struct cli_diag *r, const struct plumb_model *model);
/* Options of a diagnosis, with progress and Ctrl-C. */
struct plumb_diag_options cli_diag_options(const struct cli_diag *r);
/* Progress on a terminal; false once Ctrl-C was pressed. */
bool cli_diag_progress(void *user, const char *what, double done, double total);

/* --- diag_help.c --- */
/* What --help prints: of one check when `check` is the name of one, else all. */
void cli_diag_help(const struct cli_command *diag, const char *check);

/* --- diag_report.c --- */
/* A check against each reference: results printed, page written. */
int cli_diag_part(struct cli_diag *r, struct plumb_model *port, struct plumb_model *trusted);

/* --- diag_dump.c --- */
int cli_diag_dump(struct cli_diag *r, struct plumb_model *port);
bool cli_diag_points(const char *list, unsigned *points);

/* --- diag_bisect.c --- */
int cli_diag_bisect(struct cli_diag *r);

#endif
