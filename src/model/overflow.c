/* SPDX-License-Identifier: Apache-2.0 */
/* Precision FP16: which layer, operator and position first leaves the range of float16, so that a user sees
 * what a port in float16 will do. */
#include <stdio.h>
#include "model/model.h"

void plumb_overflow_note(struct plumb_session *s, int layer, enum plumb_point point)
{
	struct plumb_f16_note *n = &s->model->ctx->f16;
	if (n->rows && !s->overflow.rows) {
		s->overflow = (struct plumb_overflow){
			.op = n->op, .point = point, .layer = layer, .position = n->row, .value = n->value
		};
		s->overflow_relative = !n->absolute;
		if (s->overflow_relative)
			s->overflow.position += s->first_row;
	}
	s->overflow.rows += n->rows;
	n->rows = 0;
}

/* From a row of the pass to a position of the sequence whose row it is. */
static void overflow_place(const struct plumb_segment *segment, int segments)
{
	struct plumb_session *lead = segment->session;
	const struct plumb_overflow found = lead->overflow;
	for (int i = 0; i < segments; i++) {
		struct plumb_session *s = segment[i].session;
		int64_t row = found.position - segment[i].first;
		if (row < 0 || row >= segment[i].rows)
			continue;
		lead->overflow_relative = false;
		if (s != lead)
			lead->overflow.rows = 0;
		if (s == lead || !s->overflow.rows)
			s->overflow = found;
		s->overflow.position = s->position + row;
		return;
	}
}

static void overflow_say(struct plumb_session *s)
{
	const struct plumb_overflow *o = &s->overflow;
	char layer[32] = "";
	if (!o->rows || s->overflow_said)
		return;
	s->overflow_said = true;
	if (o->layer >= 0)
		snprintf(layer, sizeof layer, "layer %d, ", o->layer);
	plumb_notice(s->model->ctx,
		"FP16 overflows, first in %soperator %s (%s), at position %lld: %g is past float16's largest, 65504, and goes on as infinity",
		layer, o->op, plumb_point_name(o->point), (long long)o->position, o->value);
}

void plumb_overflow_settle(const struct plumb_segment *segment, int segments)
{
	if (segment->session->overflow_relative)
		overflow_place(segment, segments);
	for (int i = 0; i < segments; i++)
		overflow_say(segment[i].session);
}

const struct plumb_overflow *plumb_session_overflow(const struct plumb_session *s)
{
	return s->overflow.rows ? &s->overflow : NULL;
}
