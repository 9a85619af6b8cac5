/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer: built from a vocabulary, asked and freed. What a vocabulary can have wrong is found when it is
 * built, here, in tokens.c, merges.c and specials.c: an error where encoding needs it, else a warning.
 * Encoding is in bpe.c. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "text.h"

static bool tokenizer_is_id(const struct plumb_tokenizer *tok, int32_t id)
{
	return id == -1 || (id >= 0 && (size_t)id < tok->tokens);
}

/* What ends a turn or begins a text is needed; what fills up batches is not. */
static enum plumb_status tokenizer_read_ids(struct plumb_tokenizer *tok, const struct plumb_vocab *v)
{
	if (!tokenizer_is_id(tok, v->eos))
		return plumb_fail(
			PLUMB_E_FORMAT, "the eos token is %d, expected an id below %zu", (int)v->eos, tok->tokens);
	if (v->add_bos && v->bos == -1)
		return plumb_fail(PLUMB_E_FORMAT, "a bos token is to be added, but there is none");
	if (v->add_bos && !tokenizer_is_id(tok, v->bos))
		return plumb_fail(
			PLUMB_E_FORMAT, "the bos token is %d, expected an id below %zu", (int)v->bos, tok->tokens);
	if (!tokenizer_is_id(tok, v->bos))
		plumb_warn(tok, "the bos token is %d, there are %zu tokens; no text begins with it", (int)v->bos,
			tok->tokens);
	if (!tokenizer_is_id(tok, v->pad))
		plumb_warn(tok, "the padding token is %d, there are %zu tokens; plumb never needs it", (int)v->pad,
			tok->tokens);
	tok->bos = tokenizer_is_id(tok, v->bos) ? v->bos : -1;
	tok->eos = v->eos;
	tok->add_bos = v->add_bos;
	return PLUMB_OK;
}

enum plumb_status plumb_tokenizer_new(struct plumb_tokenizer **out, const struct plumb_vocab *v)
{
	struct plumb_tokenizer *tok = calloc(1, sizeof *tok);
	int16_t alphabet[PLUMB_ALPHABET];
	enum plumb_status s;
	*out = NULL;
	if (!tok)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a tokenizer");
	plumb_alphabet_fill(alphabet);
	memset(tok->byte_id, -1, sizeof tok->byte_id);
	if ((s = plumb_split_new(&tok->split, v->split)) || (s = plumb_tokens_read(tok, v, alphabet)) ||
		(s = plumb_merges_read(tok, v, alphabet)) || (s = plumb_specials_read(tok)) ||
		(s = tokenizer_read_ids(tok, v)))
		goto fail;
	tok->im_start = plumb_special_find(tok, "<|im_start|>");
	tok->im_end = plumb_special_find(tok, "<|im_end|>");
	tok->endoftext = plumb_special_find(tok, "<|endoftext|>");
	for (size_t i = 0; v->name && v->name[i] && i < sizeof tok->name - 1; i++)
		tok->name[i] = v->name[i] < ' ' || v->name[i] > '~' ? '?' : v->name[i];
	if (v->chat_template)
		plumb_template_read(tok, v->chat_template, strlen(v->chat_template));
	*out = tok;
	return PLUMB_OK;
fail:
	plumb_tokenizer_free(tok);
	return s;
}

void plumb_tokenizer_free(struct plumb_tokenizer *tok)
{
	if (!tok)
		return;
	plumb_split_free(tok->split);
	free(tok->bytes);
	free(tok->start);
	free(tok->kind);
	free(tok->by_bytes);
	free(tok->merge);
	free(tok->by_pair);
	free(tok->special);
	free(tok);
}

void plumb_tokenizer_normalise(struct plumb_tokenizer *tok, bool nfc) { tok->nfc = nfc; }
void plumb_tokenizer_add_bos(struct plumb_tokenizer *tok, bool add) { tok->add_bos = add && tok->bos >= 0; }

size_t plumb_tokenizer_size(const struct plumb_tokenizer *tok) { return tok->tokens; }
int32_t plumb_tokenizer_bos(const struct plumb_tokenizer *tok) { return tok->bos; }
int32_t plumb_tokenizer_eos(const struct plumb_tokenizer *tok) { return tok->eos; }

bool plumb_tokenizer_is_end(const struct plumb_tokenizer *tok, int32_t id)
{
	return id >= 0 && (id == tok->eos || id == tok->im_end || id == tok->endoftext);
}

/* User-defined tokens such as <tool_call> are part of what a model says: they are not special. */
bool plumb_tokenizer_is_special(const struct plumb_tokenizer *tok, int32_t id)
{
	return id >= 0 && (size_t)id < tok->tokens && tok->kind[id] != PLUMB_TOKEN_NORMAL &&
		tok->kind[id] != PLUMB_TOKEN_USER && tok->kind[id] != PLUMB_TOKEN_LITERAL;
}
