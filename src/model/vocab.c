/* SPDX-License-Identifier: Apache-2.0 */
/* From a file's metadata to a tokenizer: keys, kinds and counts are checked here, the tokens
 * themselves by src/text. Of the tensors only the embedding's rows are counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "model/family.h"
#include <plumb/file.h>
#include <plumb/model.h>
#include <plumb/text.h>

/* What is odd and not needed; it becomes warnings of the tokenizer once there is one. */
struct oddities {
	char text[8][256];
	int n;
};

/* There are as many rows as calls. */
static char *vocab_oddity(struct oddities *odd) { return odd->text[odd->n++]; }

static const char *const kind_name[] = { "a boolean", "an integer", "a float", "a string", "an array" };

/* Find a key and check its kind. *meta NULL: absent, an error only if needed. */
static enum plumb_status vocab_find_meta(const struct plumb_file *file, const char *key,
	enum plumb_meta_kind kind, bool needed, const struct plumb_meta **meta)
{
	*meta = plumb_file_meta_find(file, key);
	if (!*meta)
		return needed ? plumb_fail(PLUMB_E_FORMAT, "no tokenizer: key %s is missing", key) : PLUMB_OK;
	if ((*meta)->kind != kind)
		return plumb_fail(
			PLUMB_E_FORMAT, "key %s is %s, expected %s", key, kind_name[(*meta)->kind], kind_name[kind]);
	return PLUMB_OK;
}

static enum plumb_status vocab_find_array(const struct plumb_file *file, const char *key,
	enum plumb_meta_kind of, bool needed, const struct plumb_meta **meta)
{
	enum plumb_status status = vocab_find_meta(file, key, PLUMB_META_ARRAY, needed, meta);
	if (status || !*meta)
		return status;
	if ((*meta)->n && (*meta)->of != of)
		return plumb_fail(PLUMB_E_FORMAT, "key %s is an array of elements of which each is %s, expected %s",
			key, kind_name[(*meta)->of], kind_name[of]);
	if ((*meta)->n > INT32_MAX)
		return plumb_fail(PLUMB_E_FORMAT, "key %s has %llu elements, at most %d are taken", key,
			(unsigned long long)(*meta)->n, INT32_MAX);
	return PLUMB_OK;
}

/* *text is malloc'ed; NULL when the key is absent. */
static enum plumb_status vocab_read_string(
	const struct plumb_file *file, const char *key, bool needed, char **text)
{
	const struct plumb_meta *meta;
	enum plumb_status status = vocab_find_meta(file, key, PLUMB_META_STRING, needed, &meta);
	*text = NULL;
	if (status || !meta)
		return status;
	if (meta->s.n && memchr(meta->s.p, 0, meta->s.n))
		return plumb_fail(PLUMB_E_FORMAT, "key %s has a NUL byte in its text", key);
	*text = malloc(meta->s.n + 1);
	if (!*text)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for key %s", key);
	if (meta->s.n)
		memcpy(*text, meta->s.p, meta->s.n);
	(*text)[meta->s.n] = 0;
	return PLUMB_OK;
}

/* odd NULL: the id is needed, and a wrong one is an error. */
static enum plumb_status vocab_read_id(
	const struct plumb_file *file, const char *key, struct oddities *odd, int32_t *id)
{
	const struct plumb_meta *meta = plumb_file_meta_find(file, key);
	*id = -1;
	if (!meta)
		return PLUMB_OK;
	if (meta->kind == PLUMB_META_INT && meta->i >= 0 && meta->i <= INT32_MAX) {
		*id = (int32_t)meta->i;
		return PLUMB_OK;
	}
	if (odd && meta->kind == PLUMB_META_INT)
		snprintf(vocab_oddity(odd), sizeof odd->text[0],
			"the key %s is %lld, which is no token; it is taken as none", key, (long long)meta->i);
	else if (odd)
		snprintf(vocab_oddity(odd), sizeof odd->text[0],
			"the key %s is %s, expected a token id; it is taken as none", key, kind_name[meta->kind]);
	else if (meta->kind == PLUMB_META_INT)
		return plumb_fail(PLUMB_E_FORMAT, "key %s is %lld, expected a token id", key, (long long)meta->i);
	else
		return plumb_fail(PLUMB_E_FORMAT, "key %s is %s, expected a token id", key, kind_name[meta->kind]);
	return PLUMB_OK;
}

/* Files of before May 2024 do not name their pattern; a family has but one. */
static enum plumb_status vocab_read_split(const struct plumb_file *file, struct oddities *odd, char **split)
{
	enum plumb_status status = vocab_read_string(file, "tokenizer.ggml.pre", false, split);
	const struct plumb_family *family;
	if (status || (*split && **split))
		return status;
	if (!(family = plumb_family_of(file, &status)) || !family->split)
		return plumb_fail(PLUMB_E_FORMAT,
			"no tokenizer: key tokenizer.ggml.pre is missing, and general.architecture is no family "
			"whose one pattern plumb knows");
	free(*split);
	if (!(*split = strdup(family->split)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the name of a pattern");
	snprintf(vocab_oddity(odd), sizeof odd->text[0],
		"the key tokenizer.ggml.pre is missing; text is split as the family %s does, by the pattern %s",
		family->name, family->split);
	return PLUMB_OK;
}

/* A row without a token has no text; a token without a row cannot be run. `spare`: there may be such tokens,
 * as in the tokenizer.json of a model whose siblings see pictures. */
static enum plumb_status vocab_count_rows(
	const struct plumb_file *file, size_t tokens, bool spare, struct oddities *odd)
{
	const struct plumb_file_tensor *embed = plumb_file_find(file, "token_embd.weight");
	int64_t rows = embed ? embed->dim[0] : (int64_t)tokens;
	if (rows < (int64_t)tokens && spare)
		snprintf(vocab_oddity(odd), sizeof odd->text[0],
			"the tokenizer has %zu tokens, token_embd.weight rows for the first %lld alone; the others cannot be run",
			tokens, (long long)rows);
	else if (rows < (int64_t)tokens)
		return plumb_fail(PLUMB_E_FORMAT,
			"the tokenizer has %zu tokens, token_embd.weight has rows for the first %lld alone: it is another model's",
			tokens, (long long)rows);
	if (rows > (int64_t)tokens)
		snprintf(vocab_oddity(odd), sizeof odd->text[0],
			"token_embd.weight has %lld rows, the tokenizer %zu tokens; ids from %zu on have no text",
			(long long)rows, tokens, tokens);
	return PLUMB_OK;
}

static enum plumb_status vocab_read_spans(
	const struct plumb_meta *meta, const struct plumb_span **spans, size_t *n)
{
	struct plumb_span *s = calloc(meta->n + 1, sizeof *s);
	*spans = s;
	*n = (size_t)meta->n;
	if (!s)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu strings of the tokenizer", *n);
	for (uint64_t i = 0; i < meta->n; i++)
		s[i] = plumb_meta_string_at(meta, i);
	return PLUMB_OK;
}

static enum plumb_status vocab_read_kinds(const struct plumb_meta *meta, size_t tokens, const int32_t **kinds)
{
	int32_t *k;
	if (meta->n != tokens)
		return plumb_fail(
			PLUMB_E_FORMAT, "%llu token types for %zu tokens", (unsigned long long)meta->n, tokens);
	*kinds = k = calloc(tokens + 1, sizeof *k);
	if (!k)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu token types", tokens);
	for (uint64_t i = 0; i < meta->n; i++) {
		int64_t kind = plumb_meta_int_at(meta, i);
		k[i] = kind < 0 || kind > INT32_MAX ? -1 : (int32_t)kind; /* -1 is no kind */
	}
	return PLUMB_OK;
}

static enum plumb_status vocab_read_scores(const struct plumb_meta *meta, size_t tokens, const float **scores)
{
	float *s;
	if (meta->n != tokens)
		return plumb_fail(PLUMB_E_FORMAT, "%llu scores for %zu tokens", (unsigned long long)meta->n, tokens);
	*scores = s = calloc(tokens + 1, sizeof *s);
	if (!s)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu scores", tokens);
	for (uint64_t i = 0; i < meta->n; i++)
		s[i] = (float)plumb_meta_float_at(meta, i);
	return PLUMB_OK;
}

static enum plumb_status vocab_read_lists(const struct plumb_file *file, struct plumb_vocab *v)
{
	bool bytes = v->model == PLUMB_VOCAB_BYTES;
	const struct plumb_meta *tokens, *merges, *kinds, *scores;
	enum plumb_status status;
	if ((status = vocab_find_array(file, "tokenizer.ggml.tokens", PLUMB_META_STRING, true, &tokens)) ||
		(status = vocab_find_array(file, "tokenizer.ggml.merges", PLUMB_META_STRING, bytes, &merges)) ||
		(status = vocab_find_array(file, "tokenizer.ggml.scores", PLUMB_META_FLOAT, !bytes, &scores)) ||
		(status = vocab_find_array(file, "tokenizer.ggml.token_type", PLUMB_META_INT, false, &kinds)) ||
		(status = vocab_read_spans(tokens, &v->token, &v->tokens)) ||
		(bytes && (status = vocab_read_spans(merges, &v->merge, &v->merges))) ||
		(!bytes && (status = vocab_read_scores(scores, v->tokens, &v->score))))
		return status;
	return kinds ? vocab_read_kinds(kinds, v->tokens, &v->kind) : PLUMB_OK;
}

/* A key that says yes or no; `otherwise` when there is none. */
static enum plumb_status vocab_read_flag(
	const struct plumb_file *file, const char *key, bool otherwise, bool *flag)
{
	const struct plumb_meta *meta;
	enum plumb_status status = vocab_find_meta(file, key, PLUMB_META_BOOL, false, &meta);
	*flag = !status && meta ? meta->i != 0 : otherwise;
	return status;
}

/* What is put around a text, and what a vocabulary of SentencePiece does to it. What a file leaves unsaid is
 * as llama.cpp takes it. */
static enum plumb_status vocab_read_flags(
	const struct plumb_file *file, struct oddities *odd, struct plumb_vocab *v)
{
	bool pieces = v->model != PLUMB_VOCAB_BYTES, unigram = v->model == PLUMB_VOCAB_UNIGRAM;
	enum plumb_status status;
	if ((status = vocab_read_flag(file, "tokenizer.ggml.add_bos_token",
			 (pieces && !unigram) || plumb_vocab_adds_bos(v->split), &v->add_bos)) ||
		(status = vocab_read_flag(file, "tokenizer.ggml.add_eos_token", unigram, &v->add_eos)) ||
		(status = vocab_read_flag(file, "tokenizer.ggml.add_space_prefix", pieces, &v->space_prefix)) ||
		(status = vocab_read_flag(
			 file, "tokenizer.ggml.remove_extra_whitespaces", false, &v->squeeze_spaces)) ||
		(status = vocab_read_id(file, "tokenizer.ggml.unknown_token_id", odd, &v->unk)))
		return status;
	status = vocab_read_id(file, "tokenizer.ggml.bos_token_id", v->add_bos ? NULL : odd, &v->bos);
	if (!status && v->bos < 0 && !plumb_file_meta_find(file, "tokenizer.ggml.add_bos_token"))
		v->add_bos = false;
	return status;
}

/* What ends a turn beside eos. */
static enum plumb_status vocab_read_ends(
	const struct plumb_file *file, struct oddities *odd, struct plumb_vocab *v)
{
	const struct plumb_meta *list;
	int32_t *end;
	enum plumb_status status = vocab_find_array(
		file, "tokenizer.ggml.eog_token_ids", PLUMB_META_INT, false, &list);
	if (status)
		return status;
	uint64_t n = list ? list->n : 0;
	if (!(v->end = end = calloc((size_t)n + 2, sizeof *end)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %llu end tokens", (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		int64_t id = plumb_meta_int_at(list, i);
		end[v->ends++] = id < 0 || id > INT32_MAX ? INT32_MAX : (int32_t)id; /* which is no token */
	}
	if (!(status = vocab_read_id(file, "tokenizer.ggml.eot_token_id", odd, &end[v->ends])))
		v->ends += end[v->ends] >= 0;
	if (!status && !(status = vocab_read_id(file, "tokenizer.ggml.eom_token_id", odd, &end[v->ends])))
		v->ends += end[v->ends] >= 0;
	return status;
}

static enum plumb_status vocab_read_model(const struct plumb_file *file, struct plumb_vocab *v)
{
	char *model;
	enum plumb_status status = vocab_read_string(file, "tokenizer.ggml.model", true, &model);
	if (status)
		return status;
	v->model = !strcmp(model, "llama") ? PLUMB_VOCAB_SCORES
		: !strcmp(model, "t5")         ? PLUMB_VOCAB_UNIGRAM
									   : PLUMB_VOCAB_BYTES;
	const struct plumb_meta *map = plumb_file_meta_find(file, "tokenizer.ggml.precompiled_charsmap");
	if (v->model == PLUMB_VOCAB_UNIGRAM && map && (map->kind != PLUMB_META_ARRAY || map->n))
		status = plumb_fail(PLUMB_E_UNSUPPORTED,
			"the key tokenizer.ggml.precompiled_charsmap is a normaliser that plumb does not know");
	if (v->model == PLUMB_VOCAB_BYTES && strcmp(model, "gpt2"))
		status = plumb_fail(PLUMB_E_UNSUPPORTED,
			"tokenizer.ggml.model is \"%.64s\"; plumb knows gpt2 (byte-level BPE), llama (BPE of SentencePiece) "
			"and t5 (its unigram)",
			model);
	free(model);
	return status;
}

static void vocab_free(struct plumb_vocab *v)
{
	free((void *)v->token);
	free((void *)v->merge);
	free((void *)v->kind);
	free((void *)v->score);
	free((void *)v->end);
	free((void *)v->split);
	free((void *)v->chat_template);
	free((void *)v->name);
}

/* What every kind of file says in the same keys. */
static enum plumb_status vocab_read_common(
	const struct plumb_file *file, struct oddities *odd, struct plumb_vocab *v)
{
	char *template = NULL, *name = NULL;
	enum plumb_status status = vocab_read_string(file, "tokenizer.chat_template", false, &template);
	v->chat_template = template;
	if (status || (status = vocab_read_ends(file, odd, v)) ||
		(status = vocab_read_id(file, "tokenizer.ggml.eos_token_id", NULL, &v->eos)) ||
		(status = vocab_read_id(file, "tokenizer.ggml.padding_token_id", odd, &v->pad)))
		return status;
	status = vocab_read_string(file, "general.name", false, &name);
	v->name = name; /* a name that is no text is no reason to fail */
	return status == PLUMB_E_MEMORY ? status : PLUMB_OK;
}

static enum plumb_status vocab_make(
	const struct plumb_file *file, struct plumb_tokenizer **tok, struct oddities *odd, struct plumb_vocab *v)
{
	char *split = NULL;
	enum plumb_status status = vocab_read_model(file, v);
	if (!status && v->model == PLUMB_VOCAB_BYTES)
		status = vocab_read_split(file, odd, &split);
	v->split = split;
	if (status || (status = vocab_read_lists(file, v)) || (status = vocab_read_flags(file, odd, v)) ||
		(status = vocab_read_common(file, odd, v)) ||
		(status = vocab_count_rows(file, v->tokens, false, odd)))
		return status;
	return plumb_tokenizer_new(tok, v);
}

/* From a tokenizer.json, which a folder has as it is. Its post-processor says what is put around a text,
 * unless the model's configuration does. */
static enum plumb_status vocab_make_from_json(
	const struct plumb_file *file, struct plumb_tokenizer **tok, struct oddities *odd, struct plumb_vocab *v)
{
	const struct plumb_meta *json, *bos, *eos;
	enum plumb_status status;
	if ((status = vocab_find_meta(file, "tokenizer.huggingface.json", PLUMB_META_STRING, true, &json)) ||
		(status = vocab_find_meta(file, "tokenizer.ggml.add_bos_token", PLUMB_META_BOOL, false, &bos)) ||
		(status = vocab_find_meta(file, "tokenizer.ggml.add_eos_token", PLUMB_META_BOOL, false, &eos)) ||
		(status = vocab_read_id(file, "tokenizer.ggml.bos_token_id", odd, &v->bos)) ||
		(status = vocab_read_common(file, odd, v)))
		return status;
	v->add_bos = bos && bos->i && v->bos >= 0;
	v->add_eos = eos && eos->i && v->eos >= 0;
	if ((status = plumb_tokenizer_from_json(tok, json->s.p, json->s.n, v)))
		return status;
	if (bos && !bos->i)
		plumb_tokenizer_add_bos(*tok, false);
	if (eos && !eos->i)
		plumb_tokenizer_add_eos(*tok, false);
	return vocab_count_rows(file, plumb_tokenizer_size(*tok), true, odd);
}

enum plumb_status plumb_tokenizer_from_file(struct plumb_tokenizer **tok, const struct plumb_file *file)
{
	bool json = !plumb_file_meta_find(file, "tokenizer.ggml.model") &&
		plumb_file_meta_find(file, "tokenizer.huggingface.json");
	struct plumb_vocab v = { .bos = -1 };
	struct oddities odd = { .n = 0 };
	*tok = NULL;
	enum plumb_status status = json ? vocab_make_from_json(file, tok, &odd, &v)
									: vocab_make(file, tok, &odd, &v);
	for (int i = 0; !status && i < odd.n; i++)
		plumb_tokenizer_warn(*tok, odd.text[i]);
	vocab_free(&v);
	return status;
}
