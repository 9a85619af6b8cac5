/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that the operators' fronts share. Each names the tensor, what it is and what it
 * should be. */
#include <stdio.h>
#include "op/op.h"

enum plumb_status plumb_need_present(const struct plumb_tensor *t, const char *what)
{
	return t ? PLUMB_OK : plumb_fail(PLUMB_E_ARGUMENT, "%s is missing", what);
}

enum plumb_status plumb_need_shape(
	const struct plumb_tensor *t, const char *what, int rank, int64_t d0, int64_t d1, int64_t d2)
{
	const int64_t want[3] = { d0, d1, d2 };
	bool right = t->rank == rank;
	for (int i = 0; right && i < rank; i++)
		right = want[i] < 0 || t->dim[i] == want[i];
	if (right)
		return PLUMB_OK;
	char have[96], need[96] = "";
	size_t n = 0;
	for (int i = 0; i < rank && n < sizeof need; i++)
		n += (size_t)snprintf(
			need + n, sizeof need - n, want[i] < 0 ? "%sany" : "%s%lld", i ? ", " : "{", (long long)want[i]);
	return plumb_fail(
		PLUMB_E_SHAPE, "%s is %s, must be %s}", what, plumb_shape_text(t, have, sizeof have), need);
}

enum plumb_status plumb_need_activation(
	const struct plumb_tensor *t, const char *what, const struct plumb_tensor *like)
{
	if (t->type != PLUMB_F32 && t->type != PLUMB_F64)
		return plumb_fail(PLUMB_E_TYPE, "%s is %s, must be f32 or f64", what, plumb_type_name(t->type));
	if (like && like->type != t->type)
		return plumb_fail(PLUMB_E_TYPE, "%s is %s, must be %s as the output", what, plumb_type_name(t->type),
			plumb_type_name(like->type));
	return PLUMB_OK;
}

enum plumb_status plumb_need_type(const struct plumb_tensor *t, const char *what, enum plumb_type type)
{
	return t->type == type ? PLUMB_OK
						   : plumb_fail(PLUMB_E_TYPE, "%s is %s, must be %s", what, plumb_type_name(t->type),
								 plumb_type_name(type));
}

enum plumb_status plumb_need_cache(const struct plumb_tensor *t, const char *what)
{
	return t->type == PLUMB_F32 || t->type == PLUMB_F16 || t->type == PLUMB_F64
		? PLUMB_OK
		: plumb_fail(PLUMB_E_TYPE, "%s is %s, must be f32, f16 or f64", what, plumb_type_name(t->type));
}

enum plumb_status plumb_need_apart(
	const struct plumb_tensor *out, const struct plumb_tensor *t, const char *what, bool may_be_same)
{
	if (!t || out->buffer != t->buffer)
		return PLUMB_OK;
	size_t a = out->offset, b = t->offset, an = plumb_tensor_bytes(out), bn = plumb_tensor_bytes(t);
	if ((may_be_same && a == b && an == bn) || a + an <= b || b + bn <= a)
		return PLUMB_OK;
	return plumb_fail(PLUMB_E_ARGUMENT, "the output overlaps %s", what);
}

enum plumb_status plumb_need_attn(const struct plumb_attn *a, const struct plumb_tensor *q,
	const struct plumb_tensor *cache, const char *what)
{
	if (a->heads < 1 || a->kv_heads < 1 || a->heads % a->kv_heads)
		return plumb_fail(PLUMB_E_ARGUMENT, "%lld heads cannot share %lld key-value heads",
			(long long)a->heads, (long long)a->kv_heads);
	if (a->pos < 0)
		return plumb_fail(PLUMB_E_ARGUMENT, "position %lld is negative", (long long)a->pos);
	if (a->window < 0)
		return plumb_fail(PLUMB_E_ARGUMENT, "a window of %lld keys is negative", (long long)a->window);
	if (q->rank != 2 || q->dim[1] % a->heads)
		return plumb_fail(PLUMB_E_SHAPE, "rows of %lld are not %lld heads", (long long)q->dim[q->rank - 1],
			(long long)a->heads);
	PLUMB_TRY(plumb_need_cache(cache, what));
	PLUMB_TRY(plumb_need_shape(cache, what, 2, -1, a->kv_heads * (q->dim[1] / a->heads), -1));
	if (a->pos > cache->dim[0] - q->dim[0])
		return plumb_fail(PLUMB_E_SHAPE, "%s holds %lld positions, %lld are needed", what,
			(long long)cache->dim[0], (long long)(a->pos + q->dim[0]));
	return PLUMB_OK;
}

enum plumb_status plumb_need_normed(const struct plumb_call *c, const struct plumb_tensor *x,
	const struct plumb_tensor *norm, const char *what)
{
	PLUMB_TRY(plumb_need_present(x, "x"));
	PLUMB_TRY(plumb_need_present(norm, what));
	PLUMB_TRY(plumb_need_activation(x, "x", c->out));
	PLUMB_TRY(plumb_need_type(norm, what, PLUMB_F32));
	PLUMB_TRY(plumb_need_shape(x, "x", 2, -1, -1, -1));
	PLUMB_TRY(plumb_need_shape(norm, what, 1, x->dim[1], -1, -1));
	if (!(c->s.eps >= 0))
		return plumb_fail(PLUMB_E_ARGUMENT, "eps is %g, must not be negative", c->s.eps);
	return plumb_need_apart(c->out, norm, what, false);
}

enum plumb_status plumb_need_weight(
	const struct plumb_call *c, const struct plumb_tensor *w, const char *what, int64_t rows, int64_t columns)
{
	PLUMB_TRY(plumb_need_present(w, what));
	if (!plumb_type_is_weight(w->type))
		return plumb_fail(PLUMB_E_TYPE, "%s is %s, which is no weight type", what, plumb_type_name(w->type));
	PLUMB_TRY(plumb_need_shape(w, what, 2, rows, columns, -1));
	return plumb_need_apart(c->out, w, what, false);
}

enum plumb_status plumb_need_bias(
	const struct plumb_call *c, const struct plumb_tensor *b, const char *what, int64_t count)
{
	if (!b)
		return PLUMB_OK;
	PLUMB_TRY(plumb_need_type(b, what, PLUMB_F32));
	PLUMB_TRY(plumb_need_shape(b, what, 1, count, -1, -1));
	return plumb_need_apart(c->out, b, what, false);
}

double plumb_bytes_all(const struct plumb_call *call)
{
	double sum = (double)plumb_tensor_bytes(call->out);
	for (int i = 0; i < PLUMB_MAX_INPUTS; i++)
		if (call->in[i])
			sum += (double)plumb_tensor_bytes(call->in[i]);
	return sum;
}

double plumb_bytes_cache(const struct plumb_call *call, int64_t rows)
{
	double sum = plumb_bytes_all(call);
	for (int i = 1; i < 3; i++)
		if (call->in[i])
			sum -= (double)plumb_tensor_bytes(call->in[i]) / (double)call->in[i]->dim[0] *
				(double)(call->in[i]->dim[0] - rows);
	return sum;
}

enum plumb_status plumb_need_same(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *x = c->in[0];
	PLUMB_TRY(plumb_need_present(x, "x"));
	PLUMB_TRY(plumb_need_activation(y, "y", NULL));
	PLUMB_TRY(plumb_need_activation(x, "x", y));
	PLUMB_TRY(plumb_need_shape(x, "x", 2, -1, -1, -1));
	return plumb_need_shape(y, "y", 2, x->dim[0], x->dim[1], -1);
}

enum plumb_status plumb_need_row_index(const struct plumb_call *c)
{
	const struct plumb_tensor *y = c->out, *x = c->in[0];
	PLUMB_TRY(plumb_need_present(x, "x"));
	PLUMB_TRY(plumb_need_type(y, "y", PLUMB_I32));
	PLUMB_TRY(plumb_need_activation(x, "x", NULL));
	PLUMB_TRY(plumb_need_shape(x, "x", 2, -1, -1, -1));
	PLUMB_TRY(plumb_need_shape(y, "y", 1, x->dim[0], -1, -1));
	if (x->dim[1] > INT32_MAX)
		return plumb_fail(PLUMB_E_SHAPE, "a row of %lld has indices beyond 32 bits", (long long)x->dim[1]);
	return plumb_need_apart(y, x, "x", false);
}

enum plumb_status plumb_need_alike(const struct plumb_call *c, const char *first, const char *second)
{
	const char *const names[2] = { first, second };
	char shape[96];
	for (int i = 0; i < 2; i++) {
		PLUMB_TRY(plumb_need_present(c->in[i], names[i]));
		PLUMB_TRY(plumb_need_activation(c->out, "y", NULL));
		PLUMB_TRY(plumb_need_activation(c->in[i], names[i], c->out));
		if (!plumb_shape_same(c->out, c->in[i]))
			return plumb_fail(PLUMB_E_SHAPE, "%s is %s, not of the output's shape", names[i],
				plumb_shape_text(c->in[i], shape, sizeof shape));
		PLUMB_TRY(plumb_need_apart(c->out, c->in[i], names[i], true));
	}
	return PLUMB_OK;
}
