/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer from a tokenizer.json. Its vocabulary and merges come from scan.c, its steps from steps.c; here
 * are its model, its added tokens and what it puts around a text. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/json.h"
#include "core/utf8.h"
#include "scan.h"
#include "steps.h"
#include "text.h"

#define MOST_BYTES ((size_t)1 << 30)
#define MOST_HOLES 65536 /* ids without a token, beyond one for each that has one */

struct reader {
	struct plumb_tokenizer *tok;
	const json_t *root, *model;
	bool unigram;
	struct plumb_scan scan;
	struct plumb_span *token; /* by id */
	int32_t *kind;
	size_t tokens;
	struct plumb_vocab v;
	int16_t alphabet[PLUMB_ALPHABET];
};

/* --- model --- */

/* A member that plumb knows only absent, empty or zero. */
static enum plumb_status huggingface_need_none(const struct reader *r, const char *key)
{
	const json_t *j = json_object_get(r->model, key);
	if (!j || json_is_null(j) || (json_is_string(j) && !json_string_length(j)) ||
		(json_is_number(j) && json_number_value(j) == 0))
		return PLUMB_OK;
	return plumb_fail(PLUMB_E_UNSUPPORTED, "tokenizer.json: a model with %s is not known", key);
}

static enum plumb_status huggingface_read_model(struct reader *r)
{
	static const char *const none[] = { "dropout", "continuing_subword_prefix", "end_of_word_suffix" };
	const json_t *type = json_object_get(r->model, "type");
	const char *name = json_string_value(type);
	enum plumb_status status = PLUMB_OK;
	if (!json_is_object(r->model))
		return plumb_fail(PLUMB_E_FORMAT, "tokenizer.json has no model");
	r->unigram = name && !strcmp(name, "Unigram");
	if (!r->unigram && (name ? strcmp(name, "BPE") != 0 : !r->scan.merge))
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"tokenizer.json: the model \"%.64s\" is not known; plumb knows BPE and Unigram",
			name ? name : "(none)");
	if (r->scan.scored != r->unigram || !r->scan.tokens)
		return plumb_fail(
			PLUMB_E_FORMAT, "tokenizer.json: %s without a vocabulary", r->unigram ? name : "BPE");
	for (int i = 0; !status && i < 3; i++)
		status = huggingface_need_none(r, none[i]);
	r->tok->whole = json_is_true(json_object_get(r->model, "ignore_merges"));
	r->tok->fuse = r->unigram || json_is_true(json_object_get(r->model, "fuse_unk"));
	r->tok->fallback = json_is_true(json_object_get(r->model, "byte_fallback"));
	r->tok->mixed = !r->unigram;
	return status;
}

/* --- tokens --- */

/* Room for ids up to the largest, of which not too many may have no token. */
static enum plumb_status huggingface_count(struct reader *r, const json_t *added)
{
	size_t entries = r->scan.tokens + json_array_size(added);
	int64_t most = 0;
	for (size_t i = 0; i < r->scan.tokens; i++)
		most = r->scan.token[i].id > most ? r->scan.token[i].id : most;
	for (size_t i = 0; i < json_array_size(added); i++) {
		const json_t *id = json_object_get(json_array_get(added, i), "id");
		if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX / 4)
			return plumb_fail(PLUMB_E_FORMAT, "tokenizer.json: added token %zu has no id", i);
		most = json_integer_value(id) > most ? json_integer_value(id) : most;
	}
	if ((uint64_t)most > 2 * (uint64_t)entries + MOST_HOLES)
		return plumb_fail(
			PLUMB_E_FORMAT, "tokenizer.json: the id %lld beside %zu tokens", (long long)most, entries);
	r->tokens = (size_t)most + 1;
	r->token = calloc(r->tokens, sizeof *r->token);
	r->kind = calloc(r->tokens, sizeof *r->kind);
	if (!r->token || !r->kind)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu tokens", r->tokens);
	for (size_t i = 0; i < r->tokens; i++)
		r->kind[i] = PLUMB_TOKEN_UNUSED;
	return PLUMB_OK;
}

static enum plumb_status huggingface_place(
	struct reader *r, int64_t id, struct plumb_span text, enum plumb_token_kind kind)
{
	struct plumb_span *slot = &r->token[id];
	if (slot->p && (slot->n != text.n || memcmp(slot->p, text.p, text.n)))
		return plumb_fail(PLUMB_E_FORMAT, "tokenizer.json: two tokens have the id %lld", (long long)id);
	*slot = text;
	r->kind[id] = kind;
	return PLUMB_OK;
}

static enum plumb_status huggingface_read_unknown(struct reader *r)
{
	const json_t *unk = json_object_get(r->model, "unk_token"), *id = json_object_get(r->model, "unk_id");
	if (r->unigram && json_is_integer(id) && json_integer_value(id) >= 0 &&
		(uint64_t)json_integer_value(id) < r->scan.tokens)
		r->tok->unk = (int32_t)json_integer_value(id);
	else if (r->unigram && json_is_integer(id))
		return plumb_fail(PLUMB_E_FORMAT, "tokenizer.json: unk_id is no token");
	if (r->unigram || !json_is_string(unk))
		return PLUMB_OK;
	for (size_t i = 0; i < r->tokens; i++)
		if (r->token[i].n == json_string_length(unk) &&
			!memcmp(r->token[i].p, json_string_value(unk), r->token[i].n)) {
			r->tok->unk = (int32_t)i;
			return PLUMB_OK;
		}
	return plumb_fail(
		PLUMB_E_FORMAT, "tokenizer.json: the unknown token \"%.64s\" is no token", json_string_value(unk));
}

static enum plumb_status huggingface_read_tokens(struct reader *r)
{
	const json_t *added = json_object_get(r->root, "added_tokens");
	enum plumb_status status = huggingface_count(r, added);
	for (size_t i = 0; !status && i < r->scan.tokens; i++)
		status = huggingface_place(r, r->scan.token[i].id, r->scan.token[i].text, PLUMB_TOKEN_NORMAL);
	for (size_t i = 0; !status && i < json_array_size(added); i++) {
		const json_t *j = json_array_get(added, i), *content = json_object_get(j, "content");
		struct plumb_span text = { json_string_value(content), json_string_length(content) };
		if (!text.p || !text.n)
			return plumb_fail(PLUMB_E_FORMAT, "tokenizer.json: added token %zu has no text", i);
		status = huggingface_place(r, json_integer_value(json_object_get(j, "id")), text,
			json_is_true(json_object_get(j, "special")) ? PLUMB_TOKEN_CONTROL : PLUMB_TOKEN_USER);
	}
	if (status || (status = huggingface_read_unknown(r)))
		return status;
	r->v.tokens = r->tokens;
	r->v.token = r->token;
	r->v.kind = r->kind;
	return plumb_tokens_read(r->tok, &r->v, r->alphabet);
}

/* A token that is looked for in normalised text is normalised as well. */
static enum plumb_status huggingface_add_special(struct reader *r, const json_t *j)
{
	static const struct plumb_normal nfc = { .kind = PLUMB_NORMAL_FORM, .form = PLUMB_NFC };
	const json_t *content = json_object_get(j, "content");
	const char *text = json_string_value(content);
	size_t n = json_string_length(content);
	unsigned flags = (json_is_true(json_object_get(j, "lstrip")) ? PLUMB_SPECIAL_LEFT : 0) |
		(json_is_true(json_object_get(j, "rstrip")) ? PLUMB_SPECIAL_RIGHT : 0) |
		(json_is_true(json_object_get(j, "single_word")) ? PLUMB_SPECIAL_WORD : 0);
	int32_t id = (int32_t)json_integer_value(json_object_get(j, "id"));
	char *own = NULL;
	enum plumb_status status = PLUMB_OK;
	if (!json_is_true(json_object_get(j, "normalized")))
		return plumb_specials_add(&r->tok->raw, id, (struct plumb_span){ text, n }, flags);
	if (r->tok->nfc)
		status = plumb_normal_run(&nfc, 1, &text, &n, &own);
	if (!status)
		status = plumb_normal_run(r->tok->normal, r->tok->normals, &text, &n, &own);
	if (!status && n)
		status = plumb_specials_add(&r->tok->normalised, id, (struct plumb_span){ text, n }, flags);
	free(own);
	return status;
}

static enum plumb_status huggingface_read_specials(struct reader *r)
{
	const json_t *added = json_object_get(r->root, "added_tokens");
	enum plumb_status status = PLUMB_OK;
	for (size_t i = 0; !status && i < json_array_size(added); i++)
		status = huggingface_add_special(r, json_array_get(added, i));
	if (!status)
		status = plumb_specials_end(&r->tok->raw);
	return status ? status : plumb_specials_end(&r->tok->normalised);
}

/* --- post-processor --- */

/* The id of a special of a template; -1: it is not one token. */
static int32_t huggingface_template_id(const json_t *post, const json_t *piece)
{
	const char *name = json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
	const json_t *ids = name
		? json_object_get(json_object_get(json_object_get(post, "special_tokens"), name), "ids")
		: NULL;
	json_int_t id = json_array_size(ids) == 1 ? json_integer_value(json_array_get(ids, 0)) : -1;
	return json_is_integer(json_array_get(ids, 0)) && id >= 0 && id <= INT32_MAX ? (int32_t)id : -1;
}

/* One token in front of the text, one behind it, or none. */
static enum plumb_status huggingface_read_template(struct reader *r, const json_t *post)
{
	const json_t *single = json_object_get(post, "single");
	bool behind = false;
	for (size_t i = 0; i < json_array_size(single); i++) {
		const json_t *piece = json_array_get(single, i);
		int32_t id;
		if (json_object_get(piece, "Sequence")) {
			behind = true;
			continue;
		}
		id = huggingface_template_id(post, piece);
		if (id < 0 || (behind ? r->v.add_eos : r->v.add_bos))
			return plumb_fail(PLUMB_E_UNSUPPORTED,
				"tokenizer.json: a template of the post-processor that puts more than one token around a text is "
				"not known");
		*(behind ? &r->v.eos : &r->v.bos) = id;
		*(behind ? &r->v.add_eos : &r->v.add_bos) = true;
	}
	return behind
		? PLUMB_OK
		: plumb_fail(PLUMB_E_FORMAT, "tokenizer.json: a template of the post-processor without a text");
}

static enum plumb_status huggingface_read_post(struct reader *r, const json_t *post, int depth)
{
	const char *type = json_string_value(json_object_get(post, "type"));
	const json_t *list = json_object_get(post, "processors");
	enum plumb_status status = PLUMB_OK;
	if (!post || json_is_null(post) || (type && !strcmp(type, "ByteLevel")))
		return PLUMB_OK;
	if (type && !strcmp(type, "TemplateProcessing"))
		return huggingface_read_template(r, post);
	if (!type || strcmp(type, "Sequence") || depth > 4)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "tokenizer.json: the post-processor \"%.64s\" is not known",
			type ? type : "(none)");
	for (size_t i = 0; !status && i < json_array_size(list); i++)
		status = huggingface_read_post(r, json_array_get(list, i), depth + 1);
	return status;
}

/* What the caller says of ids holds where the file says nothing of them. */
static enum plumb_status huggingface_finish(struct reader *r, const struct plumb_vocab *more)
{
	int32_t eos = more->eos;
	enum plumb_status status;
	r->v.bos = more->bos;
	r->v.eos = more->eos;
	r->v.pad = more->pad;
	if ((status = huggingface_read_post(r, json_object_get(r->root, "post_processor"), 0)))
		return status;
	r->v.add_bos |= more->add_bos;
	r->v.add_eos |= more->add_eos;
	r->v.end = more->end;
	r->v.ends = more->ends;
	r->v.chat_template = more->chat_template;
	r->v.name = more->name;
	status = plumb_tokenizer_finish(r->tok, &r->v);
	if (!status && eos >= 0 && eos != r->v.eos && (size_t)eos < r->tokens)
		status = plumb_ids_add(&r->tok->end, eos);
	return status;
}

/* Merges, or scores; a token that was added beside the vocabulary has 0, but only specials are
 * such, and no text becomes one by its score. */
static enum plumb_status huggingface_read_ranks(struct reader *r)
{
	double *score;
	enum plumb_status status;
	if (!r->unigram)
		return plumb_merges_read_pairs(r->tok, r->scan.merge, r->scan.merges, r->alphabet);
	if (r->tok->model == PLUMB_VOCAB_BYTES)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "tokenizer.json: Unigram beside ByteLevel is not known");
	if (!(score = calloc(r->tokens, sizeof *score)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu scores", r->tokens);
	for (size_t i = 0; i < r->scan.tokens; i++)
		score[i] = r->scan.token[i].score;
	r->tok->model = PLUMB_VOCAB_UNIGRAM;
	status = plumb_scores_take(r->tok, score);
	free(score);
	return status;
}

static enum plumb_status huggingface_read(struct reader *r, const struct plumb_vocab *more)
{
	json_error_t error;
	json_t *root = NULL;
	enum plumb_status s = plumb_json_read(
		&root, r->scan.rest, r->scan.rest_n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (s)
		return s == PLUMB_E_MEMORY ? plumb_fail(s, "no memory for a tokenizer.json")
								   : plumb_fail(s, "tokenizer.json: %s", error.text);
	r->root = root;
	r->model = json_object_get(root, "model");
	if (!(s = huggingface_read_model(r)) && !(s = plumb_steps_read(r->tok, root)) &&
		!(s = huggingface_read_tokens(r)) && !(s = huggingface_read_ranks(r)) &&
		!(s = huggingface_read_specials(r)))
		s = huggingface_finish(r, more);
	json_decref(root);
	return s;
}

enum plumb_status plumb_tokenizer_from_json(
	struct plumb_tokenizer **tok, const char *text, size_t size, const struct plumb_vocab *more)
{
	struct reader r = { .tok = NULL };
	enum plumb_status status;
	*tok = NULL;
	if (size > MOST_BYTES)
		return plumb_fail(
			PLUMB_E_LIMIT, "a tokenizer.json of %zu bytes, at most %zu are read", size, MOST_BYTES);
	if ((status = plumb_utf8_check("tokenizer.json", text, size)))
		return plumb_fail(PLUMB_E_FORMAT, "tokenizer.json is not UTF-8");
	if (!(r.tok = plumb_tokenizer_blank()))
		return PLUMB_E_MEMORY;
	plumb_alphabet_fill(r.alphabet);
	if (!(status = plumb_scan_read(&r.scan, text, size)))
		status = huggingface_read(&r, more);
	plumb_scan_free(&r.scan);
	free(r.token);
	free(r.kind);
	if (status)
		plumb_tokenizer_free(r.tok);
	else
		*tok = r.tok;
	return status;
}
