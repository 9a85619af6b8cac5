/* SPDX-License-Identifier: Apache-2.0 */
/* Where a run first leaves the finite numbers: the same tokens once more, in small passes, with a tap on
 * every point. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "model/anatomy.h"
#include "model/model.h"

#define PASS 32    /* tokens at a time, as the scores of all points are held */
#define CHUNK 4096 /* elements of a weight at a time; whole blocks of every type */

struct finder {
	struct plumb_session *session;
	struct plumb_nonfinite *found;
	int64_t end; /* position after the tokens of this pass */
	bool fused;
	float *value;
	int64_t room;
};

int64_t plumb_first_nonfinite(const float *x, int64_t n)
{
	uint32_t all = 0;
	for (int64_t from = 0, k; from < n; from += k) { /* in blocks without a branch, which vectorise */
		k = n - from < 1024 ? n - from : 1024;
		for (int64_t i = 0; i < k; i++) {
			uint32_t bits;
			memcpy(&bits, &x[from + i], sizeof bits);
			all |= (bits & 0x7fffffff) >= 0x7f800000;
		}
		for (int64_t i = from; all && i < from + k; i++)
			if (!isfinite(x[i]))
				return i;
	}
	return -1;
}

/* Token position of an element, and whether the mask has hidden it (then infinity is right). */
static int64_t nonfinite_position_of(
	const struct finder *f, enum plumb_point point, const struct plumb_tensor *t, int64_t i, bool *masked)
{
	bool scores = point == PLUMB_POINT_ATTN_SCORES || point == PLUMB_POINT_ATTN_SOFTMAX;
	int64_t rows = scores ? t->dim[1] : t->dim[0], width = scores ? t->dim[2] : plumb_tensor_count(t) / rows;
	int64_t position = f->end - rows + i / width % rows;
	*masked = point == PLUMB_POINT_ATTN_SCORES && i % width > position;
	return position;
}

static enum plumb_status nonfinite_look(void *user, int layer, enum plumb_point point, struct plumb_tensor *t)
{
	struct finder *f = user;
	int64_t n = plumb_tensor_count(t);
	const struct plumb_made *made = plumb_model_made(f->session->model, (int)point);
	bool masked,
		kept = (point == PLUMB_POINT_K_ROPE || point == PLUMB_POINT_V_PROJ) &&
		f->session->kv_type == PLUMB_F16;
	if (n > f->room) {
		free(f->value);
		f->room = 0;
		if (!(f->value = malloc(sizeof *f->value * (size_t)n)))
			return plumb_fail(PLUMB_E_MEMORY, "no memory to look at %lld values", (long long)n);
		f->room = n;
	}
	PLUMB_TRY(plumb_tensor_read_f32(t, f->value, n));
	for (int64_t i = 0; i < n; i++) {
		bool overflow = kept && fabsf(f->value[i]) >= PLUMB_F16_ENDS && isfinite(f->value[i]);
		if (isfinite(f->value[i]) && !overflow)
			continue;
		int64_t position = nonfinite_position_of(f, point, t, i, &masked);
		if (masked)
			continue;
		*f->found = (struct plumb_nonfinite){
			.op = overflow ? "kv_store" : plumb_op_name((int)(f->fused ? made->fused : made->op)),
			.point = point,
			.layer = layer,
			.position = position,
			.value = (double)f->value[i],
			.cache = overflow
		};
		return plumb_fail(PLUMB_E_NONFINITE, "%s: %g", f->found->op, f->found->value);
	}
	return PLUMB_OK;
}

/* Evaluate all tokens from position 0 on until something is found (PLUMB_E_NONFINITE). */
static enum plumb_status nonfinite_search(struct finder *f, const int32_t *tokens, int64_t n, unsigned points)
{
	struct plumb_session *s = f->session;
	int64_t most = s->batch < PASS ? s->batch : PASS;
	enum plumb_status status = plumb_session_rewind(s, 0);
	plumb_session_tap(s, points, nonfinite_look, f);
	for (int64_t at = 0, part; !status && at < n; at += part) {
		part = n - at < most ? n - at : most;
		f->end = at + part;
		status = plumb_session_eval(
			s, tokens + at, part, at + part == n ? PLUMB_LOGITS_LAST : PLUMB_LOGITS_NONE);
	}
	return status;
}

/* The first tensor of the layer (-1: of none) that itself holds such a value. */
static void nonfinite_blame_weight(const struct plumb_model *m, struct plumb_nonfinite *found)
{
	float value[CHUNK];
	for (int64_t k = 0; k < plumb_file_tensors(m->file); k++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(m->file, k);
		struct plumb_span part;
		bool ours = plumb_tensor_layer(t->name, &part) == found->layer;
		size_t chunk = CHUNK / (size_t)plumb_type_block(t->type) * plumb_type_bytes(t->type);
		int64_t count = 1, i;
		for (int r = 0; r < t->rank; r++)
			count *= t->dim[r];
		for (int64_t at = 0; ours && at < count; at += CHUNK) {
			int64_t n = count - at < CHUNK ? count - at : CHUNK;
			if (plumb_type_to_f32(t->type, (const char *)t->data + (size_t)(at / CHUNK) * chunk, value, n))
				break;
			if ((i = plumb_first_nonfinite(value, n)) < 0)
				continue;
			found->weight = t->name;
			found->weight_index = at + i;
			found->weight_value = (double)value[i];
			return;
		}
	}
}

enum plumb_status plumb_session_nonfinite(
	struct plumb_session *s, const int32_t *tokens, int64_t n, struct plumb_nonfinite *found)
{
	struct finder f = { .session = s, .found = found };
	unsigned mask = s->tap_mask, inside = plumb_model_inside(s->model);
	plumb_tap_fn tap = s->tap;
	void *user = s->tap_user;
	*found = (struct plumb_nonfinite){ .op = NULL };
	enum plumb_status status = nonfinite_search(&f, tokens, n, PLUMB_POINTS_ALL);
	if (!status) { /* so it takes a fused operator */
		f.fused = true;
		status = nonfinite_search(&f, tokens, n, PLUMB_POINTS_ALL & ~inside);
		found->fused = status == PLUMB_E_NONFINITE;
	}
	if (status == PLUMB_E_NONFINITE && found->op && !found->cache)
		nonfinite_blame_weight(s->model, found);
	plumb_session_tap(s, mask, tap, user);
	free(f.value);
	if (status && !found->op)
		return status;
	return plumb_session_rewind(s, 0);
}
