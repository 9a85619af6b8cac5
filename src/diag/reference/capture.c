/* SPDX-License-Identifier: Apache-2.0 */
/* Captures: the values of one run, or of a reference, by layer and capture point. No run and no comparison
 * lives here. */
#include <stdlib.h>
#include <string.h>
#include "diag/reference/reference.h"

enum plumb_status plumb_capture_new(struct plumb_capture *c, int layers)
{
	*c = (struct plumb_capture){ .layers = layers };
	c->captured = calloc(((size_t)layers + 1) * PLUMB_POINT_COUNT, sizeof *c->captured);
	return c->captured ? PLUMB_OK
					   : plumb_fail(PLUMB_E_MEMORY, "no memory for the capture of %d layers", layers);
}

static struct plumb_captured *capture_slot(const struct plumb_capture *c, int layer, int point)
{
	bool inside = c->captured && point >= 0 && point < PLUMB_POINT_COUNT && layer >= -1 && layer < c->layers;
	return inside && plumb_point_in_layer(point) == (layer >= 0)
		? &c->captured[(layer + 1) * PLUMB_POINT_COUNT + point]
		: NULL;
}

void plumb_capture_free(struct plumb_capture *c)
{
	for (int i = 0; c->captured && !c->borrowed && i < (c->layers + 1) * PLUMB_POINT_COUNT; i++)
		free(c->captured[i].v);
	free(c->captured);
	*c = (struct plumb_capture){ .layers = 0 };
}

enum plumb_status plumb_capture_borrow(struct plumb_capture *c, const struct plumb_capture *from)
{
	PLUMB_TRY(plumb_capture_new(c, from->layers));
	memcpy(c->captured, from->captured, sizeof *c->captured * ((size_t)c->layers + 1) * PLUMB_POINT_COUNT);
	c->borrowed = true;
	return PLUMB_OK;
}

struct plumb_captured *plumb_capture_at(const struct plumb_capture *c, int layer, int point)
{
	struct plumb_captured *p = capture_slot(c, layer, point);
	return p && p->v ? p : NULL;
}

enum plumb_status plumb_capture_put(struct plumb_capture *c, int layer, int point, int64_t rows,
	int64_t width, int64_t first, struct plumb_captured **captured)
{
	struct plumb_captured *p = capture_slot(c, layer, point);
	size_t bytes;
	*captured = NULL;
	if (!p)
		return plumb_fail(PLUMB_E_ARGUMENT, "%s of layer %d is no capture point",
			plumb_point_name(point) ? plumb_point_name(point) : "?", layer);
	if (rows < 1 || width < 1 || rows > INT64_MAX / width ||
		!plumb_type_size(PLUMB_F32, rows * width, &bytes))
		return plumb_fail(
			PLUMB_E_SHAPE, "%lld rows of %lld values cannot be kept", (long long)rows, (long long)width);
	float *v = malloc(bytes);
	if (!v)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld values of %s", (long long)(rows * width),
			plumb_point_name(point));
	free(p->v);
	*p = (struct plumb_captured){ v, rows, width, first };
	*captured = p;
	return PLUMB_OK;
}

bool plumb_captured_common(const struct plumb_captured *a, const struct plumb_captured *b, const float **va,
	const float **vb, int64_t *n)
{
	if (!a || !b || !a->v || !b->v || a->width != b->width)
		return false;
	int64_t first = a->first > b->first ? a->first : b->first;
	int64_t end = a->first + a->rows < b->first + b->rows ? a->first + a->rows : b->first + b->rows;
	if (first >= end)
		return false;
	*va = a->v + (first - a->first) * a->width;
	*vb = b->v + (first - b->first) * b->width;
	*n = (end - first) * a->width;
	return true;
}

bool plumb_point_after(int layers, int *layer, int *point)
{
	bool start = *point < 0;
	if (!start && *layer < 0 && *point == PLUMB_POINT_EMBEDDINGS) {
		*layer = layers ? 0 : -1;
		*point = -1;
	}
	for (;;) {
		if (++*point == PLUMB_POINT_COUNT) {
			if (*layer < 0)
				return false;
			*layer = *layer + 1 < layers ? *layer + 1 : -1;
			*point = 0;
		}
		if (*point == PLUMB_POINT_EMBEDDINGS ? start : plumb_point_in_layer(*point) == (*layer >= 0))
			return true;
	}
}

bool plumb_capture_next(const struct plumb_capture *c, int *layer, int *point)
{
	while (plumb_point_after(c->layers, layer, point))
		if (plumb_capture_at(c, *layer, *point))
			return true;
	return false;
}
