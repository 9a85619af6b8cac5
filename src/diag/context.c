/* SPDX-License-Identifier: Apache-2.0 */
/* What the checks of one diagnosis share: runs made at most once, results, progress. Knows no check. */
#include <stdlib.h>
#include <string.h>
#include "diag/context.h"

#define SEED UINT64_C(0x706c756d62)

struct plumb_run plumb_diag_run(struct plumb_diag *d, bool trusted)
{
	return (struct plumb_run){ .model = trusted ? d->trusted : d->port,
		.tokens = d->tokens,
		.n = d->n,
		.last_layer = d->layers < d->config->layers ? d->layers - 1 : -1,
		.all_logits = d->n <= 64 ||
			(d->reference && d->reference->position >= 0 && d->reference->position != d->n - 1),
		.fault = trusted ? NULL : d->broken };
}

unsigned plumb_diag_points(const struct plumb_diag *d)
{
	return d->n > 128 ? PLUMB_POINTS_ALL & ~PLUMB_POINTS_SQUARE : PLUMB_POINTS_ALL;
}

static enum plumb_status context_run_all(
	struct plumb_diag *d, bool trusted, bool plain, const char *what, struct plumb_capture *out)
{
	struct plumb_run run = plumb_diag_run(d, trusted);
	if (!d->n)
		return plumb_fail(PLUMB_E_ARGUMENT, "this check needs the tokens of a prompt");
	run.points = plumb_diag_points(d);
	run.out = out;
	PLUMB_TRY(plumb_diag_progress(d, what, 0, 1));
	return plain ? plumb_run_watched(&run) : plumb_run_as_used(&run);
}

enum plumb_status plumb_diag_ours(struct plumb_diag *d, const struct plumb_capture **c)
{
	*c = &d->ours;
	return d->ours.captured ? PLUMB_OK : context_run_all(d, false, false, "running the port", &d->ours);
}

enum plumb_status plumb_diag_trusted(struct plumb_diag *d, const struct plumb_capture **c)
{
	if (d->trusted == d->port && !d->broken)
		return plumb_diag_ours(d, c);
	*c = &d->trusted_run;
	return d->trusted_run.captured
		? PLUMB_OK
		: context_run_all(d, true, false, "running the trusted driver", &d->trusted_run);
}

enum plumb_status plumb_diag_plain(struct plumb_diag *d, const struct plumb_capture **c)
{
	*c = &d->plain;
	return d->plain.captured ? PLUMB_OK
							 : context_run_all(d, true, true, "running the trusted driver", &d->plain);
}

enum plumb_status plumb_diag_progress(struct plumb_diag *d, const char *what, double done, double total)
{
	if (d->options.progress && !d->options.progress(d->options.user, what, done, total))
		return plumb_fail(PLUMB_E_CANCELLED, "stopped while %s", what);
	return PLUMB_OK;
}

enum plumb_stored plumb_diag_stored(const struct plumb_diag *d, enum plumb_stored reference)
{
	bool half = plumb_context_precision(plumb_model_context(d->port)) == PLUMB_FP16;
	return half && reference == PLUMB_STORED_FP32 ? PLUMB_STORED_FP16 : reference;
}

const struct plumb_problem *plumb_diag_problem(const struct plumb_diag *d, int index)
{
	const int given = d->reference ? d->reference->problems.n : 0;
	if (index < given)
		return &d->reference->problems.problem[index];
	return index - given < d->problems.n ? &d->problems.problem[index - given] : NULL;
}

/* Does the reference hold scores? Then its attention was computed step by step, each rounded; else fused
 * attention keeps them in float32. */
static bool context_has_inside(const struct plumb_reference *r)
{
	for (int i = 0; r && i < r->raw.layers; i++)
		if (plumb_capture_at(&r->raw, i, PLUMB_POINT_ATTN_SCORES) ||
			plumb_capture_at(&r->raw, i, PLUMB_POINT_ATTN_SOFTMAX))
			return true;
	return false;
}

enum plumb_status plumb_control_run(struct plumb_diag *d, int index, unsigned kept, struct plumb_capture *out)
{
	struct plumb_run run = plumb_diag_run(d, true);
	enum plumb_stored stored = plumb_diag_stored(
		d, d->reference ? plumb_reference_stored(d->reference) : PLUMB_STORED_FP32);
	unsigned points = plumb_diag_points(d);
	if (stored != PLUMB_STORED_FP32 && !context_has_inside(d->reference))
		points &= ~PLUMB_POINTS_SQUARE;
	run.points = kept & plumb_diag_points(d);
	run.out = out;
	return plumb_run_blurred(&run, stored, points, SEED + (uint64_t)index);
}

enum plumb_status plumb_diag_control(struct plumb_diag *d, const struct plumb_capture **c)
{
	*c = &d->control;
	if (d->control.captured)
		return PLUMB_OK;
	PLUMB_TRY(plumb_diag_progress(d, "running the rounded control run", 0, 1));
	return plumb_control_run(d, 0, PLUMB_POINTS_ALL, &d->control);
}

struct plumb_found {
	const struct plumb_check *check;
	void *result;
	struct plumb_found *next;
};

void plumb_found_free(struct plumb_found *found)
{
	for (struct plumb_found *next; found; found = next) {
		next = found->next;
		if (found->check->free && found->result)
			found->check->free(found->result);
		free(found->result);
		free(found);
	}
}

enum plumb_status plumb_check_result(
	struct plumb_diag *d, const struct plumb_check *check, const void **result)
{
	for (struct plumb_found *f = d->found; f; f = f->next)
		if (f->check == check) {
			*result = f->result;
			return PLUMB_OK;
		}
	*result = NULL;
	if (check->reference && !d->reference)
		return plumb_fail(PLUMB_E_ARGUMENT, "the check \"%s\" needs a reference", check->name);
	struct plumb_found *f = calloc(1, sizeof *f);
	if (f)
		f->check = check;
	if (!f || !(f->result = calloc(1, check->size))) {
		plumb_found_free(f);
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the result of \"%s\"", check->name);
	}
	bool outer = d->lost; /* a check may ask for others */
	d->lost = false;
	enum plumb_status s = check->find(d, f->result);
	if (!s && d->lost)
		s = plumb_fail(PLUMB_E_MEMORY, "no memory for the result of \"%s\"", check->name);
	d->lost = outer;
	if (s) {
		plumb_found_free(f);
		return s;
	}
	f->next = d->found;
	d->found = f;
	*result = f->result;
	return PLUMB_OK;
}

json_t *plumb_made_emit(struct plumb_diag *d, const void *result)
{
	(void)d;
	return json_incref(*(json_t *const *)result);
}

void plumb_made_free(void *result) { json_decref(*(json_t **)result); }

enum plumb_status plumb_check_json(struct plumb_diag *d, const struct plumb_check *check, json_t **json)
{
	const void *result;
	*json = json_object_get(d->cache, check->name);
	if (*json)
		return PLUMB_OK;
	PLUMB_TRY(plumb_check_result(d, check, &result));
	bool outer = d->lost;
	d->lost = false;
	json_t *made = check->emit(d, result);
	bool lost = d->lost;
	d->lost = outer;
	if (lost) {
		json_decref(made);
		made = NULL;
	}
	if (json_object_set_new(d->cache, check->name, made))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the result of \"%s\"", check->name);
	*json = made;
	return PLUMB_OK;
}

void plumb_diag_add(struct plumb_diag *d, json_t *list, json_t *value)
{
	d->lost |= json_array_append_new(list, value) != 0;
}

void plumb_diag_put(struct plumb_diag *d, json_t *object, const char *key, json_t *value)
{
	d->lost |= json_object_set_new(object, key, value) != 0;
}
