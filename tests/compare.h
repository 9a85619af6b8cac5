/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a session and compares what its tap shows with the tensors of a reference file. */
#ifndef PLUMB_COMPARE_H
#define PLUMB_COMPARE_H

#include <jansson.h>
#include "suite.h"

struct compare {
	const struct plumb_file *file;
	int64_t pos;      /* rows of the reference before the first row shown */
	int64_t compared; /* tensors found in the reference */
	double worst;     /* relative L2 */
	char where[64];
	const char *rounded;  /* a tensor whose reference is known to be inexact, and by how much: */
	double rounded_error; /* that is taken off before it counts */
	double few_sums; /* not 0: scores are held to so many times the bound; doc/numerics.md, "Whole models" */
};

/* "L3.output", or "final_norm" outside a layer. last_logits stands for logits of one row. */
static inline const struct plumb_file_tensor *compare_find(
	const struct compare *c, int layer, enum plumb_point point, int64_t rows)
{
	char name[64];
	if (layer >= 0)
		snprintf(name, sizeof name, "L%d.%s", layer, plumb_point_name(point));
	else
		snprintf(name, sizeof name, "%s",
			point == PLUMB_POINT_LOGITS && rows == 1 && plumb_file_find(c->file, "last_logits")
				? "last_logits"
				: plumb_point_name(point));
	return plumb_file_find(c->file, name);
}

static inline enum plumb_status compare_tap(
	void *user, int layer, enum plumb_point point, struct plumb_tensor *t)
{
	struct compare *c = user;
	const struct plumb_file_tensor *want = compare_find(c, layer, point, t->dim[0]);
	int64_t n = plumb_tensor_count(t);
	if (!want)
		return PLUMB_OK;
	/* The reference may hold rows of more tokens than were shown now: take the last ones. */
	const float *right = (const float *)want->data + (int64_t)(want->bytes / sizeof(float)) - n;
	if ((int64_t)(want->bytes / sizeof(float)) < n)
		return PLUMB_E_SHAPE;
	float *got = malloc(sizeof *got * (size_t)n);
	enum plumb_status s = plumb_tensor_read_f32(t, got, n);
	double error = relative_l2(got, right, n);
	char name[64];
	snprintf(name, sizeof name, "L%d.%s", layer, plumb_point_name(point));
	if (c->rounded && !strcmp(c->rounded, name))
		error -= c->rounded_error;
	if (c->few_sums > 0 && (point == PLUMB_POINT_ATTN_SCORES || point == PLUMB_POINT_ATTN_SOFTMAX))
		error /= c->few_sums;
	if (!(error <= c->worst)) {
		c->worst = error;
		memcpy(c->where, name, sizeof name);
	}
	c->compared++;
	free(got);
	return s;
}

/* A JSON list of ids in a string of the metadata. */
static inline int64_t compare_ids(const struct plumb_file *file, const char *key, int32_t ids[], int64_t room)
{
	const struct plumb_meta *m = plumb_file_meta_find(file, key);
	ck_assert_msg(m && m->kind == PLUMB_META_STRING, "no %s in the reference", key);
	json_t *list = json_loadb(m->s.p, m->s.n, 0, NULL);
	int64_t n = (int64_t)json_array_size(list);
	ck_assert(n > 0 && n <= room);
	for (int64_t i = 0; i < n; i++)
		ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
	json_decref(list);
	return n;
}

static inline int32_t best(const float *logits, int64_t n)
{
	int64_t at = 0;
	for (int64_t i = 1; i < n; i++)
		if (logits[i] > logits[at])
			at = i;
	return (int32_t)at;
}

/* Greedy continuation of n prompt tokens must be next[0 .. count). */
static inline void compare_greedy(
	struct plumb_session *s, const int32_t *prompt, int64_t n, const int32_t *next, int64_t count)
{
	int64_t rows, vocab = plumb_model_config(plumb_session_model(s))->vocab;
	const float *logits;
	ck_good(plumb_session_rewind(s, 0));
	ck_good(plumb_session_eval(s, prompt, n, PLUMB_LOGITS_LAST));
	for (int64_t i = 0; i < count; i++) {
		ck_good(plumb_session_logits(s, &logits, &rows));
		int32_t id = best(logits, vocab);
		ck_assert_msg(id == next[i], "token %lld is %d, expected %d", (long long)i, id, next[i]);
		if (i + 1 < count)
			ck_good(plumb_session_eval(s, &id, 1, PLUMB_LOGITS_LAST));
	}
}

#endif
