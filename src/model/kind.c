/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files that are no model by themselves: what they are, in the words of those who made them. */
#include <string.h>
#include "format/format.h"
#include "model/model.h"

static bool kind_text_is(const struct plumb_file *file, const char *key, const char *text)
{
	const struct plumb_meta *m = plumb_file_meta_find(file, key);
	return m && m->kind == PLUMB_META_STRING && m->s.n == strlen(text) && !memcmp(m->s.p, text, m->s.n);
}

/* By key and value (value NULL: any). */
static const struct {
	const char *key, *value, *what;
} kinds[] = {
	{ "adapter.type", "lora",
		"a LoRA adapter, which has no weights of its own: merge it into its base model (llama-export-lora) and run that" },
	{ "adapter.type", NULL,
		"an adapter, which has no weights of its own: merge it into its base model and run that" },
	{ "general.type", "adapter",
		"an adapter, which has no weights of its own: merge it into its base model and run that" },
	{ "general.type", "mmproj",
		"the vision or audio part of a model (mmproj), which holds no language model" },
	{ "general.architecture", "clip",
		"the vision or audio part of a model (clip), which holds no language model" },
	{ "general.type", "imatrix", "an importance matrix for quantising, no model" },
	{ "general.architecture", "imatrix", "an importance matrix for quantising, no model" },
	{ "general.architecture", "controlvector", "a control vector, which has no weights of its own" },
};

enum plumb_status plumb_kind_check(const struct plumb_file *file)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].value ? kind_text_is(file, kinds[i].key, kinds[i].value)
						   : plumb_file_meta_find(file, kinds[i].key) != NULL)
			return plumb_fail(
				PLUMB_E_UNSUPPORTED, "the key %s says that this is %s", kinds[i].key, kinds[i].what);
	if (!plumb_file_tensors(file) && plumb_file_meta_find(file, "tokenizer.ggml.tokens"))
		return plumb_fail(
			PLUMB_E_UNSUPPORTED, "this is a vocabulary only, without a tensor: it can tokenize, not compute");
	return PLUMB_OK;
}
