/* SPDX-License-Identifier: Apache-2.0 */
/* What convention.c, convention_fit.c and convention_text.c share: the readings of each file of a reference. */
#ifndef PLUMB_DIAG_CONVENTION_H
#define PLUMB_DIAG_CONVENTION_H

#include "diag/context.h"

#define PLUMB_MOST_GUESSES 16
/* One reading of a file: what it may really hold. */
struct plumb_guess {
	int shift;            /* layers away from the name's */
	bool normed;          /* by the model's final norm */
	int64_t first;        /* position of its first row */
	double scale, error;  /* error: relative L2 against the trusted run, massive channels bounded; INFINITY: not judged */
};
struct plumb_file_case {
	const char *name, *storage;
	int layer, point;
	struct plumb_plane *plane;
	int64_t told;         /* position of the first row, as told */
	struct plumb_guess guess[PLUMB_MOST_GUESSES], winner, runner_up;
	int guesses;
	double raw_error;
	int real_layer, real_point; /* where it went in d->fixed; real_point -1: nowhere */
};
struct plumb_judge {
	const struct plumb_capture *truth;
	float *weight, *normed; /* of the final norm (NULL: not found); work space */
	int64_t room;
	double eps;
	int layers;
	struct plumb_file_case *file;
	int files;
	int shift;            /* of the whole set */
	int64_t move;         /* positions, of the whole set */
};
/* Fill the file's guesses: the readings that the trusted run can be compared with. */
enum plumb_status plumb_convention_consider(struct plumb_judge *judge, struct plumb_file_case *file);
/* The part's JSON: winners, the set's name, and whether it is of this model and these tokens. */
enum plumb_status plumb_convention_report(struct plumb_judge *judge, struct plumb_diag *d, json_t **result);

#endif
