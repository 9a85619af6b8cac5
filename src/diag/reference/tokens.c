/* SPDX-License-Identifier: Apache-2.0 */
/* Which tokens was a reference made with? Its embeddings are rows of the model's embedding matrix, perhaps
 * rounded or from another quantisation of it: the nearest row is the token. Knows no run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diag/reference/reference.h"

/* Rows farther than this (relative) are of other tokens: two unrelated rows are about 1.4 apart, 4-bit
 * weights 0.1. */
#define NEAR 0.25

struct search {
	const float *rows;
	int64_t n, width, step; /* columns that are dequantised at a time: whole blocks */
	float *row;             /* of the matrix */
	double *bound;          /* squared distance to be beaten, per row */
	int32_t *token;
};

/* Four sums, so that the compiler may overlap them. */
static double tokens_distance(const float *a, const float *b, int64_t n)
{
	double s[4] = { 0 };
	int64_t i = 0;
	for (; i + 4 <= n; i += 4)
		for (int j = 0; j < 4; j++)
			s[j] += ((double)a[i + j] - b[i + j]) * ((double)a[i + j] - b[i + j]);
	for (; i < n; i++)
		s[0] += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
	return s[0] + s[1] + s[2] + s[3];
}

/* One row of the matrix against all rows of the reference; blocks are dequantised only as far as some row
 * asks for them. */
static enum plumb_status tokens_try_token(
	struct search *s, int32_t id, enum plumb_type type, const unsigned char *data)
{
	int64_t have = 0;
	size_t step_bytes = (size_t)(s->step / plumb_type_block(type)) * plumb_type_bytes(type);
	for (int64_t r = 0; r < s->n; r++) {
		double sum = 0;
		for (int64_t at = 0; at < s->width && sum < s->bound[r]; at += s->step) {
			int64_t n = s->width - at < s->step ? s->width - at : s->step;
			if (have <= at) {
				PLUMB_TRY(
					plumb_type_to_f32(type, data + (size_t)(at / s->step) * step_bytes, s->row + at, n));
				have = at + n;
			}
			sum += tokens_distance(s->rows + r * s->width + at, s->row + at, n);
		}
		if (sum < s->bound[r]) {
			s->bound[r] = sum;
			s->token[r] = id;
		}
	}
	return PLUMB_OK;
}

static const struct plumb_file_tensor *tokens_matrix(
	const struct plumb_file *file, const struct plumb_config *c)
{
	const struct plumb_file_tensor *t = plumb_file_role(file, PLUMB_ROLE_EMBEDDING, -1);
	return t && plumb_type_is_weight(t->type) && t->rank == 2 && t->dim[1] == c->hidden &&
			t->dim[0] <= INT32_MAX
		? t
		: NULL;
}

static double tokens_norm2(const float *v, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		sum += (double)v[i] * v[i];
	return sum;
}

static enum plumb_status tokens_search(struct search *s, const struct plumb_file_tensor *m)
{
	enum plumb_status status = PLUMB_OK;
	size_t row_bytes = m->bytes / (size_t)m->dim[0];
	for (int64_t id = 0; id < m->dim[0] && !status; id++)
		status = tokens_try_token(
			s, (int32_t)id, m->type, (const unsigned char *)m->data + (size_t)id * row_bytes);
	return status;
}

enum plumb_status plumb_embedding_nearest(const struct plumb_file *file, const struct plumb_config *config,
	const float *rows, int64_t n, int32_t *token, double *away)
{
	const struct plumb_file_tensor *m = tokens_matrix(file, config);
	if (!m)
		return plumb_fail(
			PLUMB_E_FORMAT, "the model has no embedding matrix of width %lld", (long long)config->hidden);
	int64_t block = plumb_type_block(m->type);
	struct search s = { .rows = rows,
		.n = n,
		.width = config->hidden,
		.step = block < 32 ? 32 : block,
		.bound = away,
		.token = token,
		.row = malloc(sizeof *s.row * (size_t)config->hidden) };
	if (!s.row)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a row of embeddings");
	for (int64_t r = 0; r < n; r++) {
		token[r] = -1;
		away[r] = NEAR * NEAR * tokens_norm2(rows + r * s.width, s.width) +
			1e-30; /* an exact row must beat it, if it is all 0 too */
	}
	enum plumb_status status = tokens_search(&s, m);
	for (int64_t r = 0; r < n; r++)
		away[r] = token[r] < 0 ? INFINITY
							   : sqrt(away[r] / fmax(tokens_norm2(rows + r * s.width, s.width), 1e-30));
	free(s.row);
	return status;
}

static const struct plumb_captured *tokens_embeddings(const struct plumb_reference *r)
{
	const struct plumb_captured *p = plumb_capture_at(&r->raw, -1, PLUMB_POINT_EMBEDDINGS);
	return p ? p
			 : plumb_capture_at(&r->raw, 0, PLUMB_POINT_OUTPUT); /* where embeddings are counted as layer 0 */
}

enum plumb_status plumb_reference_find_tokens(const struct plumb_reference *r, const struct plumb_file *file,
	const struct plumb_config *config, int32_t **tokens, int64_t *count)
{
	*tokens = NULL;
	const struct plumb_captured *p = tokens_embeddings(r);
	if (!p)
		return plumb_fail(PLUMB_E_ARGUMENT,
			"%s declares no tokens, and holds no embeddings to find them from: give them", r->path);
	if (p->rows == 1 && r->position > 0)
		return plumb_fail(PLUMB_E_ARGUMENT,
			"%s is of position %lld and does not declare the tokens before it: give them", r->path,
			(long long)r->position);
	int32_t *token = malloc(sizeof *token * (size_t)p->rows);
	double *away = malloc(sizeof *away * (size_t)p->rows);
	enum plumb_status s = token && away
		? plumb_embedding_nearest(file, config, p->v, p->rows, token, away)
		: plumb_fail(PLUMB_E_MEMORY, "no memory for %lld tokens", (long long)p->rows);
	for (int64_t i = 0; i < p->rows && !s; i++)
		if (token[i] < 0)
			s = plumb_fail(PLUMB_E_FORMAT,
				"%s declares no tokens, and row %lld of its embeddings is near no row of the model's matrix: another model?",
				r->path, (long long)i);
	free(away);
	if (s) {
		free(token);
		return s;
	}
	*tokens = token;
	*count = p->rows;
	return PLUMB_OK;
}
