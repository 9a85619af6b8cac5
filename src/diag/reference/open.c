/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a reference: finds out what the path holds, has it read (bin.c, safetensors.c), and says what is
 * wrong or missing and what follows from it. Judges no convention: values stay as they are labelled. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "diag/reference/reference.h"

#define EXPECTED \
	"a folder of after_layer_N.bin files, a safetensors file, or a folder that holds one was expected"
#define MOST_FILES 4096

/* --- folders --- */
static bool open_ends(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);
	return n >= m && !strcmp(name + n - m, end);
}

static int open_by_name(const struct dirent **a, const struct dirent **b)
{
	return strverscmp((*a)->d_name, (*b)->d_name);
}

static int open_wanted(const struct dirent *e)
{
	return open_ends(e->d_name, ".bin") || open_ends(e->d_name, ".safetensors");
}

static enum plumb_status open_read_entry(
	struct plumb_reference *r, const char *name, const struct plumb_config *config)
{
	char path[sizeof r->path + 300], loss[128];
	int layer, point;
	plumb_format(path, sizeof path, "%s/%s", r->path, name);
	if (!plumb_reference_name(name, strlen(name) - strlen(".bin"), &layer, &point))
		return plumb_problems_add(&r->problems, name, "it is not read",
			"no known name; after_embeddings, after_layer_N and final_logits are known");
	/* One too many may be there by convention: embeddings counted as layer 0. */
	if (layer > config->layers) {
		plumb_format(loss, sizeof loss, "it is not read");
		return plumb_problems_add(&r->problems, name, loss,
			"layer %d, but the model has layers 0 to %lld: another model?", layer,
			(long long)config->layers - 1);
	}
	return plumb_reference_read_bin(r, path, name, layer, point, config);
}

static enum plumb_status open_read_bins(
	struct plumb_reference *r, struct dirent **list, int n, const struct plumb_config *config)
{
	r->format = "bin";
	for (int i = 0; i < n; i++)
		if (open_ends(list[i]->d_name, ".bin"))
			PLUMB_TRY(open_read_entry(r, list[i]->d_name, config));
	return PLUMB_OK;
}

/* The first safetensors file of a folder without .bin files. */
static enum plumb_status open_read_first(
	struct plumb_reference *r, struct dirent **list, int n, const struct plumb_config *config)
{
	char path[sizeof r->path + 300];
	for (int i = 1; i < n; i++)
		PLUMB_TRY(plumb_problems_add(&r->problems, list[i]->d_name, "it is not read",
			"%s is read, and a reference is one file", list[0]->d_name));
	plumb_format(path, sizeof path, "%s/%s", r->path, list[0]->d_name);
	return plumb_reference_read_tensors(r, path, config);
}

static enum plumb_status open_read_list(
	struct plumb_reference *r, struct dirent **list, int n, const struct plumb_config *config)
{
	bool bins = false;
	if (n > MOST_FILES)
		return plumb_fail(PLUMB_E_FORMAT, "%s: %d files; at most %d are read", r->path, n, MOST_FILES);
	for (int i = 0; i < n; i++)
		bins |= open_ends(list[i]->d_name, ".bin");
	PLUMB_TRY(plumb_reference_read_manifest(r, r->path, config));
	if (!n)
		return plumb_fail(PLUMB_E_FORMAT, "%s holds no reference: " EXPECTED, r->path);
	return bins ? open_read_bins(r, list, n, config) : open_read_first(r, list, n, config);
}

static enum plumb_status open_read_folder(struct plumb_reference *r, const struct plumb_config *config)
{
	struct dirent **list;
	int n = scandir(r->path, &list, open_wanted, open_by_name);
	if (n < 0) {
		const int why = errno;
		return plumb_fail(why == ENOMEM ? PLUMB_E_MEMORY : PLUMB_E_IO, "%s: %s", r->path, strerror(why));
	}
	enum plumb_status s = open_read_list(r, list, n, config);
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
	return s;
}

static enum plumb_status open_read_single(struct plumb_reference *r, const struct plumb_config *config)
{
	char folder[sizeof r->path];
	if (open_ends(r->path, ".bin"))
		return plumb_fail(PLUMB_E_FORMAT, "%s is one file of a reference: give its folder", r->path);
	memcpy(folder, r->path, sizeof folder);
	char *slash = strrchr(folder, '/');
	if (slash)
		*slash = 0;
	PLUMB_TRY(plumb_reference_read_manifest(r, slash ? (*folder ? folder : "/") : ".", config));
	return plumb_reference_read_tensors(r, r->path, config);
}

/* --- what is missing --- */
static bool open_has_layer(const struct plumb_reference *r, int layer)
{
	bool bins = !strcmp(r->format, "bin");
	for (int p = 0; p < PLUMB_POINT_COUNT; p++)
		if (plumb_capture_at(&r->raw, layer, p) && (!bins || p == PLUMB_POINT_OUTPUT))
			return true;
	return false;
}

/* Layers without any value, as "3, 7-9". */
static int open_list_missing(const struct plumb_reference *r, int layers, char *text, size_t size)
{
	int missing = 0;
	size_t at = 0;
	text[0] = 0;
	for (int l = 0; l < layers; l++) {
		int end = l;
		while (end < layers && !open_has_layer(r, end))
			end++;
		if (end == l)
			continue;
		missing += end - l;
		if (at < size)
			at += (size_t)plumb_format(
				text + at, size - at, end - l > 1 ? "%s%d-%d" : "%s%d", at ? ", " : "", l, end - 1);
		l = end;
	}
	return missing;
}

/* Models of one family share a vocabulary: logits alone say nothing when all else is of another width. */
static bool open_only_logits(const struct plumb_reference *r)
{
	for (int layer = -1, point = -1; plumb_capture_next(&r->raw, &layer, &point);)
		if (point != PLUMB_POINT_LOGITS)
			return false;
	return true;
}

static enum plumb_status open_check_complete(struct plumb_reference *r, const struct plumb_config *config)
{
	char list[256], consequence[400];
	int layers = (int)config->layers, missing = open_list_missing(r, layers, list, sizeof list);
	if (!r->files.n || (r->foreign && open_only_logits(r))) {
		const struct plumb_problem *first = r->problems.n ? r->problems.problem : NULL;
		return plumb_fail(PLUMB_E_FORMAT, "%s holds nothing that can be used (%s%s%s): " EXPECTED, r->path,
			first ? first->file : "no value of a known name", first ? ": " : "", first ? first->text : "");
	}
	plumb_format(consequence, sizeof consequence,
		"layer%s %s cannot be compared; the others can, and an error that arises there shows in the next one that is present",
		missing > 1 ? "s" : "", list);
	if (missing)
		PLUMB_TRY(plumb_problems_add(
			&r->problems, r->path, consequence, "%d of %d layers are missing: %s", missing, layers, list));
	return PLUMB_OK;
}

static enum plumb_status open_fill(
	struct plumb_reference *r, const char *path, const struct plumb_config *config)
{
	struct stat st;
	size_t n = strlen(path);
	if (!n || n >= sizeof r->path)
		return plumb_fail(PLUMB_E_ARGUMENT, "path of a reference: %zu characters, 1 to %zu expected", n,
			sizeof r->path - 1);
	memcpy(r->path, path, n + 1);
	while (n > 1 && r->path[n - 1] == '/')
		r->path[--n] = 0;
	if (stat(r->path, &st))
		return plumb_fail(PLUMB_E_IO, "%s: %s; " EXPECTED, r->path, strerror(errno));
	/* One layer more than the model has: where embeddings count as layer 0, the last has that number. */
	PLUMB_TRY(plumb_capture_new(&r->raw, (int)config->layers + 1));
	PLUMB_TRY(S_ISDIR(st.st_mode) ? open_read_folder(r, config) : open_read_single(r, config));
	return open_check_complete(r, config);
}

enum plumb_status plumb_reference_open(
	struct plumb_reference **out, const char *path, const struct plumb_config *config)
{
	*out = NULL;
	struct plumb_reference *r = calloc(1, sizeof *r);
	if (!r)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a reference");
	r->position = -1;
	r->format = "safetensors";
	enum plumb_status s = open_fill(r, path, config);
	if (s) {
		plumb_reference_free(r);
		return s;
	}
	*out = r;
	return PLUMB_OK;
}

void plumb_reference_free(struct plumb_reference *r)
{
	if (!r)
		return;
	plumb_capture_free(&r->raw);
	plumb_problems_free(&r->problems);
	plumb_reference_files_free(&r->files);
	free(r->tokens);
	free(r);
}
