/* SPDX-License-Identifier: Apache-2.0 */
/* Split patterns by name, as GGUF files have them (tokenizer.ggml.pre), and by their own text, as
 * tokenizer.json has it. Texts are those of the models' tokenizer.json, which speaks to Oniguruma; what PCRE2
 * takes otherwise is written out when one is compiled. A text that is not in the table is refused: what it
 * costs and what it matches elsewhere is not known. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <stdlib.h>
#include <string.h>
#include <pcre2.h>
#include "core/core.h"
#include "text.h"
#include "unicode.h"

/* White_Space; PCRE2's own \s has U+180E as well, which is none since Unicode 6.3. */
#define SPACES "\\p{Z}\\t-\\r\\x{85}"

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define DIGIT "\\p{Digit}" /* not of Oniguruma: the Digits of tokenizer.json */
#define WORDS(number) \
	CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" number "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" REST
#define QWEN2 WORDS("\\p{N}")
#define QWEN35 \
	CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" REST
#define LLAMA3 WORDS("\\p{N}{1,3}")
#define SEED CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" REST
/* Words with a capital first, as OpenAI's o200k has them. */
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(ending, number) \
	"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" ending "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" ending \
	"|" number "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" REST
#define TEKKEN CASED("", "\\p{N}")
#define GPT4O CASED(CONTRACTION "?", "\\p{N}{1,3}")

/* llama.cpp gives the names of a row the same patterns (llama-vocab.cpp). Where its own pattern is a simpler
 * one than the model's tokenizer.json (tekken, gpt-4o), the row has the model's. */
static const struct plumb_pattern_set sets[] = {
	{ "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2", false, false,
		{ QWEN2 } },
	{ "qwen35", false, false, { QWEN35 } },
	{ "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", true, true,
		{ LLAMA3 } },
	{ "dbrx smaug-bpe chatglm-bpe glm4", false, false, { LLAMA3 } },
	{ "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", false, false,
		{ DIGIT, GPT2 } },
	{ "gpt-2 phi-2 olmo mpt jais trillion granite-docling exaone4 modern-bert mellum gigachat a.x-4.0", false,
		false, { GPT2 } },
	{ "tekken", true, true, { TEKKEN } },
	{ "gpt-4o llama4 kanana2 talkie", false, false, { GPT4O } },
	{ "seed-coder", false, false, { SEED } },
	{ "default", false, false, { "[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" } },
};
#define SETS (sizeof sets / sizeof sets[0])

const char plumb_pattern_words[] = GPT2, plumb_pattern_digit[] = DIGIT;

/* Is the name one of these, which have a space between them? */
static bool pattern_names(const char *names, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = names; n && (p = strstr(p, name)); p++)
		if ((p == names || p[-1] == ' ') && (p[n] == ' ' || !p[n]) && !strchr(name, ' '))
			return true;
	return false;
}

const struct plumb_pattern_set *plumb_pattern_named(const char *name)
{
	for (size_t i = 0; name && i < SETS; i++)
		if (pattern_names(sets[i].names, name))
			return &sets[i];
	return NULL;
}

bool plumb_vocab_adds_bos(const char *split)
{
	const struct plumb_pattern_set *set = plumb_pattern_named(split);
	return set && set->add_bos;
}

/* Is it this text, be line breaks written as escapes or as they are? */
static bool pattern_is(const char *pattern, struct plumb_span text)
{
	size_t i = 0;
	for (; *pattern && i < text.n; i++, pattern++) {
		char escape = text.p[i] == '\n' ? 'n' : text.p[i] == '\r' ? 'r' : 0;
		if (escape && (pattern[0] != '\\' || *++pattern != escape))
			return false;
		if (!escape && *pattern != text.p[i])
			return false;
	}
	return !*pattern && i == text.n;
}

const char *plumb_pattern_known(struct plumb_span text)
{
	for (size_t i = 0; i < SETS; i++)
		for (int k = 0; k < PLUMB_PATTERNS && sets[i].text[k]; k++)
			if (pattern_is(sets[i].text[k], text))
				return sets[i].text[k];
	return NULL;
}

/* What PCRE2 is given for an escape of Oniguruma's: within a class, or as one. */
static const struct escape {
	const char *escape, *class;
	bool not ;
} escapes[] = {
	{ "\\p{L}", "\\p{L}" NEW_L, false }, { "\\p{N}", "\\p{N}" NEW_N, false },
	{ "\\p{M}", "\\p{M}" NEW_M, false }, { "\\p{P}", "\\p{P}" NEW_P, false },
	{ "\\p{S}", "\\p{S}" NEW_S, false }, { "\\p{Lu}", "\\p{Lu}" NEW_Lu, false },
	{ "\\p{Ll}", "\\p{Ll}" NEW_Ll, false }, { "\\p{Lm}", "\\p{Lm}" NEW_Lm, false },
	{ "\\p{Lo}", "\\p{Lo}" NEW_Lo, false }, { DIGIT, "\\p{N}" NEW_N NEW_DIGIT, false },
	{ "\\s", SPACES, false }, { "\\S", SPACES, true }, /* outside of classes only */
};

static const struct escape *pattern_escape(const char *p)
{
	for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++)
		if (!strncmp(p, escapes[i].escape, strlen(escapes[i].escape)))
			return &escapes[i];
	return NULL;
}

/* Write the pattern for PCRE2 to out, or only count when it is NULL. */
static size_t pattern_expand(const char *p, char *out)
{
	bool inside = false;
	size_t n = 0;
	while (*p) {
		const struct escape *e = pattern_escape(p);
		const char *part[3] = { "", p, "" };
		size_t take = *p == '\\' && p[1] ? 2 : 1;
		if (e) {
			part[0] = inside ? "" : e->not ? "[^" : "[";
			part[1] = e->class;
			part[2] = inside ? "" : "]";
			take = strlen(e->escape);
		} else if (*p == '[' || *p == ']')
			inside = *p == '[';
		for (int i = 0; i < 3; i++) {
			size_t size = i == 1 && !e ? take : strlen(part[i]);
			if (out)
				memcpy(out + n, part[i], size);
			n += size;
		}
		p += take;
	}
	return n;
}

enum plumb_status plumb_pattern_compile(const char *text, void **code)
{
	size_t n = pattern_expand(text, NULL);
	char *regex = malloc(n + 1);
	int error = 0;
	PCRE2_SIZE at = 0;
	*code = NULL;
	if (!regex)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a split pattern");
	pattern_expand(text, regex);
	pcre2_code *made = pcre2_compile((PCRE2_SPTR)regex, n, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
	free(regex);
	if (!made) {
		char why[128] = "";
		pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
		return plumb_fail(error == PCRE2_ERROR_HEAP_FAILED ? PLUMB_E_MEMORY : PLUMB_E_INTERNAL,
			"split pattern %s: %s at %zu", text, why, (size_t)at);
	}
	/* Where code must not be generated (hardened kernels) this fails, and matching interprets. */
	(void)pcre2_jit_compile(made, PCRE2_JIT_COMPLETE);
	*code = made;
	return PLUMB_OK;
}

enum plumb_status plumb_pattern_literal(struct plumb_span text, void **code)
{
	int error = 0;
	PCRE2_SIZE at = 0;
	*code = pcre2_compile((PCRE2_SPTR)text.p, text.n, PCRE2_UTF | PCRE2_LITERAL, &error, &at, NULL);
	if (!*code)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a text to split at (%d)", error);
	(void)pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE);
	return PLUMB_OK;
}
