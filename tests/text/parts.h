/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of check_text share: its parts, the real tokenizers and how to compare ids. */
#ifndef TESTS_TEXT_PARTS_H
#define TESTS_TEXT_PARTS_H

#include <jansson.h>
#include <plumb/text.h>
#include "../suite.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
static inline void text_add_loop(TCase *c, const TTest *test, size_t n)
{
	tcase_add_loop_test(c, test, 0, (int)n);
}

TCase *text_sample_case(void);
TCase *text_vocab_case(void);
TCase *text_merges_case(void);
TCase *text_metadata_case(void);
TCase *text_json_case(void);
TCase *text_scores_case(void);
struct tiny;
/* A small vocabulary in t and its tokenizer; ids from 256: ab bc abc aa aaa <x> <x>y <u> */
struct plumb_tokenizer *text_small(struct tiny *t);
void text_add_chat(TCase *c); /* need what follows */
void text_add_stop(TCase *c);

extern struct plumb_tokenizer *qwen2, *qwen2_nfc; /* as the file says; with NFC on */
/* A JSON list below tests/data; fails when it is shorter. */
json_t *load(const char *name, size_t at_least);
/* Fails with the text and both lists. */
void ids_equal(const char *text, const int32_t *ids, size_t n, const json_t *expected);
/* Encode the odd strings and compare with NAME.ids of tests/data/text/tokenizers; bos is in front. */
void text_odd_strings(struct plumb_tokenizer *tok, const char *name);
/* All ids' bytes, one after the other, and a NUL; malloc'ed. */
char *decode(const struct plumb_tokenizer *t, const int32_t *ids, size_t n, size_t *size);

#endif
