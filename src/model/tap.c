/* SPDX-License-Identifier: Apache-2.0 */
/* Showing what operators have made, at capture points: to the tap, and to the notes of float16's range. */
#include "model/family.h"
#include "model/model.h"

void plumb_session_tap(struct plumb_session *s, unsigned mask, plumb_tap_fn fn, void *user)
{
	s->tap = fn;
	s->tap_mask = fn ? mask & s->model->points
					 : 0; /* for others there is no row that says how they are made */
	s->tap_user = user;
}

enum plumb_status plumb_session_show(
	struct plumb_session *s, int layer, enum plumb_point point, struct plumb_tensor *t)
{
	plumb_overflow_note(s, layer, point);
	return s->tap && s->tap_mask >> point & 1 ? s->tap(s->tap_user, layer, point, t) : PLUMB_OK;
}
