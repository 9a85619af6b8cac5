/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of a tokenizer from a file's metadata: each key that is missing, of another type or at odds with the
 * others. */
#include <stdlib.h>
#include <string.h>
#include <plumb/model.h>
#include <plumb/text.h>
#include "../gguf_builder.h"
#include "parts.h"
#include "tiny.h"

/* What to write of each key; NULL leaves the key out. */
struct keys {
	const char *model, *pre, *tokens, *merges;
	uint32_t types;
	int eos;
	const char *add_bos, *family;
	int64_t pad;
};

static void put_key(struct gguf_builder *g, const char *key, const char *text)
{
	if (text && !strcmp(text, "number")) {
		g_key(g, key, G_U32);
		g_u32(g, 1);
	} else if (text) {
		g_key(g, key, G_STRING);
		g_string(g, text);
	}
}

static void put_array(struct gguf_builder *g, const char *key, const char *text, const struct tiny *t)
{
	if (text && !strcmp(text, "floats")) {
		g_array(g, key, G_F32, 1);
		g_u32(g, 0);
	} else if (text && !strcmp(text, "good")) {
		bool tokens = strstr(key, "tokens") != NULL;
		size_t n = tokens ? t->v.tokens : t->v.merges;
		g_array(g, key, G_STRING, n);
		for (size_t i = 0; i < n; i++) {
			struct plumb_span s = tokens ? t->token[i] : t->merge[i];
			g_u64(g, s.n);
			g_bytes(g, s.p, s.n);
		}
	} else {
		put_key(g, key, text);
	}
}

static const struct {
	struct keys k;
	enum plumb_status status;
	const char *words;
} metas[] = {
	{ { "gpt2", "qwen2", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_OK, "" },
	{ { NULL, "qwen2", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"tokenizer.ggml.model is missing" },
	{ { "bert", "qwen2", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_UNSUPPORTED, "\"bert\"" },
	{ { "t5", "qwen2", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"tokenizer.ggml.scores is missing" },
	{ { "llama", "qwen2", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"tokenizer.ggml.scores is missing" },
	{ { "number", "qwen2", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"model is an integer, expected a string" },
	{ { "gpt2", NULL, "good", "good", 264, 261, NULL, "qwen2", 0 }, PLUMB_OK,
		"tokenizer.ggml.pre is missing" },
	{ { "gpt2", "", "good", "good", 264, 261, NULL, "qwen2", 0 }, PLUMB_OK, "tokenizer.ggml.pre is missing" },
	{ { "gpt2", NULL, "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"tokenizer.ggml.pre is missing" },
	{ { "gpt2", NULL, "good", "good", 264, 261, NULL, "llama", 0 }, PLUMB_E_FORMAT,
		"tokenizer.ggml.pre is missing" },
	{ { "gpt2", "qwen2", "good", "good", 264, 261, NULL, NULL, 4294967295 }, PLUMB_OK,
		"padding_token_id is 4294967295" },
	{ { "gpt2", "qwen2", "good", "good", 264, 261, NULL, NULL, 264 }, PLUMB_OK, "the padding token is 264" },
	{ { "gpt2", "deepseek-r1-qwen", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_OK, "" },
	{ { "gpt2", "wekken", "good", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_UNSUPPORTED, "\"wekken\"" },
	{ { "gpt2", "qwen2", NULL, "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"tokenizer.ggml.tokens is missing" },
	{ { "gpt2", "qwen2", "text", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"tokens is a string, expected an array" },
	{ { "gpt2", "qwen2", "floats", "good", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"each is a float, expected a string" },
	{ { "gpt2", "qwen2", "good", NULL, 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"tokenizer.ggml.merges is missing" },
	{ { "gpt2", "qwen2", "good", "floats", 264, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"each is a float, expected a string" },
	{ { "gpt2", "qwen2", "good", "good", 263, 261, NULL, NULL, 0 }, PLUMB_E_FORMAT,
		"263 token types for 264 tokens" },
	{ { "gpt2", "qwen2", "good", "good", 264, 264, NULL, NULL, 0 }, PLUMB_E_FORMAT, "the eos token is 264" },
	{ { "gpt2", "qwen2", "good", "good", 264, -5, NULL, NULL, 0 }, PLUMB_E_FORMAT, "eos_token_id is -5" },
	{ { "gpt2", "qwen2", "good", "good", 264, 261, "yes", NULL, 0 }, PLUMB_E_FORMAT,
		"add_bos_token is a string, expected a boolean" },
};

START_TEST(from_metadata)
{
	static struct gguf_builder g;
	const struct keys *k = &metas[_i].k;
	struct plumb_tokenizer *tok, *ours;
	struct plumb_file *file;
	struct tiny t;

	ours = text_small(&t);
	g_header(&g, 3, 0,
		1 + !!k->model + !!k->pre + !!k->tokens + !!k->merges + !!k->types + !!k->add_bos + !!k->family +
			!!k->pad);
	put_key(&g, "general.architecture", k->family);
	if (k->pad) {
		g_key(&g, "tokenizer.ggml.padding_token_id", G_U32);
		g_u32(&g, (uint32_t)k->pad);
	}
	put_key(&g, "tokenizer.ggml.model", k->model);
	put_key(&g, "tokenizer.ggml.pre", k->pre);
	put_array(&g, "tokenizer.ggml.tokens", k->tokens, &t);
	put_array(&g, "tokenizer.ggml.merges", k->merges, &t);
	g_key(&g, "tokenizer.ggml.eos_token_id", G_I32);
	g_u32(&g, (uint32_t)k->eos);
	put_key(&g, "tokenizer.ggml.add_bos_token", k->add_bos);
	if (k->types) {
		g_array(&g, "tokenizer.ggml.token_type", G_I32, k->types);
		for (uint32_t i = 0; i < k->types; i++)
			g_u32(&g, (uint32_t)t.kind[i]);
	}
	ck_good(plumb_file_from_memory(&file, g.bytes, g.n));
	if (metas[_i].status) {
		ck_bad(plumb_tokenizer_from_file(&tok, file), metas[_i].status, metas[_i].words);
		ck_assert_ptr_null(tok);
	} else {
		ck_good(plumb_tokenizer_from_file(&tok, file));
		const char *warning = plumb_tokenizer_warning(tok, 0);
		ck_assert_msg(warning ? *metas[_i].words && strstr(warning, metas[_i].words) : !*metas[_i].words,
			"%s", warning ? warning : "none");
		ck_assert_ptr_null(plumb_tokenizer_warning(tok, 1));
		plumb_file_close(file); /* all is copied */
		file = NULL;
		ck_assert_uint_eq(plumb_tokenizer_size(tok), 264);
		ck_assert_int_eq(plumb_tokenizer_eos(tok), 261);
		ck_assert_int_eq(plumb_tokenizer_bos(tok), -1);
		ck_assert(plumb_tokenizer_is_end(tok, 261));
		for (int32_t id = 0; id < 264; id++)
			ck_assert(plumb_token_bytes(tok, id).n == plumb_token_bytes(ours, id).n &&
				plumb_tokenizer_is_special(tok, id) == plumb_tokenizer_is_special(ours, id));
	}
	plumb_file_close(file);
	plumb_tokenizer_free(tok);
	plumb_tokenizer_free(ours);
}
END_TEST

/* Rows of the embedding beside 256 tokens: more have no text, fewer are refused. */
START_TEST(rows_and_tokens)
{
	static struct gguf_builder g;
	static const uint64_t rows[] = { 256, 257, 255 };
	struct plumb_tokenizer *tok;
	struct plumb_file *file;
	struct tiny t;

	tiny_init(&t);
	g_header(&g, 3, 1, 4);
	put_key(&g, "tokenizer.ggml.model", "gpt2");
	put_key(&g, "tokenizer.ggml.pre", "qwen2");
	put_array(&g, "tokenizer.ggml.tokens", "good", &t);
	put_array(&g, "tokenizer.ggml.merges", "good", &t);
	g_tensor(&g, "token_embd.weight", 0, 8, rows[_i], 0);
	g_data(&g, 32, (size_t)rows[_i] * 32);
	ck_good(plumb_file_from_memory(&file, g.bytes, g.n));
	if (_i == 2) {
		ck_bad(plumb_tokenizer_from_file(&tok, file), PLUMB_E_FORMAT,
			"has 256 tokens, token_embd.weight has rows for the first 255");
	} else {
		ck_good(plumb_tokenizer_from_file(&tok, file));
		const char *warning = plumb_tokenizer_warning(tok, 0);
		ck_assert(_i ? warning && strstr(warning, "257 rows, the tokenizer 256 tokens") : !warning);
	}
	plumb_file_close(file);
	plumb_tokenizer_free(tok);
}
END_TEST

TCase *text_metadata_case(void)
{
	TCase *c = tcase_create("metadata");

	text_add_loop(c, from_metadata, COUNT(metas));
	text_add_loop(c, rows_and_tokens, 3);
	return c;
}
