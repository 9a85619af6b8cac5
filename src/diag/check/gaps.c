/* SPDX-License-Identifier: Apache-2.0 */
/* Looking up what errors.c has measured. */
#include <stdlib.h>
#include "diag/check/check.h"

const struct plumb_gap *plumb_gap_any(
	const struct plumb_errors *e, enum plumb_gap_kind kind, int layer, int point)
{
	if (layer < -1 || layer >= e->layers || point < 0 || point >= PLUMB_POINT_COUNT)
		return NULL;
	const struct plumb_gap *gap = &e->gap[kind][(layer + 1) * PLUMB_POINT_COUNT + point];
	return gap->have ? gap : NULL;
}

const struct plumb_gap *plumb_gap_at(
	const struct plumb_errors *e, enum plumb_gap_kind kind, int layer, int point)
{
	const struct plumb_gap *gap = plumb_gap_any(e, kind, layer, point);
	return gap && !gap->unsure ? gap : NULL;
}

const struct plumb_gap *plumb_gap_next(const struct plumb_errors *e, int layers, int *layer, int *point)
{
	while (plumb_point_after(layers, layer, point)) {
		const struct plumb_gap *gap = plumb_gap_at(e, PLUMB_ACCUMULATED, *layer, *point);
		if (gap)
			return gap;
	}
	return NULL;
}

void plumb_errors_free(struct plumb_errors *e)
{
	for (int i = 0; e && i < PLUMB_GAP_KINDS; i++)
		free(e->gap[i]);
	free(e);
}

enum plumb_input plumb_isolation_input(const struct plumb_diag *d, int layer)
{
	const struct plumb_capture *c = &d->fixed;
	const struct plumb_captured *p = plumb_capture_at(
		c, layer - 1, layer > 0 ? PLUMB_POINT_OUTPUT : PLUMB_POINT_EMBEDDINGS);
	return !p                              ? PLUMB_INPUT_OURS
		: p->first == 0 && p->rows >= d->n ? PLUMB_INPUT_REFERENCE
										   : PLUMB_INPUT_HYBRID;
}
