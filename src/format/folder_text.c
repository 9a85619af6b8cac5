/* SPDX-License-Identifier: Apache-2.0 */
/* What a model folder has for text: tokenizer.json as it is, which src/text reads; tokens that begin, end and
 * fill; the chat template. */
#include "format/folder.h"
#include "core/core.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The largest of 2026 have 40 MB, 2 MB and 20 kB. */
#define MOST_TOKENIZER ((size_t)256 << 20)
#define MOST_SETTINGS ((size_t)32 << 20)
#define MOST_TEMPLATE ((size_t)4 << 20)

static enum plumb_status folder_text_map(
	const struct plumb_folder *f, const char *name, size_t most, struct plumb_map *map)
{
	char *path = plumb_folder_join(f->path, name);
	if (!path)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the path of %s", name);
	enum plumb_status s = plumb_map_file(path, map);
	if (!s && map->size > most) {
		s = plumb_fail(PLUMB_E_FORMAT, "%zu bytes, expected at most %zu", map->size, most);
		munmap(map->base, map->size);
		*map = (struct plumb_map){ NULL, 0, false };
	}
	if (s)
		plumb_fail_in(s, "%s", path);
	free(path);
	return s;
}

/* It stays mapped: the tokenizer's strings are many. */
static enum plumb_status folder_text_tokenizer(struct plumb_folder *f)
{
	if (!plumb_folder_has(f, "tokenizer.json"))
		return PLUMB_OK;
	PLUMB_TRY(folder_text_map(f, "tokenizer.json", MOST_TOKENIZER, &f->file->tokenizer));
	plumb_folder_add_span(f, "tokenizer.huggingface.json",
		(struct plumb_span){ (const char *)f->file->tokenizer.base, f->file->tokenizer.size });
	return f->status;
}

/* --- ids --- */

/* An id, or the first of a list; -1: none. */
static enum plumb_status folder_text_id(const json_t *from, const char *key, int64_t *id)
{
	const json_t *value = plumb_folder_value(from, key);
	*id = -1;
	if (json_is_array(value))
		value = json_array_get(value, 0);
	if (!value)
		return PLUMB_OK;
	if (!json_is_integer(value) || json_integer_value(value) < -1 || json_integer_value(value) > INT32_MAX)
		return plumb_fail(PLUMB_E_FORMAT, "%s is no token id", key);
	*id = json_integer_value(value); /* some write -1 for none */
	return PLUMB_OK;
}

/* The first of the objects that has the key. generate() goes by generation_config.json where there is one. */
static const json_t *folder_text_first(const json_t *const from[3], const char *key)
{
	for (int i = 0; i < 3; i++)
		if (plumb_folder_value(from[i], key))
			return from[i];
	return NULL;
}

/* A list of ids, of at least so many, as a value of that key. */
static enum plumb_status folder_text_list(
	struct plumb_folder *f, const json_t *from, const char *key, size_t least, const char *to)
{
	const json_t *value = plumb_folder_value(from, key);
	const size_t n = json_array_size(value);
	int64_t *id;
	if (n < least)
		return PLUMB_OK;
	if (!(id = calloc(n, sizeof *id)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu ids of %s", n, key);
	for (size_t i = 0; i < n && !f->status; i++) {
		const json_t *v = json_array_get(value, i);
		id[i] = json_integer_value(v);
		if (!json_is_integer(v) || id[i] < 0 || id[i] > INT32_MAX)
			f->status = plumb_fail(PLUMB_E_FORMAT, "%s: value %zu is no token id", key, i);
	}
	plumb_folder_add_wholes(f, to, id, (int64_t)n);
	free(id);
	return f->status;
}

static enum plumb_status folder_text_ids(struct plumb_folder *f, const json_t *generation)
{
	static const struct {
		const char *from, *to;
	} ids[] = {
		{ "bos_token_id", "tokenizer.ggml.bos_token_id" },
		{ "eos_token_id", "tokenizer.ggml.eos_token_id" },
		{ "pad_token_id", "tokenizer.ggml.padding_token_id" },
	};
	const json_t *from[3] = { generation, f->config, f->whole };
	int64_t id;
	for (int i = 0; i < 3; i++) {
		PLUMB_TRY(folder_text_id(folder_text_first(from, ids[i].from), ids[i].from, &id));
		if (id >= 0)
			plumb_folder_add_whole(f, ids[i].to, id);
	}
	PLUMB_TRY(folder_text_list(
		f, folder_text_first(from, "eos_token_id"), "eos_token_id", 2, "tokenizer.ggml.eog_token_ids"));
	return folder_text_list(f, generation, "suppress_tokens", 1, "tokenizer.ggml.suppress_tokens");
}

/* --- tokenizer_config.json and chat_template.jinja --- */

/* One text, or a list of named ones of which the one called default counts. */
static enum plumb_status folder_text_template(struct plumb_folder *f, const json_t *value)
{
	size_t i;
	json_t *row;
	if (json_is_string(value))
		plumb_folder_add_text(f, "tokenizer.chat_template", json_string_value(value));
	else if (!json_is_array(value))
		return plumb_fail(PLUMB_E_FORMAT, "chat_template is neither text nor a list");
	json_array_foreach(value, i, row) {
		const char *name = json_string_value(json_object_get(row, "name"));
		const char *text = json_string_value(json_object_get(row, "template"));
		if (!name || !text)
			return plumb_fail(PLUMB_E_FORMAT, "chat_template: entry %zu has no name or no text", i);
		if (strcmp(name, "default") == 0) {
			plumb_folder_add_text(f, "tokenizer.chat_template", text);
			break;
		}
	}
	return f->status;
}

static enum plumb_status folder_text_settings(struct plumb_folder *f, const json_t *settings)
{
	bool add;
	if (plumb_folder_value(settings, "add_bos_token")) {
		PLUMB_TRY(plumb_folder_flag(settings, "add_bos_token", false, &add));
		plumb_folder_add_flag(f, "tokenizer.ggml.add_bos_token", add);
	}
	if (plumb_folder_value(settings, "add_eos_token")) {
		PLUMB_TRY(plumb_folder_flag(settings, "add_eos_token", false, &add));
		plumb_folder_add_flag(f, "tokenizer.ggml.add_eos_token", add);
	}
	const json_t *template = plumb_folder_value(settings, "chat_template");
	if (template && !plumb_folder_has(f, "chat_template.jinja"))
		PLUMB_TRY(folder_text_template(f, template));
	return f->status;
}

/* A file of its own holds before the one in tokenizer_config.json. */
static enum plumb_status folder_text_jinja(struct plumb_folder *f)
{
	struct plumb_map map = { NULL, 0, false };
	if (!plumb_folder_has(f, "chat_template.jinja"))
		return PLUMB_OK;
	PLUMB_TRY(folder_text_map(f, "chat_template.jinja", MOST_TEMPLATE, &map));
	/* Jinja drops a newline at the end: with and without it a template is the same. */
	const size_t n = map.size - (map.base[map.size - 1] == '\n');
	const char *copy = plumb_file_keep(f->file, (const char *)map.base, n);
	if (copy)
		plumb_folder_add_span(f, "tokenizer.chat_template", (struct plumb_span){ copy, n });
	else
		f->status = plumb_fail(PLUMB_E_MEMORY, "no memory for chat_template.jinja");
	munmap(map.base, map.size);
	return f->status;
}

/* An object of a file that need not be there; NULL: it is not. */
static enum plumb_status folder_text_read(
	struct plumb_folder *f, const char *name, size_t flags, json_t **root)
{
	*root = NULL;
	return plumb_folder_has(f, name) ? plumb_folder_read(f, name, MOST_SETTINGS, flags, root) : PLUMB_OK;
}

enum plumb_status plumb_folder_text(struct plumb_folder *f)
{
	json_t *generation = NULL, *settings = NULL;
	enum plumb_status s = folder_text_tokenizer(f);
	if (!s && !(s = folder_text_read(f, "generation_config.json", 0, &generation)) &&
		(s = folder_text_ids(f, generation)))
		plumb_fail_in(s, "%s: generation_config.json or config.json", f->path);
	/* model_max_length is 10^30 where there is none, which no integer of jansson's is. */
	if (!s && !(s = folder_text_read(f, "tokenizer_config.json", JSON_DECODE_INT_AS_REAL, &settings)) &&
		(s = folder_text_settings(f, settings)))
		plumb_fail_in(s, "%s: tokenizer_config.json", f->path);
	if (!s)
		s = folder_text_jinja(f);
	json_decref(generation);
	json_decref(settings);
	return s;
}
