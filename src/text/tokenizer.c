/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer: built from a vocabulary, asked and freed. What a vocabulary can have wrong is found when it is
 * built, here, in tokens.c, merges.c, scores.c and specials.c: an error where encoding needs it, else a
 * warning. Encoding is in encode.c. */
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
	if (v->add_eos && v->eos == -1)
		return plumb_fail(PLUMB_E_FORMAT, "an eos token is to be added, but there is none");
	tok->bos = tokenizer_is_id(tok, v->bos) ? v->bos : -1;
	tok->eos = v->eos;
	tok->add_bos = v->add_bos;
	tok->add_eos = v->add_eos;
	return PLUMB_OK;
}

/* What ends a turn: what the vocabulary says, and the tokens that do so in every model that has them. */
static enum plumb_status tokenizer_read_ends(struct plumb_tokenizer *tok, const struct plumb_vocab *v)
{
	static const char *const names[] = { "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>",
		"<end_of_turn>", "<|end|>", "<|end_of_text|>" };
	enum plumb_status status = tok->eos < 0 ? PLUMB_OK : plumb_ids_add(&tok->end, tok->eos);
	for (size_t i = 0; !status && i < sizeof names / sizeof names[0]; i++) {
		int32_t id = plumb_special_find(tok, names[i]);
		if (id >= 0 && plumb_tokenizer_is_special(tok, id))
			status = plumb_ids_add(&tok->end, id);
	}
	for (size_t i = 0; !status && i < v->ends; i++) {
		if (v->end[i] >= 0 && (size_t)v->end[i] < tok->tokens)
			status = plumb_ids_add(&tok->end, v->end[i]);
		else
			plumb_warn(tok, "%d is to end a turn, there are %zu tokens; no turn ends with it", (int)v->end[i],
				tok->tokens);
	}
	return status;
}

static enum plumb_status tokenizer_add_normal(
	struct plumb_tokenizer *tok, enum plumb_normal_kind kind, const char *from, const char *to)
{
	struct plumb_normal *step = &tok->normal[tok->normals];
	char *a = strdup(from), *b = strdup(to);
	*step = (struct plumb_normal){ .kind = kind, .from = { a, strlen(from) }, .to = { b, strlen(to) } };
	tok->normals++;
	return a && b ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for a tokenizer");
}

static enum plumb_status tokenizer_take_scores(struct plumb_tokenizer *tok, const struct plumb_vocab *v)
{
	double *score = calloc(v->tokens, sizeof *score);
	enum plumb_status status;
	if (!score)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu scores", v->tokens);
	for (size_t i = 0; i < v->tokens; i++)
		score[i] = v->score[i];
	status = plumb_scores_take(tok, score);
	free(score);
	return status;
}

/* SentencePiece as a GGUF has it: blanks are marked, and a text begins with one. */
static enum plumb_status tokenizer_read_sentencepiece(
	struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet)
{
	enum plumb_status s;
	tok->spaces = true;
	tok->strip = v->space_prefix;
	tok->unk = v->unk >= 0 && (size_t)v->unk < v->tokens ? v->unk : -1;
	s = tokenizer_add_normal(tok, PLUMB_NORMAL_REPLACE, PLUMB_SPACE_MARK, " ");
	if (!s && v->squeeze_spaces)
		s = tokenizer_add_normal(tok, PLUMB_NORMAL_SQUEEZE, "", "");
	if (!s && v->space_prefix)
		s = tokenizer_add_normal(tok, PLUMB_NORMAL_PREPEND, "", " ");
	if (s || (s = plumb_tokens_read(tok, v, alphabet)))
		return s;
	return v->model == PLUMB_VOCAB_UNIGRAM ? tokenizer_take_scores(tok, v) : plumb_scores_read(tok, v);
}

static enum plumb_status tokenizer_read_bytes(
	struct plumb_tokenizer *tok, const struct plumb_vocab *v, const int16_t *alphabet)
{
	const struct plumb_pattern_set *set = plumb_pattern_named(v->split);
	enum plumb_status s = PLUMB_OK;
	if (!set)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"the split pattern \"%.64s\" (tokenizer.ggml.pre) is not known; plumb knows those of qwen2, llama-bpe, "
			"smollm, gpt-2, tekken, gpt-4o and their other names",
			v->split ? v->split : "(none)");
	tok->whole = set->whole;
	for (int i = 0; !s && i < PLUMB_PATTERNS && set->text[i]; i++)
		s = plumb_split_add_pattern(tok->split, set->text[i]);
	if (s || (s = plumb_tokens_read(tok, v, alphabet)))
		return s;
	return plumb_merges_read(tok, v, alphabet);
}

struct plumb_tokenizer *plumb_tokenizer_blank(void)
{
	struct plumb_tokenizer *tok = calloc(1, sizeof *tok);
	if (!tok || plumb_split_new(&tok->split)) {
		plumb_fail(PLUMB_E_MEMORY, "no memory for a tokenizer");
		free(tok);
		return NULL;
	}
	memset(tok->byte_id, -1, sizeof tok->byte_id);
	tok->bos = tok->eos = tok->unk = -1;
	tok->fuse = true;
	return tok;
}

enum plumb_status plumb_tokenizer_finish(struct plumb_tokenizer *tok, const struct plumb_vocab *v)
{
	enum plumb_status status = tokenizer_read_ids(tok, v);
	if (status || (status = tokenizer_read_ends(tok, v)))
		return status;
	for (size_t i = 0; v->name && v->name[i] && i < sizeof tok->name - 1; i++)
		tok->name[i] = v->name[i] < ' ' || v->name[i] > '~' ? '?' : v->name[i];
	if (v->chat_template)
		plumb_template_read(tok, v->chat_template, strlen(v->chat_template));
	return PLUMB_OK;
}

enum plumb_status plumb_tokenizer_new(struct plumb_tokenizer **out, const struct plumb_vocab *v)
{
	struct plumb_tokenizer *tok = plumb_tokenizer_blank();
	int16_t alphabet[PLUMB_ALPHABET];
	enum plumb_status s;
	*out = NULL;
	if (!tok)
		return PLUMB_E_MEMORY;
	plumb_alphabet_fill(alphabet);
	tok->model = v->model;
	if (v->model != PLUMB_VOCAB_BYTES && !v->score)
		s = plumb_fail(PLUMB_E_FORMAT, "a vocabulary that goes by scores has none");
	else
		s = v->model != PLUMB_VOCAB_BYTES ? tokenizer_read_sentencepiece(tok, v, alphabet)
										  : tokenizer_read_bytes(tok, v, alphabet);
	if (s || (s = plumb_specials_read(tok)) || (s = plumb_tokenizer_finish(tok, v))) {
		plumb_tokenizer_free(tok);
		return s;
	}
	*out = tok;
	return PLUMB_OK;
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
	free(tok->order);
	free(tok->score);
	free(tok->end.p);
	plumb_specials_free(&tok->raw);
	plumb_specials_free(&tok->normalised);
	plumb_normal_free(tok->normal, tok->normals);
	free(tok);
}

void plumb_tokenizer_normalise(struct plumb_tokenizer *tok, bool nfc) { tok->nfc = nfc; }
void plumb_tokenizer_add_eos(struct plumb_tokenizer *tok, bool add) { tok->add_eos = add && tok->eos >= 0; }
void plumb_tokenizer_add_bos(struct plumb_tokenizer *tok, bool add) { tok->add_bos = add && tok->bos >= 0; }

size_t plumb_tokenizer_size(const struct plumb_tokenizer *tok) { return tok->tokens; }
int32_t plumb_tokenizer_bos(const struct plumb_tokenizer *tok) { return tok->bos; }
int32_t plumb_tokenizer_eos(const struct plumb_tokenizer *tok) { return tok->eos; }

bool plumb_tokenizer_is_end(const struct plumb_tokenizer *tok, int32_t id)
{
	for (size_t i = 0; i < tok->end.n; i++)
		if (tok->end.p[i] == id)
			return true;
	return false;
}

/* User-defined tokens such as <tool_call> are part of what a model says: they are not special. */
bool plumb_tokenizer_is_special(const struct plumb_tokenizer *tok, int32_t id)
{
	return id >= 0 && (size_t)id < tok->tokens && tok->kind[id] != PLUMB_TOKEN_NORMAL &&
		tok->kind[id] != PLUMB_TOKEN_USER && tok->kind[id] != PLUMB_TOKEN_LITERAL &&
		tok->kind[id] != PLUMB_TOKEN_BYTE;
}
