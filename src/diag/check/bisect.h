/* SPDX-License-Identifier: Apache-2.0 */
/* What the search of bisect and the telling of its result share. */
#ifndef PLUMB_DIAG_BISECT_H
#define PLUMB_DIAG_BISECT_H

#include "diag/check/check.h"

/* Slot 0 is what comes before the layers, 1 .. layers the layers, then what comes after them. */
struct bisect_state {
	struct plumb_context *ctx; /* bad's; the good driver is in it, too */
	struct plumb_session *session;
	const struct plumb_bisect_options *options;
	const char *good, *bad; /* names of drivers */
	const int32_t *tokens;
	int64_t n, vocab;
	int slots, runs, expected;
	double tolerance;
	float *right;                       /* logits of the good model */
	int32_t right_token, token;         /* token: of the last run */
	unsigned *moved;                    /* per slot: operators that the good driver runs */
	unsigned *present;                  /* operators that the bad driver ran there */
	unsigned before[PLUMB_MAX_DRIVERS]; /* avoid, as the user set it */
	uint64_t placed[PLUMB_OP_COUNT];    /* at the last tap; only while `present` is found out */
	bool looking;
};

struct findings {
	double bad, tapped, all, after; /* relative errors */
	int32_t bad_token, after_token;
	unsigned operators;  /* that must be moved */
	unsigned whole;      /* of these: in all layers */
	const char *trouble; /* why nothing was searched; NULL: it was */
	int units;
};

/* --- bisect_tell.c --- */
enum plumb_status plumb_bisect_describe(
	const struct bisect_state *state, const struct findings *findings, char **json);

#endif
