/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary built by hand: the 256 bytes, then what a test adds. For tests and the fuzz target. */
#ifndef TESTS_TEXT_TINY_H
#define TESTS_TEXT_TINY_H

#include <plumb/text.h>
#include <string.h>

#define TINY_MOST 512

struct tiny {
	struct plumb_vocab v;
	struct plumb_span token[TINY_MOST], merge[TINY_MOST];
	int32_t kind[TINY_MOST];
	char alphabet[256][2]; /* code points of the byte alphabet as UTF-8 */
};

static inline void tiny_span(struct tiny *t, const char *p, size_t n, int32_t kind)
{
	t->token[t->v.tokens] = (struct plumb_span){ p, n };
	t->kind[t->v.tokens++] = kind;
}

static inline void tiny_token(struct tiny *t, const char *text, int32_t kind)
{
	tiny_span(t, text, strlen(text), kind);
}

static inline void tiny_merge(struct tiny *t, const char *text)
{
	t->merge[t->v.merges++] = (struct plumb_span){ text, strlen(text) };
}

/* Token b is byte b, for all b. */
static inline void tiny_init(struct tiny *t)
{
	int next = 256;

	memset(t, 0, sizeof(*t));
	for (int b = 0; b < 256; b++) {
		int plain = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
		int c = plain ? b : next++;
		if (c < 128)
			t->alphabet[b][0] = (char)c;
		else {
			t->alphabet[b][0] = (char)(0xc0 | c >> 6);
			t->alphabet[b][1] = (char)(0x80 | (c & 63));
		}
		tiny_span(t, t->alphabet[b], c < 128 ? 1 : 2, 1);
	}
	t->v.token = t->token;
	t->v.kind = t->kind;
	t->v.merge = t->merge;
	t->v.split = "qwen2";
	t->v.bos = t->v.eos = t->v.pad = -1;
}

#endif
