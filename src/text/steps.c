/* SPDX-License-Identifier: Apache-2.0 */
/* The normaliser, the pre-tokeniser and the decoder of a tokenizer.json, as steps of ours. What is not
 * understood is refused by its name: text would become other tokens than the model has learnt. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "steps.h"
#include "text.h"

#define DEEPEST 8

static enum plumb_status steps_refuse(const char *where, const char *what)
{
	return plumb_fail(PLUMB_E_UNSUPPORTED, "tokenizer.json: %s \"%.64s\" is not known", where, what);
}

static const char *steps_type(const json_t *j)
{
	const char *type = json_string_value(json_object_get(j, "type"));
	return type ? type : "(none)";
}

static struct plumb_span steps_text(const json_t *j)
{
	return (struct plumb_span){ json_string_value(j), json_string_length(j) };
}

static bool steps_is(struct plumb_span s, const char *text)
{
	return s.p && s.n == strlen(text) && !memcmp(s.p, text, s.n);
}

/* A flag, or what its absence means. */
static bool steps_flag(const json_t *j, const char *key, bool otherwise)
{
	const json_t *flag = json_object_get(j, key);
	return json_is_boolean(flag) ? json_is_true(flag) : otherwise;
}

/* Call fn for a step or each of a sequence of them. */
typedef enum plumb_status (*step_fn)(struct plumb_tokenizer *tok, const json_t *j);
static enum plumb_status steps_each(struct plumb_tokenizer *tok, const json_t *j, const char *member,
	const char *where, step_fn fn, int depth)
{
	const json_t *list = json_object_get(j, member);
	enum plumb_status status = PLUMB_OK;
	if (!j || json_is_null(j))
		return PLUMB_OK;
	if (strcmp(steps_type(j), "Sequence"))
		return fn(tok, j);
	if (!json_is_array(list) || depth > DEEPEST)
		return plumb_fail(PLUMB_E_FORMAT, "tokenizer.json: a %s that is a sequence without its list", where);
	for (size_t i = 0; !status && i < json_array_size(list); i++)
		status = steps_each(tok, json_array_get(list, i), member, where, fn, depth + 1);
	return status;
}

/* --- normaliser --- */

/* A copy; with a blank for each U+2581 where tokens have that. */
static enum plumb_status steps_copy(
	const struct plumb_tokenizer *tok, struct plumb_span s, struct plumb_span *copy)
{
	char *out = malloc(s.n + 1);
	*copy = (struct plumb_span){ out, s.n };
	if (!out)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a normaliser");
	if (tok->spaces)
		copy->n = plumb_token_unescape(s, out);
	else if (s.n)
		memcpy(out, s.p, s.n);
	return PLUMB_OK;
}

enum plumb_status plumb_steps_add_normal(
	struct plumb_tokenizer *tok, enum plumb_normal_kind kind, struct plumb_span from, struct plumb_span to)
{
	struct plumb_normal *step = &tok->normal[tok->normals];
	enum plumb_status status;
	if (tok->normals == PLUMB_STEPS)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "more than %d steps that normalise text", PLUMB_STEPS);
	*step = (struct plumb_normal){ .kind = kind };
	tok->normals++;
	status = steps_copy(tok, from, &step->from);
	return status ? status : steps_copy(tok, to, &step->to);
}

static enum plumb_status steps_add_form(struct plumb_tokenizer *tok, enum plumb_form_of_text form)
{
	const struct plumb_span none = { "", 0 };
	enum plumb_status status;
	if (!tok->normals && form == PLUMB_NFC) { /* the one that can be switched */
		tok->nfc = true;
		return PLUMB_OK;
	}
	if (!(status = plumb_steps_add_normal(tok, PLUMB_NORMAL_FORM, none, none)))
		tok->normal[tok->normals - 1].form = form;
	return status;
}

/* U+2581 and blanks change places, so that tokens are the bytes that they stand for. */
static enum plumb_status steps_unmark(struct plumb_tokenizer *tok)
{
	enum plumb_status status;
	tok->spaces = false; /* these texts are taken as they are */
	status = plumb_steps_add_normal(tok, PLUMB_NORMAL_REPLACE,
		(struct plumb_span){ PLUMB_SPACE_MARK, PLUMB_SPACE_MARK_SIZE }, (struct plumb_span){ " ", 1 });
	tok->spaces = tok->marked = true;
	return status;
}

static enum plumb_status steps_replace(struct plumb_tokenizer *tok, const json_t *j)
{
	const json_t *pattern = json_object_get(j, "pattern");
	struct plumb_span from = steps_text(json_object_get(pattern, "String"));
	struct plumb_span to = steps_text(json_object_get(j, "content"));
	if (!from.p && json_is_string(json_object_get(pattern, "Regex")))
		return steps_refuse(
			"the normaliser Replace with the pattern", json_string_value(json_object_get(pattern, "Regex")));
	if (!from.p || !from.n || !to.p)
		return plumb_fail(PLUMB_E_FORMAT, "tokenizer.json: the normaliser Replace without its texts");
	if (tok->spaces && steps_is(from, " ") && steps_is(to, PLUMB_SPACE_MARK))
		return steps_unmark(tok);
	if (tok->spaces && (tok->marked || strpbrk(from.p, " \xe2")))
		return steps_refuse("the normaliser Replace of a text beside marked blanks,", from.p);
	return plumb_steps_add_normal(tok, PLUMB_NORMAL_REPLACE, from, to);
}

static enum plumb_status steps_normal(struct plumb_tokenizer *tok, const json_t *j)
{
	static const char *const forms[] = { "NFC", "NFD", "NFKC", "NFKD" };
	const char *type = steps_type(j);
	const struct plumb_span none = { "", 0 };
	enum plumb_status status;
	for (int i = 0; i < 4; i++)
		if (!strcmp(type, forms[i]))
			return steps_add_form(tok, (enum plumb_form_of_text)i);
	if (!strcmp(type, "Replace"))
		return steps_replace(tok, j);
	if (!strcmp(type, "Prepend") && json_is_string(json_object_get(j, "prepend")))
		return plumb_steps_add_normal(
			tok, PLUMB_NORMAL_PREPEND, none, steps_text(json_object_get(j, "prepend")));
	if (!strcmp(type, "Strip") && !tok->marked) {
		if ((status = plumb_steps_add_normal(tok, PLUMB_NORMAL_STRIP, none, none)))
			return status;
		tok->normal[tok->normals - 1].left = steps_flag(j, "strip_left", true);
		tok->normal[tok->normals - 1].right = steps_flag(j, "strip_right", true);
		return PLUMB_OK;
	}
	return steps_refuse("the normaliser", type);
}

/* --- pre-tokeniser --- */

static const struct {
	const char *name;
	enum plumb_behaviour behaviour;
} behaviours[] = {
	{ "Isolated", PLUMB_ISOLATED },
	{ "Removed", PLUMB_REMOVED },
	{ "Contiguous", PLUMB_CONTIGUOUS },
	{ "MergedWithPrevious", PLUMB_WITH_PREVIOUS },
	{ "MergedWithNext", PLUMB_WITH_NEXT },
};

static enum plumb_status steps_split(struct plumb_tokenizer *tok, const json_t *j)
{
	const json_t *pattern = json_object_get(j, "pattern");
	struct plumb_span text = steps_text(json_object_get(pattern, "String"));
	struct plumb_span regex = steps_text(json_object_get(pattern, "Regex"));
	const char *name = json_string_value(json_object_get(j, "behavior"));
	size_t b = 0;
	void *code;
	enum plumb_status status;
	while (b < 5 && (!name || strcmp(name, behaviours[b].name)))
		b++;
	if (b == 5)
		return steps_refuse("the behaviour of a Split,", name ? name : "(none)");
	if (regex.p) {
		const char *known = plumb_pattern_known(regex);
		if (!known || tok->spaces)
			return steps_refuse("the split pattern", regex.p);
		status = plumb_pattern_compile(known, &code);
	} else {
		if (!text.p || !text.n)
			return plumb_fail(PLUMB_E_FORMAT, "tokenizer.json: a Split without a pattern");
		if (tok->spaces && steps_is(text, " ")) /* all are marked: it finds none */
			return PLUMB_OK;
		if (tok->spaces && !steps_is(text, PLUMB_SPACE_MARK))
			return steps_refuse("a Split of marked text at", text.p);
		status = plumb_pattern_literal(tok->spaces ? (struct plumb_span){ " ", 1 } : text, &code);
	}
	return status ? status
				  : plumb_split_add(tok->split, PLUMB_STEP_PATTERN, behaviours[b].behaviour,
						steps_flag(j, "invert", false), code);
}

static enum plumb_status steps_metaspace(struct plumb_tokenizer *tok, const json_t *j)
{
	static const struct plumb_span blank = { " ", 1 };
	const char *scheme = json_string_value(json_object_get(j, "prepend_scheme"));
	enum plumb_status status;
	void *code;
	if (!steps_is(steps_text(json_object_get(j, "replacement")), PLUMB_SPACE_MARK))
		return steps_refuse("Metaspace with a replacement that is not", PLUMB_SPACE_MARK);
	if (!scheme)
		scheme = steps_flag(j, "add_prefix_space", true) ? "always" : "never";
	status = steps_unmark(tok);
	if (!status && !strcmp(scheme, "first"))
		status = plumb_split_add(tok->split, PLUMB_STEP_SPACE_FIRST, PLUMB_ISOLATED, false, NULL);
	else if (!status && !strcmp(scheme, "always"))
		status = plumb_split_add(tok->split, PLUMB_STEP_SPACE, PLUMB_ISOLATED, false, NULL);
	else if (!status && strcmp(scheme, "never"))
		status = steps_refuse("the prepend_scheme of Metaspace,", scheme);
	if (status || !steps_flag(j, "split", true))
		return status;
	status = plumb_pattern_literal(blank, &code);
	return status ? status : plumb_split_add(tok->split, PLUMB_STEP_PATTERN, PLUMB_WITH_NEXT, false, code);
}

static enum plumb_status steps_pre(struct plumb_tokenizer *tok, const json_t *j)
{
	const char *type = steps_type(j);
	enum plumb_status status = PLUMB_OK;
	if (tok->bytes_made) /* text is in the byte alphabet from there on */
		return steps_refuse("behind ByteLevel the pre-tokeniser", type);
	if (!strcmp(type, "ByteLevel")) {
		tok->bytes_made = true;
		if (steps_flag(j, "add_prefix_space", true))
			status = plumb_split_add(tok->split, PLUMB_STEP_SPACE_ANY, PLUMB_ISOLATED, false, NULL);
		return status || !steps_flag(j, "use_regex", true)
			? status
			: plumb_split_add_pattern(tok->split, plumb_pattern_words);
	}
	if (!strcmp(type, "Split"))
		return steps_split(tok, j);
	if (!strcmp(type, "Metaspace"))
		return steps_metaspace(tok, j);
	if (!strcmp(type, "Digits") && !tok->spaces) {
		void *code;
		status = plumb_pattern_compile(plumb_pattern_digit, &code);
		return status
			? status
			: plumb_split_add(tok->split, PLUMB_STEP_PATTERN,
				  steps_flag(j, "individual_digits", false) ? PLUMB_ISOLATED : PLUMB_CONTIGUOUS, false, code);
	}
	return steps_refuse("the pre-tokeniser", type);
}

/* --- decoder --- */

/* A decoder is only looked at: text comes from the bytes of tokens, but for a blank at its beginning. */
static enum plumb_status steps_decode(struct plumb_tokenizer *tok, const json_t *j)
{
	const char *type = steps_type(j);
	const json_t *pattern = json_object_get(json_object_get(j, "pattern"), "String");
	const char *scheme = json_string_value(json_object_get(j, "prepend_scheme"));
	bool bytes = tok->model == PLUMB_VOCAB_BYTES;
	if (!strcmp(type, "ByteLevel") && bytes)
		return PLUMB_OK;
	if (!bytes && (!strcmp(type, "ByteFallback") || !strcmp(type, "Fuse")))
		return PLUMB_OK;
	if (!bytes && !strcmp(type, "Replace") && steps_is(steps_text(pattern), PLUMB_SPACE_MARK) &&
		steps_is(steps_text(json_object_get(j, "content")), " "))
		return PLUMB_OK;
	if (!bytes && !strcmp(type, "Strip") && steps_is(steps_text(json_object_get(j, "content")), " ") &&
		json_integer_value(json_object_get(j, "start")) <= 1 &&
		!json_integer_value(json_object_get(j, "stop"))) {
		tok->strip = json_integer_value(json_object_get(j, "start")) == 1;
		return PLUMB_OK;
	}
	if (!bytes && !strcmp(type, "Metaspace") &&
		steps_is(steps_text(json_object_get(j, "replacement")), PLUMB_SPACE_MARK)) {
		tok->strip = tok->strip_all = scheme ? strcmp(scheme, "never") != 0
											 : steps_flag(j, "add_prefix_space", true);
		return PLUMB_OK;
	}
	return steps_refuse("the decoder", type);
}

/* Does a step, or one of a sequence, mark blanks? */
static bool steps_marks(const json_t *j, const char *member, int depth)
{
	const json_t *list = json_object_get(j, member);
	bool marks = !strcmp(steps_type(j), "Metaspace") ||
		(!strcmp(steps_type(j), "Replace") &&
			steps_is(steps_text(json_object_get(j, "content")), PLUMB_SPACE_MARK) &&
			steps_is(steps_text(json_object_get(json_object_get(j, "pattern"), "String")), " "));
	for (size_t i = 0; !marks && depth <= DEEPEST && i < json_array_size(list); i++)
		marks = steps_marks(json_array_get(list, i), member, depth + 1);
	return marks;
}

enum plumb_status plumb_steps_read(struct plumb_tokenizer *tok, const json_t *root)
{
	const json_t *normal = json_object_get(root, "normalizer"), *pre = json_object_get(root, "pre_tokenizer");
	enum plumb_status status;
	tok->spaces = steps_marks(normal, "normalizers", 0) || steps_marks(pre, "pretokenizers", 0);
	if ((status = steps_each(tok, normal, "normalizers", "normaliser", steps_normal, 0)) ||
		(status = steps_each(tok, pre, "pretokenizers", "pre-tokeniser", steps_pre, 0)))
		return status;
	if (tok->bytes_made && tok->spaces)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "tokenizer.json: ByteLevel beside marked blanks is not known");
	if (!tok->bytes_made && !tok->spaces)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"tokenizer.json: a vocabulary that is neither ByteLevel nor marks blanks is not known");
	tok->model = tok->bytes_made ? PLUMB_VOCAB_BYTES : PLUMB_VOCAB_SCORES;
	return steps_each(tok, json_object_get(root, "decoder"), "decoders", "decoder", steps_decode, 0);
}
