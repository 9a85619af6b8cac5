/* SPDX-License-Identifier: Apache-2.0 */
/* What all checks of one diagnosis share: tokens, runs made at most once, results. */
#ifndef PLUMB_DIAG_CONTEXT_H
#define PLUMB_DIAG_CONTEXT_H

#include "diag/reference/reference.h"
#include "diag/run/fault.h"
#include "diag/measure/measure.h"

struct plumb_errors;
struct plumb_diag {
	struct plumb_model *port,
		*trusted; /* trusted: the driver `native` in float32, no fault; may be the port itself */
	const struct plumb_config *config;
	const struct plumb_reference *reference; /* NULL: none */
	struct plumb_problems problems;    /* found by this diagnosis, beside those that the reference has */
	struct plumb_capture given, fixed; /* its values: as read, each row at its position; after convention.c,
										  each at the point it really is of */
	struct plumb_diag_options options;
	struct plumb_fault fault;         /* put into the port on purpose; kind NULL: none */
	const struct plumb_fault *broken; /* &fault, or NULL when there is none: for plumb_run.fault */
	int32_t *tokens;
	int64_t n;
	int layers; /* that are evaluated */
	/* Made when first asked for (plumb_diag_ours ...), kept. */
	struct plumb_capture ours, trusted_run, plain,
		control; /* port's run; trusted run; the same through basic operators; rounded as the reference is */
	struct plumb_found *found;   /* results of checks that are done */
	json_t *cache;               /* their JSON by name, as far as it was asked for */
	bool other_prompt;           /* the reference declares other tokens than the user */
	bool lost;                   /* a row of the JSON that is being made could not be kept */
	struct plumb_errors *errors; /* plumb_diag_errors */
};
/* All points of the port's run, of the trusted run, of the control run. */
enum plumb_status plumb_diag_ours(struct plumb_diag *d, const struct plumb_capture **c);
enum plumb_status plumb_diag_trusted(struct plumb_diag *d, const struct plumb_capture **c);
/* The trusted run through basic operators alone: a run with a fault inside attention differs from it by the
 * fault, bit for bit. */
enum plumb_status plumb_diag_plain(struct plumb_diag *d, const struct plumb_capture **c);
/* A run in which every point is rounded as a run in the reference's precision would (and linear outputs carry
 * the error of rounded weights): how far a right port is from such a reference, and where. */
enum plumb_status plumb_diag_control(struct plumb_diag *d, const struct plumb_capture **c);
/* Control run number `index` (0: that of plumb_diag_control): the same errors drawn anew. */
enum plumb_status plumb_control_run(
	struct plumb_diag *d, int index, unsigned kept, struct plumb_capture *out);
/* The points that runs keep: all, but of a long prompt not the score matrices. */
unsigned plumb_diag_points(const struct plumb_diag *d);
/* A run of the port or of the trusted model over the diagnosis' tokens with these fields preset; add hooks,
 * then plumb_run_watched. */
struct plumb_run plumb_diag_run(struct plumb_diag *d, bool trusted);
/* Tell the user's progress function; PLUMB_E_CANCELLED when the user wants to stop. */
enum plumb_status plumb_diag_progress(struct plumb_diag *d, const char *what, double done, double total);
/* The result of a check, computed at most once: a struct plumb_NAME_result (check/check.h), borrowed.
 * PLUMB_E_ARGUMENT when it needs a reference and there is none. */
struct plumb_check;
enum plumb_status plumb_check_result(
	struct plumb_diag *d, const struct plumb_check *check, const void **result);
/* The same as JSON, for those outside; borrowed. */
enum plumb_status plumb_check_json(struct plumb_diag *d, const struct plumb_check *check, json_t **json);
void plumb_found_free(struct plumb_found *found);
/* A problem of the reference, those that it has before those that this diagnosis found; NULL past the end. */
const struct plumb_problem *plumb_diag_problem(const struct plumb_diag *d, int index);
/* What a comparison can tell: the reference's precision, or FP16 where that is finer and the port runs in it.
 */
enum plumb_stored plumb_diag_stored(const struct plumb_diag *d, enum plumb_stored reference);
/* For emit: append or set, taking the reference of value; when that fails (value NULL, too) emitting fails
 * with PLUMB_E_MEMORY. */
void plumb_diag_add(struct plumb_diag *d, json_t *list, json_t *value);
void plumb_diag_put(struct plumb_diag *d, json_t *object, const char *key, json_t *value);

/* A check answers one question. Its row says all that is known of it before it runs. */
struct plumb_check {
	const char *name;     /* `plumb diag NAME` */
	const char *question; /* that it answers, in plain words */
	bool reference;       /* needs one */
	size_t size;          /* of its result, which begins as zeros */
	enum plumb_status (*find)(struct plumb_diag *d,
		void *result); /* fills it; whatever it left there is freed, also when it fails */
	json_t *(*emit)(
		struct plumb_diag *d, const void *result); /* as JSON (doc/diagnosis.md); NULL: no memory */
	void (*free)(void *result);                    /* what the result points at; NULL: nothing */
};
/* For checks that make their JSON at once. */
json_t *plumb_made_emit(struct plumb_diag *d, const void *result);
void plumb_made_free(void *result);

#endif
