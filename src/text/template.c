/* SPDX-License-Identifier: Apache-2.0 */
/* Which renderer a template's text has. Texts are known exactly, by their SHA-256, or not at all: nothing is
 * guessed from a part. An evaluator of Jinja would be asked in plumb_template_of, where a text is not in the
 * table. */
#include <stdio.h>
#include <string.h>
#include "core/core.h"
#include "text.h"

static const struct plumb_template templates[] = {
	{ .name = "chatml", .form = PLUMB_FORM_CHATML },
	{ .name = "qwen2", .form = PLUMB_FORM_CHATML, .system = "You are a helpful assistant." },
	{ .name = "qwen2.5",
		.form = PLUMB_FORM_CHATML,
		.system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant." },
	{ .name = "qwen2.5-math",
		.form = PLUMB_FORM_CHATML,
		.system = "Please reason step by step, and put your final answer within \\boxed{}." },
	{ .name = "smollm2",
		.form = PLUMB_FORM_CHATML,
		.system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face" },
	{ .name = "qwq", .form = PLUMB_FORM_CHATML, .thought = PLUMB_THOUGHT_LAST, .think = true },
	{ .name = "qwq-first", .form = PLUMB_FORM_CHATML, .thought = PLUMB_THOUGHT_NONE },
	{ .name = "deepseek-r1", .form = PLUMB_FORM_DEEPSEEK, .thought = PLUMB_THOUGHT_CUT, .think = true },
};
#define TEMPLATES (int)(sizeof templates / sizeof templates[0])

/* Of texts without a last line break, which Jinja leaves out. tests/data/text/templates.json has the texts
 * and what Jinja makes of them; a row here needs one there. */
static const struct known {
	const char *sha256, *name;
} known[] = {
	{ "fcf7a096fe99a48fd9ad2b250bf9237e96e8f48bffec1c7ea4d3f225176cd40e", "chatml" },
	{ "153280e3ff55d19da1398bdb3914ee2a51b80429bfaedde11d7d216c39db80f3", "chatml" },
	{ "de4226db484f4669473e033a13f710ca8318fbc9b4203965f26db8534f09841f", "chatml" },
	{ "5efb2c1195dfbd5d194270c2f572c8a05245b5fd4b58eb7e81528f1139a36116", "chatml" },
	{ "793202280c0910ab26bc6eb57c8212c2417324c6d8c4efd0d10d59092ab3e3eb",
		"qwen2" }, /* Qwen1.5, Qwen2 Instruct */
	{ "f0206845c9ebc3abb4735d44f286eb81ce99238ad2accc710c6fc60e6cb8ccc8", "qwen2" },
	{ "4039eed0f28b7aaa337e70c76cfedba3271ee32505835a095a8c92e536b3c355",
		"qwen2" }, /* Qwen2.5 in some GGUFs */
	{ "55b2f4a26ac9ee719330a61a0c39d9e538b0e9322212f048326318cff4f8674a",
		"qwen2.5" }, /* Instruct, Coder Instruct */
	{ "a7b85912e5c385c3ed6cd1ad8232c0d98e05b9b2cec5c89cc35b885e15ea17dc",
		"qwen2.5" }, /* the models of tests/data */
	{ "4e9918361c284a93880606d182d64da6a9fe97cdc1f5c5a78c1c8840444246fc",
		"qwen2.5" }, /* Coder 1.5B: other braces where tools are told */
	{ "2976f7de3b9489e3237dc5ad2734060f756d026da00f24464c59c2e3bb40ee37", "qwen2.5-math" },
	{ "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788", "smollm2" },
	{ "cb2d7aa140bed098f4ac8ab1a403980e6768d58ec95ef701668fc7dd017e0762", "qwq" },
	{ "11918a86b4285984613779c0dbb5e68314d0c9bdd671f484157b5f789e008463", "qwq-first" },
	{ "56a1447ad31926fdc21fb07e56e5642bd9c850c4f52d8c8af7bbe5f079a84f5f", "deepseek-r1" },
	{ "03cb8191637dd031cf7dca8bffd267b741d0cb46ab490dc7e452f62f02184b02",
		"deepseek-r1" }, /* as llama.cpp writes it */
};

static const struct plumb_template *template_named(const char *name)
{
	for (int i = 0; i < TEMPLATES; i++)
		if (!strcmp(templates[i].name, name))
			return &templates[i];
	return NULL;
}

const char *plumb_template_name(int i) { return i < 0 || i >= TEMPLATES ? NULL : templates[i].name; }

const struct plumb_template *plumb_template_of(const char *text, size_t n, char hex[PLUMB_SHA256_HEX])
{
	plumb_sha256(text, n && text[n - 1] == '\n' ? n - 1 : n, hex);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (!strcmp(known[i].sha256, hex))
			return template_named(known[i].name);
	return NULL;
}

/* The beginning of a text from outside, in one line that a terminal may see. */
static void template_show(const char *text, size_t n, char *out, size_t most)
{
	size_t k = 0;
	for (; k < n && k + 1 < most; k++)
		out[k] = text[k] < ' ' || text[k] > '~' ? ' ' : text[k];
	out[k] = 0;
}

void plumb_template_read(struct plumb_tokenizer *tok, const char *text, size_t n)
{
	char hex[PLUMB_SHA256_HEX], start[41];
	tok->template = plumb_template_of(text, n, hex);
	template_show(text, n, start, sizeof start);
	snprintf(tok->unknown, sizeof tok->unknown,
		"a chat template that plumb does not know (\"%s%s\", SHA-256 %.16s)", start,
		n >= sizeof start ? " ..." : "", hex);
}

enum plumb_status plumb_tokenizer_use_template(struct plumb_tokenizer *tok, const char *name)
{
	const struct plumb_template *t = template_named(name);
	if (!t)
		return plumb_fail(PLUMB_E_ARGUMENT, "\"%.64s\" is not the name of a chat template", name);
	tok->template = t;
	return PLUMB_OK;
}

enum plumb_status plumb_tokenizer_read_template(struct plumb_tokenizer *tok, const char *text, size_t size)
{
	char hex[PLUMB_SHA256_HEX], start[41];
	const struct plumb_template *t = plumb_template_of(text, size, hex);
	template_show(text, size, start, sizeof start);
	if (!t)
		return plumb_fail(PLUMB_E_UNSUPPORTED,
			"plumb does not know the chat template \"%s%s\" (SHA-256 %.16s)", start,
			size >= sizeof start ? " ..." : "", hex);
	tok->template = t;
	return PLUMB_OK;
}

const char *plumb_tokenizer_template(const struct plumb_tokenizer *tok)
{
	return tok->template ? tok->template->name : NULL;
}

enum plumb_status plumb_template_need(const struct plumb_tokenizer *tok)
{
	if (tok->template)
		return PLUMB_OK;
	return plumb_fail(PLUMB_E_UNSUPPORTED, "the model%s%s%s has %s", *tok->name ? " \"" : "", tok->name,
		*tok->name ? "\"" : "", *tok->unknown ? tok->unknown : "no chat template");
}
