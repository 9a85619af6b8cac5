/* SPDX-License-Identifier: Apache-2.0 */
/* From the JSON of a tokenizer.json to steps that normalise and split text. */
#ifndef PLUMB_TEXT_STEPS_H
#define PLUMB_TEXT_STEPS_H

#include <jansson.h>
#include "text.h"

/* Read normalizer, pre_tokenizer and decoder: model, spaces, nfc, strip, normal and split of the tokenizer.
 * What is not understood is PLUMB_E_UNSUPPORTED with its name. */
enum plumb_status plumb_steps_read(struct plumb_tokenizer *tok, const json_t *root);
/* Add a step of the normaliser; the texts are copied. */
enum plumb_status plumb_steps_add_normal(
	struct plumb_tokenizer *tok, enum plumb_normal_kind kind, struct plumb_span from, struct plumb_span to);

#endif
