/* SPDX-License-Identifier: Apache-2.0 */
/* The pre-tokeniser: a pattern of PCRE2 that cuts text into pieces, between which nothing merges. One
 * row per pattern that model files name. Knows no tokens. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <stdlib.h>
#include <string.h>
#include <pcre2.h>
#include "core/core.h"
#include "text.h"

/* The reference tokenizers know Unicode 16, Debian 12's PCRE2 (10.42) knows 14. These are the letters
 * and numbers assigned since; with a newer PCRE2 they are merely said twice. */
#define LETTERS \
	"\\p{L}" \
	"\\x{1c89}-\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{105c0}-\\x{105f3}\\x{10d4a}-\\x{10d65}" \
	"\\x{10d6f}-\\x{10d85}\\x{10ec2}-\\x{10ec4}\\x{1123f}-\\x{11240}\\x{11380}-\\x{11389}\\x{1138b}\\x{1138e}" \
	"\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}\\x{113d3}\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}-\\x{11f10}" \
	"\\x{11f12}-\\x{11f33}\\x{1342f}\\x{13441}-\\x{13446}\\x{13460}-\\x{143fa}\\x{16100}-\\x{1611d}" \
	"\\x{16d40}-\\x{16d6c}\\x{18cff}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}\\x{1e030}-\\x{1e06d}" \
	"\\x{1e4d0}-\\x{1e4eb}\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"
#define NUMBERS \
	"\\p{N}" \
	"\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}\\x{11f50}-\\x{11f59}\\x{16130}-\\x{16139}" \
	"\\x{16d70}-\\x{16d79}\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}\\x{1e5f1}-\\x{1e5fa}"
/* White_Space; PCRE2's own \s has U+180E as well, which is none since Unicode 6.3. */
#define SPACES "\\p{Z}\\t-\\r\\x{85}"

/* Qwen2's tokenizer.json:
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|
 * ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
#define QWEN2 \
	"(?i:'s|'t|'re|'ve|'m|'ll|'d)" \
	"|[^\\r\\n" LETTERS NUMBERS "]?[" LETTERS "]+" \
	"|[" NUMBERS "]" \
	"| ?[^" SPACES LETTERS NUMBERS "]+[\\r\\n]*" \
	"|[" SPACES "]*[\\r\\n]+" \
	"|[" SPACES "]+(?![^" SPACES "])" \
	"|[" SPACES "]+"

/* Names as in tokenizer.ggml.pre. llama.cpp gives each of these the same pattern (llama-vocab.cpp,
 * PRE_TYPE_QWEN2, STABLELM2, HUNYUAN and SOLAR_OPEN). */
static const struct pattern {
	const char *name, *regex;
} patterns[] = {
	{ "qwen2", QWEN2 },
	{ "deepseek-r1-qwen", QWEN2 },
	{ "kormo", QWEN2 },
	{ "f2llmv2", QWEN2 },
	{ "megrez", QWEN2 },
	{ "stablelm2", QWEN2 },
	{ "hunyuan", QWEN2 },
	{ "solar-open", QWEN2 },
};

struct plumb_split {
	pcre2_code *code;
};

enum plumb_status plumb_split_new(struct plumb_split **split, const char *name)
{
	const struct pattern *pattern = NULL;
	int error = 0;
	PCRE2_SIZE at = 0;
	*split = NULL;
	for (size_t i = 0; name && i < sizeof patterns / sizeof patterns[0]; i++)
		if (!strcmp(patterns[i].name, name))
			pattern = &patterns[i];
	if (!pattern)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"the split pattern \"%.64s\" (tokenizer.ggml.pre) is not known; plumb "
			"knows that of qwen2 and its other names",
			name ? name : "(none)");
	*split = calloc(1, sizeof **split);
	if (!*split)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a split pattern");
	(*split)->code = pcre2_compile((PCRE2_SPTR)pattern->regex, PCRE2_ZERO_TERMINATED,
		PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &at, NULL);
	if (!(*split)->code) {
		char text[128] = "";
		pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof text);
		plumb_split_free(*split);
		*split = NULL;
		return plumb_fail(error == PCRE2_ERROR_HEAP_FAILED ? PLUMB_E_MEMORY : PLUMB_E_INTERNAL,
			"split pattern %s: %s at %zu", name, text, (size_t)at);
	}
	/* Where code must not be generated (hardened kernels) this fails, and matching interprets. */
	(void)pcre2_jit_compile((*split)->code, PCRE2_JIT_COMPLETE);
	return PLUMB_OK;
}

void plumb_split_free(struct plumb_split *split)
{
	if (!split)
		return;
	pcre2_code_free(split->code);
	free(split);
}

static enum plumb_status split_run_matches(const struct plumb_split *split, const char *text, size_t n,
	pcre2_match_data *data, pcre2_match_context *context, plumb_piece_fn fn, void *user)
{
	uint32_t options = PCRE2_NO_UTF_CHECK;
	enum plumb_status status = PLUMB_OK;
	for (size_t at = 0; !status && at < n;) {
		int rc = pcre2_match(split->code, (PCRE2_SPTR)text, n, at, options, data, context);
		if (rc == PCRE2_ERROR_JIT_STACKLIMIT && !(options & PCRE2_NO_JIT)) {
			options |= PCRE2_NO_JIT;
			continue;
		}
		size_t end = rc > 0 ? pcre2_get_ovector_pointer(data)[1] : 0;
		if (end <= at) {
			char why[128] = "an empty match";
			if (rc < 0)
				pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
			return plumb_fail(rc == PCRE2_ERROR_NOMEMORY ? PLUMB_E_MEMORY : PLUMB_E_INTERNAL,
				"split pattern at byte %zu: %s", at, why);
		}
		status = fn(user, text + at, end - at);
		at = end;
	}
	return status;
}

enum plumb_status plumb_split_run(
	const struct plumb_split *split, const char *text, size_t n, plumb_piece_fn fn, void *user)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	pcre2_match_context *context = pcre2_match_context_create(NULL);
	enum plumb_status status;
	if (!data || !context) {
		status = plumb_fail(PLUMB_E_MEMORY, "no memory to split %zu bytes of text", n);
	} else {
		/* The limits guard against patterns from outside; ours backtracks at most once over a run. */
		pcre2_set_match_limit(context, UINT32_MAX);
		pcre2_set_depth_limit(context, UINT32_MAX);
		pcre2_set_heap_limit(context, UINT32_MAX);
		status = split_run_matches(split, text, n, data, context, fn, user);
	}
	pcre2_match_data_free(data);
	pcre2_match_context_free(context);
	return status;
}
