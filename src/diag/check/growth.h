/* SPDX-License-Identifier: Apache-2.0 */
/* The error step by step: what the check `growth` finds (growth.c), and the words for it (jump.c). Step k is
 * after k layers, 0 the embeddings. */
#ifndef PLUMB_GROWTH_PRIVATE_H
#define PLUMB_GROWTH_PRIVATE_H

#include "diag/context.h"

struct plumb_gap;
struct plumb_errors;
enum plumb_step_role {
	PLUMB_STEP_CLEAN,
	PLUMB_STEP_CULPRIT,
	PLUMB_STEP_VICTIM,
	PLUMB_STEP_AMPLIFIER,
	PLUMB_STEP_ABSORBER
};
enum plumb_jump_kind {
	PLUMB_JUMP_ROUNDING,
	PLUMB_JUMP_CONVENTION,
	PLUMB_JUMP_DIVERGENCE,
	PLUMB_JUMP_MASSIVE,
	PLUMB_JUMP_CANCELLATION
};
struct plumb_step {
	bool have; /* the file and our output, as they stand */
	struct plumb_measure raw;
	double std_ours, std_reference, max_ours, max_reference;
	double norm;         /* of our output */
	double value, share; /* of the massive channel: our value, its part in the squared error */
	bool as_named;       /* the file is what its name says */
	char convention[64]; /* what it is */
	const struct plumb_gap *all,
		*one;          /* conventions undone: accumulated, of this layer alone; NULL: nothing to compare */
	double growth_abs; /* from the step before, as it stands */
	double growth_rel, growth_control, growth_control_abs; /* conventions undone; the control run's */
	enum plumb_step_role role;
};
/* A step in which the mean absolute error grows so much that it asks for an explanation. */
struct plumb_jump {
	int step;
	enum plumb_jump_kind kind;
	char text[768];
};
struct plumb_growth_result {
	const struct plumb_errors *errors;
	int steps, jumps;
	struct plumb_step *step;
	struct plumb_jump *jump;
	int64_t channel, token; /* of the massive activation; -1: none */
	double peak, mean_rel, mean_abs;
	char text[512];
};
#define PLUMB_JUMP 1.9      /* growth of the mean absolute error that asks for an explanation */
#define PLUMB_EXCEPTION 1.2 /* growth of the relative error that does */
/* Fill jump, which has room for one of each step. */
void plumb_growth_jumps(struct plumb_growth_result *g);
const char *plumb_jump_name(enum plumb_jump_kind kind); /* "massive activation" */
/* Why the relative error grows beyond PLUMB_EXCEPTION in this step; null when it does not. */
json_t *plumb_growth_cause(const struct plumb_growth_result *g, int k);

#endif
