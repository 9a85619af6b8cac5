/* SPDX-License-Identifier: Apache-2.0 */
/* Models that a test makes: a file of the family qwen2 with random weights in one of many forms, and what
 * such a model computes, by plain loops in float64 over the same numbers. Nothing of the library's arithmetic
 * is used here. */
#ifndef PLUMB_MODEL_MADE_H
#define PLUMB_MODEL_MADE_H

#include "../suite.h"
#include "../gguf_builder.h"

enum {
	MADE_LAYERS = 2,
	MADE_HIDDEN = 16,
	MADE_FFN = 24,
	MADE_HEADS = 4,
	MADE_KV = 2,
	MADE_VOCAB = 48,
	MADE_TOKENS = 40,
	MADE_MOST = 48 * 48
};
/* Their biases are bits of enum plumb_bias. */
enum { MADE_Q, MADE_K, MADE_V, MADE_O, MADE_GATE, MADE_UP, MADE_DOWN, MADE_MATRICES };

struct made {
	const char *name;
	int64_t key, value; /* widths of heads; 0: hidden / heads, and no key in the file */
	unsigned biases;
	enum plumb_type vectors;              /* of norms and biases */
	const char *scaling;                  /* rope.scaling.type; NULL: no key */
	double factor, old_factor;            /* rope.scaling.factor and rope.scale_linear; 0: no key */
	double turns;                         /* what positions are divided by */
	bool lists, own_output;               /* lists: layer counts as arrays of equal numbers */
	void (*more)(struct gguf_builder *g); /* writes further keys, ... */
	int more_keys;
	const char *extra;   /* ... and the name of a further tensor */
	const char *without; /* a tensor left out */
};

struct made_model {
	double embed[MADE_MOST], output[MADE_MOST], output_bias[MADE_VOCAB], norm[MADE_HIDDEN];
	struct {
		double norm[2][MADE_HIDDEN], w[MADE_MATRICES][MADE_MOST], b[MADE_MATRICES][MADE_MOST];
	} layer[MADE_LAYERS];
};

/* Write the file and keep its numbers. */
void made_write(const struct made *m, struct made_model *numbers, char path[64]);
/* Logits {MADE_TOKENS, MADE_VOCAB} of the tokens. */
void made_logits(
	const struct made *m, const struct made_model *numbers, const int32_t *tokens, float *logits);

void add_broken_tests(Suite *suite); /* broken.c */
void add_file_tests(Suite *suite);
void add_zero_tests(Suite *suite); /* zeros.c */
void add_f16_tests(Suite *suite);  /* f16.c */

#endif
