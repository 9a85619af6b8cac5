/* SPDX-License-Identifier: Apache-2.0 */
/* What convention.c, convention_fit.c and convention_text.c share: the readings of each file of a reference.
 */
#ifndef PLUMB_DIAG_CONVENTION_H
#define PLUMB_DIAG_CONVENTION_H

#include "diag/context.h"

#define PLUMB_MOST_GUESSES 16
/* One reading of a file: what it may really hold. */
struct plumb_guess {
	int shift;           /* layers away from the name's */
	bool normed;         /* by the model's final norm */
	int64_t first;       /* position of its first row */
	double scale, error; /* error: relative L2 against the trusted run, massive channels bounded; INFINITY:
							not judged */
};
struct plumb_file_case {
	const char *name, *storage;
	int layer, point;
	struct plumb_captured *captured;
	int64_t declared; /* position of the first row, as declared */
	struct plumb_guess guess[PLUMB_MOST_GUESSES], winner, runner_up;
	int guesses;
	double raw_error;
	int real_layer, real_point; /* where it went in d->fixed; real_point -1: nowhere */
};
enum plumb_same { PLUMB_SAME_UNKNOWN, PLUMB_SAME_NOT, PLUMB_SAME };
/* What the check finds. Names and storage are the reference's. */
struct plumb_convention_result {
	int layers; /* of the model */
	struct plumb_file_case *file;
	int files;
	int shift;       /* of the whole set */
	int64_t move;    /* positions, of the whole set */
	char name[2048]; /* of the set's convention */
	bool raw;        /* there is none */
	bool other_model;
	int32_t *other_tokens; /* those that its embeddings are of; NULL: the prompt's */
	int64_t others;
	double weights_differ;     /* of the embeddings, when beyond rounding; else 0 */
	enum plumb_same same_file; /* was it made from this file of weights? */
	char text[2048];
};
/* While it looks for it. */
struct plumb_judge {
	const struct plumb_capture *trusted_run;
	float *weight, *normed; /* of the final norm (NULL: not found); work space */
	int64_t room;
	double eps;
	struct plumb_convention_result *found;
};
/* Fill the file's guesses: the readings that the trusted run can be compared with. */
enum plumb_status plumb_convention_consider(struct plumb_judge *judge, struct plumb_file_case *file);
/* The set's name, whether it is of this model and these tokens, and all that in words. */
enum plumb_status plumb_convention_describe(struct plumb_diag *d, struct plumb_convention_result *convention);
json_t *plumb_convention_json(struct plumb_diag *d, const void *convention);
/* Is the file just what its name says? */
bool plumb_convention_raw(const struct plumb_file_case *file);
/* "final-normed, other position", "raw" */
const char *plumb_convention_name(
	const struct plumb_convention_result *convention, const struct plumb_file_case *file, char text[64]);

#endif
