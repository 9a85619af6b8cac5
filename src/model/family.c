/* SPDX-License-Identifier: Apache-2.0 */
/* The list of families, and what the tables say of one key or tensor of a file. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include "core/core.h"
#include "format/format.h"
#include "model/family.h"
#include "model/model.h"

static const struct plumb_family *const families[] = { &plumb_family_qwen2, &plumb_family_qwen3,
	&plumb_family_llama, &plumb_family_smollm3, &plumb_family_granite, &plumb_family_gemma3,
	&plumb_family_phi3, &plumb_family_olmo2 };
#define FAMILIES ((int)(sizeof families / sizeof *families))

static const struct plumb_family *family_find(const struct plumb_file *file)
{
	const struct plumb_meta *m = plumb_file_meta_find(file, "general.architecture");
	for (int i = 0; m && i < FAMILIES; i++)
		if (plumb_family_text_is(m, families[i]->name))
			return families[i];
	return NULL;
}

/* " qwen2, qwen3": those that there are. */
#define NAMES 128
static const char *family_names(char text[NAMES])
{
	size_t n = 0;
	for (int i = 0; i < FAMILIES && n < NAMES; i++)
		n += (size_t)snprintf(text + n, NAMES - n, "%s %s", i ? "," : "", families[i]->name);
	return text;
}

/* Shell patterns. Of a long name the start is enough: no row's is that long. */
static bool family_matches(const char *pattern, const char *name, size_t n)
{
	char text[PLUMB_KEY];
	if (memchr(name, 0, n))
		return false;
	snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), name);
	return !fnmatch(pattern, text, FNM_NOESCAPE);
}

/* The first tensor of a file that no family would use: what an architecture that nobody has heard of may need
 * computing for. */
static const struct plumb_file_tensor *family_strange_tensor(const struct plumb_file *file)
{
	for (int64_t i = 0; i < plumb_file_tensors(file); i++) {
		struct plumb_span part;
		const struct plumb_file_tensor *t = plumb_file_tensor(file, i);
		const struct plumb_weight_row *row = plumb_tensor_layer(t->name, &part) < 0 ? plumb_family_top
																					: plumb_family_layer;
		while (row->name && !family_matches(row->name, part.p, part.n))
			row++;
		if (!row->name)
			return t;
	}
	return NULL;
}

static enum plumb_status family_unknown(const struct plumb_file *file, struct plumb_span architecture)
{
	char name[PLUMB_QUOTE], tensor[PLUMB_QUOTE], names[NAMES];
	plumb_quote(architecture, name);
	family_names(names);
	for (const struct plumb_architecture *a = plumb_architectures_missing; a->name; a++)
		if (family_matches(a->name, architecture.p, architecture.n))
			return plumb_fail(PLUMB_E_UNSUPPORTED,
				"the architecture is \"%s\", which needs what plumb does not compute: %s; plumb knows:%s",
				name, a->missing, names);
	const struct plumb_file_tensor *strange = family_strange_tensor(file);
	return plumb_fail(PLUMB_E_UNSUPPORTED, "the architecture is \"%s\"%s%s; plumb knows:%s", name,
		strange ? ", and no known one has the tensor " : "",
		strange ? plumb_quote(strange->name, tensor) : "", names);
}

const struct plumb_family *plumb_family_of(const struct plumb_file *file, enum plumb_status *status)
{
	const struct plumb_meta *m = plumb_file_meta_find(file, "general.architecture");
	const struct plumb_family *family = family_find(file);
	*status = PLUMB_OK;
	if (!m && strcmp(plumb_file_format(file), "safetensors") == 0)
		*status = plumb_fail(PLUMB_E_FORMAT,
			"a safetensors file has tensors only; give the folder that it is in, with its config.json");
	else if (!m || m->kind != PLUMB_META_STRING)
		*status = plumb_fail(
			PLUMB_E_FORMAT, "the key general.architecture is missing or no text: this is no model file");
	else if (!family)
		*status = family_unknown(file, m->s);
	return family;
}

/* PLUMB_USE_IGNORED with *why NULL: no row is of this key. */
static enum plumb_use family_judge(const struct plumb_key_row *row, const struct plumb_family *family,
	const struct plumb_file *file, const struct plumb_meta *m, struct plumb_span name, const char **why)
{
	for (*why = NULL; row && row->name; row++) {
		if (!family_matches(row->name, name.p, name.n))
			continue;
		*why = row->why;
		if (row->judge)
			return row->judge(family, file, m, why);
		if (!row->neutral || !plumb_family_is_neutral(m, row->neutral))
			return row->use;
		*why = "a value that changes nothing";
		return PLUMB_USE_HARMLESS;
	}
	return PLUMB_USE_IGNORED;
}

enum plumb_use plumb_model_key_use(
	const struct plumb_file *file, const struct plumb_meta *m, const char **why)
{
	const struct plumb_family *family = family_find(file);
	const struct plumb_meta *architecture = plumb_file_meta_find(file, "general.architecture");
	const char *text;
	enum plumb_use use;
	size_t prefix = family                                        ? strlen(family->name)
		: architecture && architecture->kind == PLUMB_META_STRING ? architecture->s.n
																  : 0;
	why = why ? why : &text;
	if (!prefix || m->key.n <= prefix + 1 || m->key.p[prefix] != '.' ||
		memcmp(m->key.p, architecture->s.p, prefix)) {
		use = family_judge(plumb_family_common, NULL, file, m, m->key, why);
	} else {
		const struct plumb_span name = { m->key.p + prefix + 1, m->key.n - prefix - 1 };
		*why = "of an architecture that plumb does not know";
		if (!family)
			return PLUMB_USE_IGNORED;
		use = family_judge(family->own, family, file, m, name, why);
		if (!*why)
			use = family_judge(family->keys, family, file, m, name, why);
	}
	if (!*why) /* no row: also of a name that holds a byte 0 */
		*why = "plumb does not know it; if it changes the model, the results are wrong";
	return use;
}

const struct plumb_file_tensor *plumb_file_role(
	const struct plumb_file *file, enum plumb_role role, int64_t layer)
{
	const struct plumb_file_tensor *t = NULL;
	for (int i = 0; !t && i < FAMILIES; i++)
		t = plumb_family_tensor(families[i], file, role, layer);
	return t;
}

enum plumb_use plumb_model_tensor_use(
	const struct plumb_file *file, const struct plumb_file_tensor *t, const char **why)
{
	const struct plumb_family *family = family_find(file);
	struct plumb_span role;
	const char *text;
	int64_t layer = plumb_tensor_layer(t->name, &role);
	why = why ? why : &text;
	*why = "of an architecture that plumb does not know";
	if (!family)
		return PLUMB_USE_IGNORED;
	*why = "its layer is beyond those that the key block_count counts";
	int64_t layers = plumb_family_whole(family, file, "block_count", 0);
	if (layers > 0 && layer >= layers)
		return PLUMB_USE_REFUSED;
	*why = "";
	for (const struct plumb_weight_row *row = layer < 0 ? family->top : family->layer; row->name; row++)
		if (plumb_family_has(family, row) &&
			(family_matches(row->name, role.p, role.n) ||
				(family->fused && row->fused && family_matches(row->fused, role.p, role.n))))
			return PLUMB_USE_READ;
	for (const struct plumb_left_row *left = family->left; left->name; left++)
		if (family_matches(left->name, role.p, role.n)) {
			*why = left->why;
			return left->use;
		}
	*why = "its name holds a byte 0";
	return PLUMB_USE_REFUSED;
}

/* "4", "true", "\"yarn\"", "an array of 24 values". */
static const char *family_value_text(const struct plumb_meta *m, char text[96])
{
	char quoted[PLUMB_QUOTE];
	switch (m->kind) {
	case PLUMB_META_BOOL: return m->i ? "true" : "false";
	case PLUMB_META_INT: snprintf(text, 96, "%lld", (long long)m->i); break;
	case PLUMB_META_FLOAT: plumb_format(text, 96, "%g", m->f); break;
	case PLUMB_META_STRING: snprintf(text, 96, "\"%s\"", plumb_quote(m->s, quoted)); break;
	case PLUMB_META_ARRAY: snprintf(text, 96, "an array of %llu values", (unsigned long long)m->n); break;
	}
	return text;
}

enum plumb_status plumb_family_check(const struct plumb_file *file)
{
	const char *why;
	char text[96], name[PLUMB_QUOTE];
	for (int64_t i = 0; i < plumb_file_metas(file); i++) {
		const struct plumb_meta *m = plumb_file_meta(file, i);
		if (plumb_model_key_use(file, m, &why) == PLUMB_USE_REFUSED)
			return plumb_fail(PLUMB_E_UNSUPPORTED, "the key %s is %s: %s", plumb_quote(m->key, name),
				family_value_text(m, text), why);
	}
	for (int64_t i = 0; i < plumb_file_tensors(file); i++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(file, i);
		const enum plumb_use use = plumb_model_tensor_use(file, t, &why);
		if (use == PLUMB_USE_REFUSED)
			return plumb_fail(
				PLUMB_E_UNSUPPORTED, "the tensor %s is not used: %s", plumb_quote(t->name, name), why);
		if (use == PLUMB_USE_READ && !plumb_type_is_weight(t->type))
			return plumb_fail(PLUMB_E_UNSUPPORTED,
				"the tensor %s is of type %s, which plumb does not compute with", plumb_quote(t->name, name),
				t->type_name);
	}
	return PLUMB_OK;
}

#define NAMED 8 /* notices of one file */

void plumb_family_describe(struct plumb_context *ctx, const struct plumb_file *file, const char *path)
{
	int64_t more = 0;
	int declared = 0;
	const char *why;
	char name[PLUMB_QUOTE];
	for (int64_t i = 0; i < plumb_file_metas(file); i++) {
		const struct plumb_meta *m = plumb_file_meta(file, i);
		if (plumb_model_key_use(file, m, &why) != PLUMB_USE_IGNORED)
			continue;
		if (declared++ < NAMED)
			plumb_notice(ctx, "%s: the key %s is not used: %s", path, plumb_quote(m->key, name), why);
		else
			more++;
	}
	if (more)
		plumb_notice(ctx, "%s: %lld more keys are not used; `plumb info` lists them", path, (long long)more);
}
