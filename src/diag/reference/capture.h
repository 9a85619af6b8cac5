/* SPDX-License-Identifier: Apache-2.0 */
/* Values by (layer, capture point), in float32: of one run, or of a reference. */
#ifndef PLUMB_DIAG_CAPTURE_H
#define PLUMB_DIAG_CAPTURE_H

#include <plumb/diag.h>
#include <plumb/model.h>
#include "core/core.h"
#include "model/anatomy.h"

/* Rows are positions of the prompt, `first` that of row 0; only scores and softmax differ: {heads * n, n},
 * first 0. */
struct plumb_captured {
	float *v; /* rows * width; NULL: absent */
	int64_t rows, width, first;
};
struct plumb_capture {
	int layers;
	struct plumb_captured *captured; /* (layers + 1) * PLUMB_POINT_COUNT, layer -1 first */
	bool borrowed;                   /* the values are another capture's, which outlives this one */
};
enum plumb_status plumb_capture_new(struct plumb_capture *c, int layers);
void plumb_capture_free(struct plumb_capture *c); /* harmless on a zeroed one */
/* The same captured tensors, which may be given other positions; the values stay those of `from`. */
enum plumb_status plumb_capture_borrow(struct plumb_capture *c, const struct plumb_capture *from);
/* NULL when nothing is there (or layer or point is outside). */
struct plumb_captured *plumb_capture_at(const struct plumb_capture *c, int layer, int point);
/* Room for a captured tensor that is kept there, replacing what was; values are not set. */
enum plumb_status plumb_capture_put(struct plumb_capture *c, int layer, int point, int64_t rows,
	int64_t width, int64_t first, struct plumb_captured **captured);
/* The rows that both have, as two pointers and a number of values; false when there are none or the widths
 * differ. */
bool plumb_captured_common(const struct plumb_captured *a, const struct plumb_captured *b, const float **va,
	const float **vb, int64_t *n);
/* Scores and softmax, {heads * n, n}: their rows are no positions alone, and they grow with the prompt's
 * square. */
#define PLUMB_POINTS_SQUARE (1u << PLUMB_POINT_ATTN_SCORES | 1u << PLUMB_POINT_ATTN_SOFTMAX)
static inline bool plumb_point_square(int point) { return PLUMB_POINTS_SQUARE >> point & 1; }
/* The residual stream between layers: embeddings, and the output of each layer. */
static inline bool plumb_point_chained(int point)
{
	return point == PLUMB_POINT_EMBEDDINGS || point == PLUMB_POINT_OUTPUT;
}
/* The next point of a model of so many layers in the order of evaluation: embeddings, the points of each
 * layer, final norm, logits. Begin with layer and point -1; false past the end. */
bool plumb_point_after(int layers, int *layer, int *point);
/* The same, visiting only what c holds. */
bool plumb_capture_next(const struct plumb_capture *c, int *layer, int *point);

#endif
