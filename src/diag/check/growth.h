/* SPDX-License-Identifier: Apache-2.0 */
/* What growth.c and jump.c share: the error step by step. Step k is after k layers, 0 the embeddings. */
#ifndef PLUMB_GROWTH_PRIVATE_H
#define PLUMB_GROWTH_PRIVATE_H

#include "diag/check/check.h"

struct plumb_step {
	bool have;                 /* the file and our output, as they stand */
	struct plumb_measure raw;
	double std_ours, std_reference, max_ours, max_reference;
	double norm;               /* of our output */
	double value, share;       /* of the massive channel: our value, its part in the squared error */
	const char *convention;    /* of the file */
	const struct plumb_gap *all, *one; /* conventions undone: accumulated, of this layer alone; NULL: nothing to compare */
	double growth_abs;         /* from the step before, as it stands */
	double growth_rel, growth_twin, growth_twin_abs; /* conventions undone; the twin's */
	const char *role;
};
struct plumb_growth {
	struct plumb_diag *d;
	const struct plumb_errors *errors;
	int steps;
	struct plumb_step *step;
	int64_t channel, token;    /* of the massive activation; -1: none */
	double peak, mean_rel, mean_abs;
};
#define PLUMB_JUMP 1.9         /* growth of the mean absolute error that asks for an explanation */
#define PLUMB_EXCEPTION 1.2    /* growth of the relative error that does */
/* Jumps with their kind and a sentence each. */
json_t *plumb_growth_jumps(const struct plumb_growth *g);
/* Why the relative error grows beyond PLUMB_EXCEPTION in this step; null when it does not. */
json_t *plumb_growth_cause(const struct plumb_growth *g, int k);

#endif
