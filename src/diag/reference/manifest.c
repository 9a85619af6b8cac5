/* SPDX-License-Identifier: Apache-2.0 */
/* What a reference declares of itself: tokens, position, dtype, convention and model, from its manifest
 * (reference.json, else meta.json) or the metadata of its file. All of it is optional and nothing of it is
 * believed before it is checked. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "diag/reference/reference.h"
#include "core/json.h"

#define MOST_MANIFEST (4 << 20)

static enum plumb_status manifest_tokens(
	struct plumb_reference *r, const char *file, const json_t *list, const struct plumb_config *config)
{
	size_t n = json_array_size(list);
	if (!n)
		return plumb_problems_add(
			&r->problems, file, "the tokens are taken from elsewhere", "token_ids is no list of numbers");
	int32_t *tokens = malloc(sizeof *tokens * n);
	if (!tokens)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %zu tokens", n);
	for (size_t i = 0; i < n; i++) {
		const json_t *id = json_array_get(list, i);
		json_int_t x = json_is_integer(id) ? json_integer_value(id) : -1;
		if (x < 0 || x >= config->vocab) {
			free(tokens);
			return plumb_problems_add(&r->problems, file, "the tokens are taken from elsewhere",
				"token_ids[%zu] is %lld; the model has ids 0 to %lld: another model?", i, (long long)x,
				(long long)config->vocab - 1);
		}
		tokens[i] = (int32_t)x;
	}
	free(r->tokens);
	r->tokens = tokens;
	r->token_count = (int64_t)n;
	return PLUMB_OK;
}

static enum plumb_status manifest_position(struct plumb_reference *r, const char *file, const json_t *value)
{
	json_int_t p = json_is_integer(value) ? json_integer_value(value) : -2;
	if (p == -1 && r->token_count)
		p = r->token_count - 1; /* as Python counts */
	if (p < 0 || (r->tokens && p >= r->token_count))
		return plumb_problems_add(&r->problems, file, "the last position is assumed",
			"position %lld is outside the prompt of %lld tokens", (long long)p, (long long)r->token_count);
	r->position = p;
	return PLUMB_OK;
}

static void manifest_text(char *to, size_t size, const json_t *declared, const char *key)
{
	const char *text = json_string_value(json_object_get(declared, key));
	if (text)
		plumb_format(to, size, "%s", text);
}

enum plumb_status plumb_reference_declared(
	struct plumb_reference *r, const char *file, const json_t *declared, const struct plumb_config *config)
{
	const json_t *tokens = json_object_get(declared, "token_ids"),
				 *position = json_object_get(declared, "position");
	if (tokens)
		PLUMB_TRY(manifest_tokens(r, file, tokens, config));
	if (position && !json_is_null(position))
		PLUMB_TRY(manifest_position(r, file, position));
	manifest_text(r->dtype, sizeof r->dtype, declared, "dtype");
	manifest_text(r->convention, sizeof r->convention, declared, "convention");
	manifest_text(r->model_hash, sizeof r->model_hash, declared, "model_hash");
	return PLUMB_OK;
}

static enum plumb_status manifest_load(json_t **declared, const char *path, size_t size, json_error_t *error)
{
	FILE *f = fopen(path, "rbe");
	char *text = f ? malloc(size + 1) : NULL;
	*declared = NULL;
	if (!text) {
		int why = errno;
		if (f)
			fclose(f);
		return plumb_fail(why == ENOMEM ? PLUMB_E_MEMORY : PLUMB_E_IO, "%s: %s", path, strerror(why));
	}
	size_t n = fread(text, 1, size, f);
	enum plumb_status s = ferror(f) ? plumb_fail(PLUMB_E_IO, "%s: %s", path, strerror(errno))
									: plumb_json_read(declared, text, n, 0, error);
	fclose(f);
	free(text);
	return s == PLUMB_E_MEMORY ? plumb_fail_in(s, "%s", path) : s;
}

enum plumb_status plumb_reference_read_manifest(
	struct plumb_reference *r, const char *folder, const struct plumb_config *config)
{
	static const char *const names[] = { "reference.json", "meta.json" };
	char path[sizeof r->path + 32];
	struct stat st;
	json_error_t error;
	for (int i = 0; i < 2; i++) {
		plumb_format(path, sizeof path, "%s/%s", folder, names[i]);
		if (stat(path, &st))
			continue;
		if (!S_ISREG(st.st_mode) || st.st_size > MOST_MANIFEST) {
			PLUMB_TRY(plumb_problems_add(&r->problems, names[i], "it is not read",
				"not a regular file of at most %d bytes", MOST_MANIFEST));
			continue;
		}
		json_t *declared;
		enum plumb_status s = manifest_load(&declared, path, (size_t)st.st_size, &error);
		if (s != PLUMB_OK && s != PLUMB_E_FORMAT)
			return s;
		s = declared ? plumb_reference_declared(r, names[i], declared, config)
					 : plumb_problems_add(&r->problems, names[i],
						   "it is not read: tokens and position are taken from elsewhere", "%s (line %d)",
						   error.text, error.line);
		json_decref(declared);
		return s;
	}
	return PLUMB_OK;
}

/* Positions that the rows stand for: the last row is the declared position's, or the last of the prompt,
 * which may be longer than the one that is evaluated. */
void plumb_reference_place(struct plumb_capture *captured, int64_t position, int64_t n)
{
	for (int layer = -1, point = -1; plumb_capture_next(captured, &layer, &point);) {
		struct plumb_captured *p = plumb_capture_at(captured, layer, point);
		int64_t end = position >= p->rows - 1 && position < n ? position + 1 : n;
		p->first = plumb_point_square(point) || p->rows > end ? 0 : end - p->rows;
	}
}

int64_t plumb_reference_positions(const struct plumb_reference *r)
{
	int64_t positions = 1;
	for (int layer = -1, point = -1; plumb_capture_next(&r->raw, &layer, &point);) {
		const struct plumb_captured *p = plumb_capture_at(&r->raw, layer, point);
		positions = !plumb_point_square(point) && p->rows > positions ? p->rows : positions;
	}
	return positions;
}

int64_t plumb_reference_length(const struct plumb_reference *r, int64_t n)
{
	int64_t length = r->token_count > n ? r->token_count : n, positions = plumb_reference_positions(r);
	return positions > length ? positions : length;
}
