/* SPDX-License-Identifier: Apache-2.0 */
/* The pre-tokeniser: steps that cut text into pieces, between which nothing merges, each step the pieces of
 * the one before. Knows no tokens. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <stdlib.h>
#include <string.h>
#include <pcre2.h>
#include "core/core.h"
#include "text.h"

struct step {
	enum plumb_step_kind kind;
	enum plumb_behaviour behaviour;
	bool invert;
	pcre2_code *code; /* of a pattern */
};

struct plumb_split {
	struct step step[PLUMB_STEPS];
	int steps;
};

enum plumb_status plumb_split_new(struct plumb_split **split)
{
	*split = calloc(1, sizeof **split);
	return *split ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for a split pattern");
}

void plumb_split_free(struct plumb_split *split)
{
	if (!split)
		return;
	for (int i = 0; i < split->steps; i++)
		pcre2_code_free(split->step[i].code);
	free(split);
}

enum plumb_status plumb_split_add(struct plumb_split *split, enum plumb_step_kind kind,
	enum plumb_behaviour behaviour, bool invert, void *code)
{
	if (split->steps == PLUMB_STEPS) {
		pcre2_code_free(code);
		return plumb_fail(PLUMB_E_UNSUPPORTED, "more than %d steps that split text", PLUMB_STEPS);
	}
	split->step[split->steps++] = (struct step){ kind, behaviour, invert, code };
	return PLUMB_OK;
}

enum plumb_status plumb_split_add_pattern(struct plumb_split *split, const char *text)
{
	void *code;
	enum plumb_status status = plumb_pattern_compile(text, &code);
	return status ? status : plumb_split_add(split, PLUMB_STEP_PATTERN, PLUMB_ISOLATED, false, code);
}

struct run {
	const struct plumb_split *split;
	pcre2_match_data *data;
	pcre2_match_context *context;
	plumb_piece_fn fn;
	void *user;
	bool first;
};

static enum plumb_status split_step(struct run *r, int i, const char *text, size_t n);

/* Find the next match of a pattern from `at` on; *start is n when there is none. */
static enum plumb_status split_find(
	struct run *r, const pcre2_code *code, const char *text, size_t n, size_t at, size_t *start, size_t *end)
{
	uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
	int rc = pcre2_match(code, (PCRE2_SPTR)text, n, at, options, r->data, r->context);
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(code, (PCRE2_SPTR)text, n, at, options | PCRE2_NO_JIT, r->data, r->context);
	*start = *end = n;
	if (rc == PCRE2_ERROR_NOMATCH)
		return PLUMB_OK;
	if (rc < 0) {
		char why[128] = "";
		pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
		return plumb_fail(rc == PCRE2_ERROR_NOMEMORY ? PLUMB_E_MEMORY : PLUMB_E_INTERNAL,
			"split pattern at byte %zu: %s", at, why);
	}
	*start = pcre2_get_ovector_pointer(r->data)[0];
	*end = pcre2_get_ovector_pointer(r->data)[1];
	return PLUMB_OK;
}

/* A stretch that matches, or one between matches; `open` while the next may still join it. */
struct stretch {
	size_t start, end;
	bool match, open;
};

/* Take the next stretch: it joins the one that is held, or takes its place. */
static enum plumb_status split_take(
	struct run *r, int i, const char *text, struct stretch *held, size_t start, size_t end, bool match)
{
	const struct step *step = &r->split->step[i];
	bool join = false;
	enum plumb_status status = PLUMB_OK;
	match ^= step->invert;
	if (start == end || (step->behaviour == PLUMB_REMOVED && match))
		return PLUMB_OK;
	if (held->open && step->behaviour == PLUMB_CONTIGUOUS)
		join = match == held->match;
	else if (held->open && step->behaviour == PLUMB_WITH_PREVIOUS)
		join = match && !held->match;
	else if (held->open && step->behaviour == PLUMB_WITH_NEXT)
		join = held->match && !match;
	if (join)
		held->end = end;
	else {
		if (held->open)
			status = split_step(r, i + 1, text + held->start, held->end - held->start);
		*held = (struct stretch){ start, end, match, true };
	}
	held->match = match;
	return status;
}

static enum plumb_status split_pattern(struct run *r, int i, const char *text, size_t n)
{
	struct stretch held = { 0, 0, false, false };
	enum plumb_status status = PLUMB_OK;
	for (size_t at = 0, start, end; !status && at < n; at = end) {
		status = split_find(r, r->split->step[i].code, text, n, at, &start, &end);
		if (!status)
			status = split_take(r, i, text, &held, at, start, false);
		if (!status)
			status = split_take(r, i, text, &held, start, end, true);
	}
	if (!status && held.open)
		status = split_step(r, i + 1, text + held.start, held.end - held.start);
	return status;
}

/* A space in front, which the vocabulary's tokens of whole words have. */
static enum plumb_status split_with_space(struct run *r, int i, const char *text, size_t n)
{
	char *longer = malloc(n + 1);
	enum plumb_status status;
	if (!longer)
		return plumb_fail(PLUMB_E_MEMORY, "no memory to split %zu bytes of text", n);
	longer[0] = ' ';
	memcpy(longer + 1, text, n);
	status = split_step(r, i + 1, longer, n + 1);
	free(longer);
	return status;
}

static enum plumb_status split_step(struct run *r, int i, const char *text, size_t n)
{
	bool first = r->first;
	if (!n)
		return PLUMB_OK;
	if (i == r->split->steps) {
		r->first = false;
		return r->fn(r->user, text, n);
	}
	switch (r->split->step[i].kind) {
	case PLUMB_STEP_PATTERN: return split_pattern(r, i, text, n);
	case PLUMB_STEP_SPACE_FIRST:
		return *text == ' ' || !first ? split_step(r, i + 1, text, n) : split_with_space(r, i, text, n);
	case PLUMB_STEP_SPACE:
		return *text == ' ' ? split_step(r, i + 1, text, n) : split_with_space(r, i, text, n);
	case PLUMB_STEP_SPACE_ANY:
		return plumb_space_at(text, n) ? split_step(r, i + 1, text, n) : split_with_space(r, i, text, n);
	}
	return plumb_fail(PLUMB_E_INTERNAL, "a step of kind %d", (int)r->split->step[i].kind);
}

enum plumb_status plumb_split_run(
	const struct plumb_split *split, const char *text, size_t n, bool first, plumb_piece_fn fn, void *user)
{
	struct run r = { split, pcre2_match_data_create(1, NULL), pcre2_match_context_create(NULL), fn, user,
		first };
	enum plumb_status status;
	if (!r.data || !r.context) {
		status = plumb_fail(PLUMB_E_MEMORY, "no memory to split %zu bytes of text", n);
	} else {
		/* The limits guard against patterns from outside; ours backtracks at most once over a run. */
		pcre2_set_match_limit(r.context, UINT32_MAX);
		pcre2_set_depth_limit(r.context, UINT32_MAX);
		pcre2_set_heap_limit(r.context, UINT32_MAX);
		status = split_step(&r, 0, text, n);
	}
	pcre2_match_data_free(r.data);
	pcre2_match_context_free(r.context);
	return status;
}
