/* SPDX-License-Identifier: Apache-2.0 */
/* One evaluation, watched: a fault, the capture and the hooks see each value in this order and may change it.
 * The only place that sets a tap. */
#include <stdlib.h>
#include <string.h>
#include "diag/run/fault.h"

#define MOST_TOKENS 2048 /* of one pass; a diagnosis of more would hold gigabytes */
#define BIT(point) (1u << (point))

struct watch {
	struct plumb_run *run;
	unsigned keep;
	float *v; /* the value at the point, on the host */
	int64_t room;
	bool stopped;
};

const struct plumb_captured *plumb_live_earlier(const struct plumb_live *live, enum plumb_point point)
{
	return live->run->earlier[point].v ? &live->run->earlier[point] : NULL;
}

enum plumb_status plumb_hook_feed(void *from, struct plumb_live *live)
{
	const struct plumb_captured *have = plumb_capture_at(from, live->layer, (int)live->point);
	struct plumb_captured here = { live->v, live->rows, live->width, live->first };
	const float *to, *values;
	int64_t n;
	if (!plumb_captured_common(&here, have, &to, &values, &n))
		return PLUMB_OK;
	memcpy(live->v + (to - live->v), values, sizeof *values * (size_t)n);
	live->changed = true;
	return PLUMB_OK;
}

static enum plumb_status run_read_value(struct watch *w, struct plumb_tensor *t)
{
	int64_t n = plumb_tensor_count(t);
	if (n > w->room) {
		free(w->v);
		w->room = 0;
		if (!(w->v = malloc(sizeof *w->v * (size_t)n)))
			return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld values at a capture point", (long long)n);
		w->room = n;
	}
	return plumb_tensor_read_f32(t, w->v, n);
}

static enum plumb_status run_write_value(const struct watch *w, struct plumb_tensor *t)
{
	int64_t n = plumb_tensor_count(t);
	if (t->type == PLUMB_F32)
		return plumb_tensor_write(t, w->v, sizeof *w->v * (size_t)n);
	double *wide = malloc(sizeof *wide * (size_t)n);
	if (!wide)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld values at a capture point", (long long)n);
	enum plumb_status s = plumb_type_from_f32(t->type, w->v, wide, n);
	if (!s)
		s = plumb_tensor_write(t, wide, plumb_tensor_bytes(t));
	free(wide);
	return s;
}

static enum plumb_status run_keep_value(struct plumb_captured *kept, const struct plumb_live *live)
{
	size_t bytes = sizeof *live->v * (size_t)(live->rows * live->width);
	float *v = realloc(kept->v, bytes);
	if (!v)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu bytes at a capture point", bytes);
	memcpy(v, live->v, bytes);
	*kept = (struct plumb_captured){ v, live->rows, live->width, live->first };
	return PLUMB_OK;
}

static bool run_acts(const struct plumb_fault *f, int layer, int point)
{
	return f && f->kind && f->kind->act && f->kind->points & BIT(point) &&
		(f->layer < 0 || layer < 0 || f->layer == layer);
}

static enum plumb_status run_see_all(struct watch *w, struct plumb_live *live)
{
	struct plumb_run *run = w->run;
	if (run_acts(run->fault, live->layer, (int)live->point))
		PLUMB_TRY(run->fault->kind->act(run->fault, live));
	if (run->out && run->points & BIT(live->point)) {
		struct plumb_captured *captured;
		PLUMB_TRY(plumb_capture_put(
			run->out, live->layer, (int)live->point, live->rows, live->width, live->first, &captured));
		memcpy(captured->v, live->v, sizeof *captured->v * (size_t)(live->rows * live->width));
	}
	for (int i = 0; i < run->hooks; i++)
		if (run->hook[i].points & BIT(live->point))
			PLUMB_TRY(run->hook[i].see(run->hook[i].user, live));
	if (w->keep & BIT(live->point))
		PLUMB_TRY(run_keep_value(&run->earlier[live->point], live));
	if (w->keep & BIT(PLUMB_POINT_EMBEDDINGS) &&
		live->point == PLUMB_POINT_OUTPUT) /* the next layer's input */
		PLUMB_TRY(run_keep_value(&run->earlier[PLUMB_POINT_EMBEDDINGS], live));
	return PLUMB_OK;
}

static enum plumb_status run_tap(void *user, int layer, enum plumb_point point, struct plumb_tensor *t)
{
	struct watch *w = user;
	PLUMB_TRY(run_read_value(w, t));
	int64_t width = t->dim[t->rank - 1], rows = plumb_tensor_count(t) / width;
	bool head = point == PLUMB_POINT_FINAL_NORM || point == PLUMB_POINT_LOGITS;
	struct plumb_live live = { w->run, layer, point, w->v, rows, width, head ? w->run->n - rows : 0, false };
	PLUMB_TRY(run_see_all(w, &live));
	if (live.changed)
		PLUMB_TRY(run_write_value(w, t));
	if (layer >= 0 && layer == w->run->last_layer && point == PLUMB_POINT_OUTPUT) {
		w->stopped = true;
		return PLUMB_E_CANCELLED;
	}
	return PLUMB_OK;
}

static unsigned run_mask_of(const struct plumb_run *run, unsigned *keep)
{
	const struct plumb_fault_kind *kind = run->fault ? run->fault->kind : NULL;
	*keep = run->keep | (kind ? kind->needs : 0);
	unsigned mask = *keep | (kind ? kind->points : 0) | (run->out ? run->points : 0);
	for (int i = 0; i < run->hooks; i++)
		mask |= run->hook[i].points;
	if (*keep & BIT(PLUMB_POINT_EMBEDDINGS) || run->last_layer >= 0)
		mask |= BIT(PLUMB_POINT_OUTPUT);
	return mask;
}

static enum plumb_status run_evaluate(struct plumb_run *run, struct watch *w)
{
	struct plumb_session *session;
	unsigned mask = run_mask_of(run, &w->keep);
	PLUMB_TRY(
		plumb_session_new(&session, run->model, PLUMB_SESSION_OPTIONS(.context = run->n, .batch = run->n)));
	plumb_session_tap(session, mask, run_tap, w);
	enum plumb_status s = plumb_session_eval(session, run->tokens, run->n,
		run->last_layer >= 0  ? PLUMB_LOGITS_NONE
			: run->all_logits ? PLUMB_LOGITS_ALL
							  : PLUMB_LOGITS_LAST);
	if (s == PLUMB_E_CANCELLED && w->stopped)
		s = PLUMB_OK;
	plumb_session_free(session);
	return s;
}

/* Move what the second run captured to the first one's. */
static enum plumb_status run_move_inside(struct plumb_capture *to, struct plumb_capture *from)
{
	for (int layer = 0; layer < from->layers; layer++)
		for (int point = 0; point < PLUMB_POINT_COUNT; point++) {
			struct plumb_captured *p = plumb_capture_at(from, layer, point), *q;
			if (!p)
				continue;
			PLUMB_TRY(plumb_capture_put(to, layer, point, p->rows, p->width, p->first, &q));
			memcpy(q->v, p->v, sizeof *p->v * (size_t)(p->rows * p->width));
		}
	return PLUMB_OK;
}

enum plumb_status plumb_run_as_used(struct plumb_run *run)
{
	const unsigned inside = plumb_model_inside(run->model);
	const struct plumb_fault_kind *kind = run->fault ? run->fault->kind : NULL;
	if (!run->out || !(run->points & inside) || (kind && (kind->points | kind->needs) & inside))
		return plumb_run_watched(run);
	struct plumb_capture within = { .layers = 0 };
	struct plumb_run whole = *run, basic = *run;
	whole.points &= ~inside;
	for (int i = 0; i < whole.hooks; i++)
		whole.hook[i].points &= ~inside;
	basic.points &= inside;
	basic.out = &within;
	PLUMB_TRY(plumb_run_watched(&whole));
	enum plumb_status s = plumb_run_watched(&basic);
	if (!s)
		s = run_move_inside(run->out, &within);
	plumb_capture_free(&within);
	if (s) /* whoever keeps it would take the first run's points for all that there are */
		plumb_capture_free(run->out);
	return s;
}

enum plumb_status plumb_run_watched(struct plumb_run *run)
{
	struct watch w = { .run = run };
	int layers = (int)plumb_model_config(run->model)->layers;
	if (run->n > MOST_TOKENS)
		return plumb_fail(
			PLUMB_E_LIMIT, "a diagnosis takes at most %d tokens, not %lld", MOST_TOKENS, (long long)run->n);
	if (run->out) {
		plumb_capture_free(run->out);
		PLUMB_TRY(plumb_capture_new(run->out, layers));
	}
	const struct plumb_fault *f = run->fault && run->fault->kind && run->fault->kind->exchange ? run->fault
																							   : NULL;
	enum plumb_status s = f ? plumb_model_exchange(run->model, f->layer, f->layer + 1) : PLUMB_OK;
	if (!s) {
		s = run_evaluate(run, &w);
		if (f)
			plumb_model_exchange(run->model, f->layer, f->layer + 1);
	}
	free(w.v);
	for (int i = 0; i < PLUMB_POINT_COUNT; i++) {
		free(run->earlier[i].v);
		run->earlier[i] = (struct plumb_captured){ NULL, 0, 0, 0 };
	}
	if (s && run->out)
		plumb_capture_free(run->out);
	return s;
}
