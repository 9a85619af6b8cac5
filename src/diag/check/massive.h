/* SPDX-License-Identifier: Apache-2.0 */
/* Massive activations (Sun et al. 2024): what the check `biography` finds (massive.c), and how it is shown
 * (massive_text.c). */
#ifndef PLUMB_MASSIVE_PRIVATE_H
#define PLUMB_MASSIVE_PRIVATE_H

#include "diag/context.h"

/* |x| beyond both makes a massive activation; the median is of |x| of the same position after the same layer.
 * Sun et al. say "around 1,000"; but the neurons that write it raise the rest of the position, too:
 * Qwen2.5-0.5B's channel 62 is 1,600 = 685 medians. */
#define PLUMB_MASSIVE_LEAST 100.0
#define PLUMB_MASSIVE_OVER_MEDIAN 300.0
#define PLUMB_MASSIVE_STEP 0.05 /* a layer writes or removes when it moves |x| by this share of the peak */

enum plumb_event_kind { PLUMB_EVENT_WRITTEN, PLUMB_EVENT_CARRIED, PLUMB_EVENT_REMOVED };
/* What a layer does to a channel, and the neuron or head that does most of it; or layers that do nothing. */
struct plumb_event {
	enum plumb_event_kind kind;
	int layer, last;       /* of carrying layers the first and the last, else the same */
	double before, after;  /* the channel before and after the layer; carried: its smallest and largest |x| */
	double attention, ffn; /* what the two branches add; NaN: not captured */
	bool by_ffn;           /* the branch that moves it more in the direction it went */
	int64_t neuron, head;  /* with the largest contribution of the branch's sign; -1: not known */
	double share, value, weight; /* of the branch's sum; the neuron's activation and down_proj weight */
	int64_t rank_row,
		rank_column; /* of |weight| in its row (the channel) and column (the neuron); 1: largest */
};
struct plumb_massive_channel {
	int64_t channel, row;
	double size;                /* largest |x| after a layer: what they are ordered by */
	double *value;              /* after embeddings, after layer 0 ... */
	double peak;                /* the value of the largest size */
	int peak_layer;             /* -1: the embeddings */
	double median, over_median; /* of |x| there; the peak's size in it */
	double share, share_median; /* of the squared error in this channel: the largest of all layers and the */
	int share_layer;            /* median; -1: no reference */
	struct plumb_event *event;  /* in order of layers */
	const struct plumb_event *carried;          /* the longest; NULL: no layer carries it */
	int events, count[PLUMB_EVENT_REMOVED + 1]; /* all, and of each kind */
};
struct plumb_biography_result {
	struct plumb_massive_channel channel[64]; /* the largest first */
	int channels, found;                      /* followed through the layers; all */
};

json_t *plumb_biography_emit(struct plumb_diag *d, const void *result);

#endif
