/* SPDX-License-Identifier: Apache-2.0 */
/* A model folder as Hugging Face has them, opened as one file: the safetensors files that
 * model.safetensors.index.json names, or the single one, joined; config.json and the tokenizer's files as
 * metadata. */
#include "format/folder.h"
#include "core/core.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG "config.json"
#define SINGLE "model.safetensors"
#define INDEX "model.safetensors.index.json"
#define MOST_CONFIG ((size_t)4 << 20)
#define MOST_INDEX ((size_t)64 << 20)
#define MOST_PARTS 65535

static bool folder_is_named(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	return strcmp(slash ? slash + 1 : path, name) == 0;
}

bool plumb_folder_of(const char *path, char **folder)
{
	struct stat st;
	*folder = NULL;
	if (stat(path, &st))
		return false;
	const bool whole = S_ISDIR(st.st_mode);
	if (!whole && !folder_is_named(path, CONFIG) && !folder_is_named(path, INDEX))
		return false;
	const char *slash = whole ? NULL : strrchr(path, '/');
	if (slash)
		*folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	else
		*folder = strdup(whole ? path : ".");
	return true;
}

/* --- parts --- */

static enum plumb_status folder_open_part(
	const struct plumb_folder *f, const char *name, plumb_open_fn open, struct plumb_file **part)
{
	char *path = plumb_folder_join(f->path, name);
	*part = NULL;
	if (!path)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the path of %.64s", name);
	enum plumb_status s = open(part, path);
	if (!s && strcmp((*part)->format_name, "safetensors") != 0) {
		s = plumb_fail(PLUMB_E_FORMAT, "%s: %s, expected safetensors", path, (*part)->format_name);
		plumb_file_close(*part);
		*part = NULL;
	}
	free(path);
	return s;
}

static int folder_by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the parts, each once and sorted; *name is the caller's, the texts are the map's. */
static enum plumb_status folder_part_names(const json_t *map, const char ***name, size_t *n)
{
	const char *key;
	json_t *value;
	size_t all = 0, kept = 0;
	char quote[PLUMB_QUOTE];
	*name = NULL;
	if (!json_is_object(map) || json_object_size(map) == 0)
		return plumb_fail(PLUMB_E_FORMAT, "weight_map is missing, empty or not an object");
	if (!(*name = calloc(json_object_size(map), sizeof **name)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu names", json_object_size(map));
	json_object_foreach((json_t *)(uintptr_t)map, key, value) {
		const char *s = json_string_value(value);
		const struct plumb_span span = { s ? s : key, strlen(s ? s : key) };
		if (!s)
			return plumb_fail(
				PLUMB_E_FORMAT, "weight_map: of '%s' the file is not text", plumb_quote(span, quote));
		/* A file beside the index, and nothing else that a path can reach. */
		if (!*s || strchr(s, '/') || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
			return plumb_fail(PLUMB_E_FORMAT, "weight_map: '%s' is no name of a file in the folder",
				plumb_quote(span, quote));
		(*name)[all++] = s;
	}
	qsort((void *)*name, all, sizeof **name, folder_by_name);
	for (size_t i = 0; i < all; i++)
		if (i == 0 || strcmp((*name)[i], (*name)[kept - 1]) != 0)
			(*name)[kept++] = (*name)[i];
	*n = kept;
	return kept <= MOST_PARTS
		? PLUMB_OK
		: plumb_fail(PLUMB_E_FORMAT, "weight_map: %zu files, at most %d are taken", kept, MOST_PARTS);
}

/* A tensor of a part that the index does not name; its name is there, as there are more than the index's. */
static enum plumb_status folder_name_extra(const struct plumb_file *part, const json_t *map, const char *name)
{
	char quote[PLUMB_QUOTE];
	for (int64_t i = 0; i < part->tensors; i++) {
		const struct plumb_span s = part->tensor[i].name;
		char *key = strndup(s.p, s.n);
		if (!key)
			return plumb_fail(PLUMB_E_MEMORY, "no memory for the name of a tensor");
		const char *said = json_string_value(json_object_get(map, key));
		const bool right = said && strcmp(said, name) == 0;
		free(key);
		if (!right)
			return plumb_fail(PLUMB_E_FORMAT, "%s has a tensor '%s' that the index does not name", name,
				plumb_quote(s, quote));
	}
	return PLUMB_OK;
}

/* Every tensor of the index is where it says, and there are no others. */
static enum plumb_status folder_compare(
	const json_t *map, const char *const *name, size_t n, struct plumb_file *const *part)
{
	char quote[PLUMB_QUOTE];
	const char *key;
	json_t *value;
	int64_t there = 0;
	json_object_foreach((json_t *)(uintptr_t)map, key, value) {
		const char *file = json_string_value(value);
		const char *const *at = bsearch(&file, name, n, sizeof *name, folder_by_name);
		if (!plumb_file_find(part[at - name], key))
			return plumb_fail(PLUMB_E_FORMAT, "%s lacks the tensor '%s', which the index says is there", file,
				plumb_quote((struct plumb_span){ key, strlen(key) }, quote));
	}
	for (size_t i = 0; i < n; i++)
		there += part[i]->tensors;
	for (size_t i = 0; i < n && there != (int64_t)json_object_size(map); i++)
		PLUMB_TRY(folder_name_extra(part[i], map, name[i]));
	return PLUMB_OK;
}

/* The parts become one file, the first, which owns the others. On failure all are closed. */
static enum plumb_status folder_join_parts(struct plumb_folder *f, struct plumb_file **part, size_t n)
{
	struct plumb_file *root = part[0];
	for (size_t i = 1; i < n; i++)
		part[i - 1] = part[i];
	root->shard = part;
	root->shards = (int64_t)n - 1;
	f->file = root;
	return n > 1 ? plumb_shards_merge(root) : PLUMB_OK;
}

static enum plumb_status folder_open_indexed(struct plumb_folder *f, plumb_open_fn open)
{
	json_t *index;
	const char **name = NULL;
	size_t n = 0;
	PLUMB_TRY(plumb_folder_read(f, INDEX, MOST_INDEX, 0, &index));
	const json_t *map = json_object_get(index, "weight_map");
	enum plumb_status s = folder_part_names(map, &name, &n);
	struct plumb_file **part = s ? NULL : calloc(n, sizeof *part);
	if (!s && !part)
		s = plumb_fail(PLUMB_E_MEMORY, "no memory for %zu parts", n);
	for (size_t i = 0; i < n && !s; i++)
		s = folder_open_part(f, name[i], open, &part[i]);
	if (!s)
		s = folder_compare(map, name, n, part);
	if (!s) {
		s = folder_join_parts(f, part, n);
		part = NULL;
	}
	if (s)
		plumb_fail_in(s, "%s: %s", f->path, INDEX);
	for (size_t i = 0; part && i < n; i++)
		plumb_file_close(part[i]);
	free(part);
	free((void *)name);
	json_decref(index);
	return s;
}

static enum plumb_status folder_open_weights(struct plumb_folder *f, plumb_open_fn open)
{
	if (plumb_folder_has(f, SINGLE)) /* as Transformers chooses where there are both */
		return folder_open_part(f, SINGLE, open, &f->file);
	if (plumb_folder_has(f, INDEX))
		return folder_open_indexed(f, open);
	return plumb_fail(PLUMB_E_IO, "%s: neither " SINGLE " nor " INDEX "%s", f->path,
		plumb_folder_has(f, "pytorch_model.bin") || plumb_folder_has(f, "pytorch_model.bin.index.json")
			? "; weights in pytorch_model.bin are not read, save them as safetensors"
			: "");
}

/* --- the whole --- */

/* What the parts say of themselves ({"format": "pt"}) makes room for what the folder says. */
static void folder_drop_metas(struct plumb_file *file)
{
	free(file->meta);
	free(file->meta_names.slot);
	file->meta = NULL;
	file->meta_names.slot = NULL;
	file->metas = 0;
}

static enum plumb_status folder_fill(struct plumb_folder *f)
{
	enum plumb_status s = plumb_folder_config(f);
	if (!s)
		s = plumb_folder_names(f);
	if (!s)
		s = plumb_folder_check(f);
	if (s)
		return plumb_fail_in(s, "%s: %s", f->path, CONFIG);
	PLUMB_TRY(plumb_folder_text(f));
	return f->status;
}

enum plumb_status plumb_folder_open(struct plumb_file **file, const char *path, plumb_open_fn open)
{
	struct plumb_folder f = { .path = path };
	*file = NULL;
	if (!plumb_folder_has(&f, CONFIG))
		return plumb_fail(PLUMB_E_IO,
			"%s: a directory without " CONFIG ", expected a model file or a folder as Hugging Face has them",
			path);
	PLUMB_TRY(plumb_folder_read(&f, CONFIG, MOST_CONFIG, 0, &f.whole));
	enum plumb_status s = folder_open_weights(&f, open);
	if (!s) {
		folder_drop_metas(f.file);
		s = folder_fill(&f);
		f.file->meta = f.meta;
		f.file->metas = f.metas;
		f.file->format_name = "safetensors folder";
	}
	json_decref(f.whole);
	if (!s && (s = plumb_file_index_metas(f.file)))
		plumb_fail_in(s, "%s", path);
	if (!s)
		*file = f.file;
	else
		plumb_file_close(f.file);
	return s;
}
