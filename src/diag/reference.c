/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a reference: finds out what the path holds, has it read (reference_bin.c, reference_tensors.c), and says what is wrong
 * or missing and what follows from it. Judges no convention: values stay as they are labelled. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "diag/diag.h"
#include "core/json.h"

#define EXPECTED "a folder of after_layer_N.bin files, a safetensors file, or a folder that holds one was expected"
#define MOST_FILES 4096

int64_t plumb_point_width(const struct plumb_config *c, int point)
{
	switch (point) {
	case PLUMB_POINT_Q_PROJ: case PLUMB_POINT_Q_ROPE: return c->heads * c->head_dim;
	case PLUMB_POINT_K_PROJ: case PLUMB_POINT_K_ROPE: return c->kv_heads * c->head_dim;
	case PLUMB_POINT_V_PROJ: return c->kv_heads * c->value_dim;
	case PLUMB_POINT_ATTN_CONTEXT: return c->heads * c->value_dim;
	case PLUMB_POINT_ATTN_SCORES: case PLUMB_POINT_ATTN_SOFTMAX: return 0;
	case PLUMB_POINT_FFN_GATE: case PLUMB_POINT_FFN_UP: case PLUMB_POINT_FFN_ACT: return c->ffn;
	case PLUMB_POINT_LOGITS: return c->vocab;
	default: return c->hidden;
	}
}

/* "12" of n characters; false unless it is a number and nothing else. */
static bool number(const char *s, size_t n, int *value)
{
	*value = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		*value = *value * 10 + (s[i] - '0');
	}
	return n > 0 && n <= 6;
}

bool plumb_reference_name(const char *name, size_t n, int *layer, int *point)
{
	static const struct { const char *name; int point; } outer[] = {
		{ "after_embeddings", PLUMB_POINT_EMBEDDINGS }, { "embeddings", PLUMB_POINT_EMBEDDINGS }, { "final_norm", PLUMB_POINT_FINAL_NORM },
		{ "final_logits", PLUMB_POINT_LOGITS }, { "last_logits", PLUMB_POINT_LOGITS }, { "logits", PLUMB_POINT_LOGITS },
	};
	static const char after[] = "after_layer_";
	const char *dot = memchr(name, '.', n);
	*layer = -1;
	for (size_t i = 0; i < sizeof outer / sizeof *outer; i++)
		if (strlen(outer[i].name) == n && !memcmp(outer[i].name, name, n)) {
			*point = outer[i].point;
			return true;
		}
	*point = PLUMB_POINT_OUTPUT;
	if (n > sizeof after - 1 && !memcmp(name, after, sizeof after - 1))
		return number(name + sizeof after - 1, n - (sizeof after - 1), layer);
	if (!dot || name[0] != 'L' || !number(name + 1, (size_t)(dot - name) - 1, layer))
		return false;
	for (*point = 0; *point < PLUMB_POINT_COUNT; ++*point) {
		const char *known = plumb_point_name(*point);
		if (plumb_point_in_layer(*point) && strlen(known) == n - (size_t)(dot + 1 - name) && !memcmp(known, dot + 1, strlen(known)))
			return true;
	}
	return false;
}

static enum plumb_status add_problem(json_t *problems, const char *file, const char *consequence, const char *format, va_list args)
{
	char text[1024];
	plumb_vformat(text, sizeof text, format, args);
	json_t *row = json_pack("{s:o, s:o, s:o}", "file", plumb_json_text(file), "problem", plumb_json_text(text), "consequence", plumb_json_text(consequence));
	return !json_array_append_new(problems, row) ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for a problem of %s", file);
}

enum plumb_status plumb_problem(json_t *problems, const char *file, const char *consequence, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	enum plumb_status s = add_problem(problems, file, consequence, format, args);
	va_end(args);
	return s;
}

enum plumb_status plumb_reference_problem(struct plumb_reference *r, const char *file, const char *consequence, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	enum plumb_status s = add_problem(r->problems, file, consequence, format, args);
	va_end(args);
	return s;
}

const char *plumb_reference_loss(int layer, int point, char *text, size_t size)
{
	if (point == PLUMB_POINT_OUTPUT)
		plumb_format(text, size, "the output of layer %d cannot be compared; the others can", layer);
	else if (layer >= 0)
		plumb_format(text, size, "%s of layer %d cannot be compared; the rest can", plumb_point_name(point), layer);
	else
		plumb_format(text, size, "%s cannot be compared; the rest can", plumb_point_name(point));
	return text;
}

/* Values that no comparison can use; only masked scores are rightly infinite. */
static int64_t count_bad(const float *v, int64_t n, bool masked, int64_t *first, bool *zero)
{
	int64_t bad = 0;
	*zero = true;
	for (int64_t i = 0; i < n; i++) {
		*zero &= v[i] == 0;
		if (isfinite(v[i]) || (masked && v[i] == -INFINITY))
			continue;
		if (!bad++)
			*first = i;
	}
	return bad;
}

/* Two names may stand for one point (logits, last_logits): false when what is there has as many rows. */
static bool better(struct plumb_reference *r, int layer, int point, int64_t rows)
{
	const struct plumb_plane *had = plumb_capture_at(&r->raw, layer, point);
	json_t *file;
	size_t i;
	if (!had)
		return true;
	if (had->rows >= rows)
		return false;
	json_array_foreach(r->files, i, file)
		if (json_integer_value(json_object_get(file, "layer")) == layer &&
			!strcmp(json_string_value(json_object_get(file, "point")), plumb_point_name(point))) {
			json_array_remove(r->files, i);
			break;
		}
	return true;
}

enum plumb_status plumb_reference_keep(struct plumb_reference *r, const char *name, int layer, int point, const float *values,
	int64_t rows, int64_t width, const char *storage)
{
	char loss[128];
	int64_t first = 0;
	bool zero;
	int64_t bad = count_bad(values, rows * width, point == PLUMB_POINT_ATTN_SCORES, &first, &zero);
	plumb_reference_loss(layer, point, loss, sizeof loss);
	if (bad)
		return plumb_reference_problem(r, name, loss, "%lld of %lld values are NaN or infinite, the first (%s) at index %lld", (long long)bad,
			(long long)(rows * width), isnan(values[first]) ? "NaN" : values[first] > 0 ? "infinity" : "-infinity", (long long)first);
	if (zero)
		return plumb_reference_problem(r, name, loss, "all %lld values are 0", (long long)(rows * width));
	if (!better(r, layer, point, rows))
		return PLUMB_OK;
	struct plumb_plane *plane;
	PLUMB_TRY(plumb_capture_put(&r->raw, layer, point, rows, width, 0, &plane));
	memcpy(plane->v, values, sizeof *values * (size_t)(rows * width));
	json_t *row = json_pack("{s:o, s:i, s:s, s:s}", "name", plumb_json_text(name), "layer", layer, "point", plumb_point_name(point), "storage", storage);
	return row && !json_array_append_new(r->files, row) ? PLUMB_OK : plumb_fail(PLUMB_E_MEMORY, "no memory for a reference");
}

/* --- folders --- */
static bool ends(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);
	return n >= m && !strcmp(name + n - m, end);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strverscmp((*a)->d_name, (*b)->d_name);
}

static int wanted(const struct dirent *e)
{
	return ends(e->d_name, ".bin") || ends(e->d_name, ".safetensors");
}

static enum plumb_status read_entry(struct plumb_reference *r, const char *name, const struct plumb_config *config)
{
	char path[sizeof r->path + 300], loss[128];
	int layer, point;
	plumb_format(path, sizeof path, "%s/%s", r->path, name);
	if (!plumb_reference_name(name, strlen(name) - strlen(".bin"), &layer, &point))
		return plumb_reference_problem(r, name, "it is not read", "no known name; after_embeddings, after_layer_N and final_logits are known");
	/* One too many may be there by convention: embeddings counted as layer 0. */
	if (layer > config->layers) {
		plumb_format(loss, sizeof loss, "it is not read");
		return plumb_reference_problem(r, name, loss, "layer %d, but the model has layers 0 to %lld: another model?", layer,
			(long long)config->layers - 1);
	}
	return plumb_reference_read_bin(r, path, name, layer, point, config);
}

static enum plumb_status read_bins(struct plumb_reference *r, struct dirent **list, int n, const struct plumb_config *config)
{
	r->format = "bin";
	for (int i = 0; i < n; i++)
		if (ends(list[i]->d_name, ".bin"))
			PLUMB_TRY(read_entry(r, list[i]->d_name, config));
	return PLUMB_OK;
}

/* The first safetensors file of a folder without .bin files. */
static enum plumb_status read_first(struct plumb_reference *r, struct dirent **list, int n, const struct plumb_config *config)
{
	char path[sizeof r->path + 300];
	for (int i = 1; i < n; i++)
		PLUMB_TRY(plumb_reference_problem(r, list[i]->d_name, "it is not read", "%s is read, and a reference is one file", list[0]->d_name));
	plumb_format(path, sizeof path, "%s/%s", r->path, list[0]->d_name);
	return plumb_reference_read_tensors(r, path, config);
}

static enum plumb_status read_list(struct plumb_reference *r, struct dirent **list, int n, const struct plumb_config *config)
{
	bool bins = false;
	if (n > MOST_FILES)
		return plumb_fail(PLUMB_E_FORMAT, "%s: %d files; at most %d are read", r->path, n, MOST_FILES);
	for (int i = 0; i < n; i++)
		bins |= ends(list[i]->d_name, ".bin");
	PLUMB_TRY(plumb_reference_read_manifest(r, r->path, config));
	if (!n)
		return plumb_fail(PLUMB_E_FORMAT, "%s holds no reference: " EXPECTED, r->path);
	return bins ? read_bins(r, list, n, config) : read_first(r, list, n, config);
}

static enum plumb_status read_folder(struct plumb_reference *r, const struct plumb_config *config)
{
	struct dirent **list;
	int n = scandir(r->path, &list, wanted, by_name);
	if (n < 0) {
		const int why = errno;
		return plumb_fail(why == ENOMEM ? PLUMB_E_MEMORY : PLUMB_E_IO, "%s: %s", r->path, strerror(why));
	}
	enum plumb_status s = read_list(r, list, n, config);
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
	return s;
}

static enum plumb_status read_single(struct plumb_reference *r, const struct plumb_config *config)
{
	char folder[sizeof r->path];
	if (ends(r->path, ".bin"))
		return plumb_fail(PLUMB_E_FORMAT, "%s is one file of a reference: give its folder", r->path);
	memcpy(folder, r->path, sizeof folder);
	char *slash = strrchr(folder, '/');
	if (slash)
		*slash = 0;
	PLUMB_TRY(plumb_reference_read_manifest(r, slash ? (*folder ? folder : "/") : ".", config));
	return plumb_reference_read_tensors(r, r->path, config);
}

/* --- what is missing --- */
static bool has_layer(const struct plumb_reference *r, int layer)
{
	bool bins = !strcmp(r->format, "bin");
	for (int p = 0; p < PLUMB_POINT_COUNT; p++)
		if (plumb_capture_at(&r->raw, layer, p) && (!bins || p == PLUMB_POINT_OUTPUT))
			return true;
	return false;
}

/* Layers without any value, as "3, 7-9". */
static int list_missing(const struct plumb_reference *r, int layers, char *text, size_t size)
{
	int missing = 0;
	size_t at = 0;
	text[0] = 0;
	for (int l = 0; l < layers; l++) {
		int end = l;
		while (end < layers && !has_layer(r, end))
			end++;
		if (end == l)
			continue;
		missing += end - l;
		if (at < size)
			at += (size_t)plumb_format(text + at, size - at, end - l > 1 ? "%s%d-%d" : "%s%d", at ? ", " : "", l, end - 1);
		l = end;
	}
	return missing;
}

/* Models of one family share a vocabulary: logits alone say nothing when all else is of another width. */
static bool only_logits(const struct plumb_reference *r)
{
	for (int layer = -1, point = -1; plumb_capture_next(&r->raw, &layer, &point);)
		if (point != PLUMB_POINT_LOGITS)
			return false;
	return true;
}

static enum plumb_status check_complete(struct plumb_reference *r, const struct plumb_config *config)
{
	char list[256], consequence[400];
	int layers = (int)config->layers, missing = list_missing(r, layers, list, sizeof list);
	if (!json_array_size(r->files) || (r->strangers && only_logits(r))) {
		json_t *first = json_array_get(r->problems, 0);
		return plumb_fail(PLUMB_E_FORMAT, "%s holds nothing that can be used (%s%s%s): " EXPECTED, r->path,
			first ? json_string_value(json_object_get(first, "file")) : "no value of a known name", first ? ": " : "",
			first ? json_string_value(json_object_get(first, "problem")) : "");
	}
	plumb_format(consequence, sizeof consequence, "layer%s %s cannot be compared; the others can, and an error that arises there shows in the next one that is present",
		missing > 1 ? "s" : "", list);
	if (missing)
		PLUMB_TRY(plumb_reference_problem(r, r->path, consequence, "%d of %d layers are missing: %s", missing, layers, list));
	return PLUMB_OK;
}

static enum plumb_status fill(struct plumb_reference *r, const char *path, const struct plumb_config *config)
{
	struct stat st;
	size_t n = strlen(path);
	if (!n || n >= sizeof r->path)
		return plumb_fail(PLUMB_E_ARGUMENT, "path of a reference: %zu characters, 1 to %zu expected", n, sizeof r->path - 1);
	memcpy(r->path, path, n + 1);
	while (n > 1 && r->path[n - 1] == '/')
		r->path[--n] = 0;
	if (stat(r->path, &st))
		return plumb_fail(PLUMB_E_IO, "%s: %s; " EXPECTED, r->path, strerror(errno));
	r->problems = json_array();
	r->files = json_array();
	if (!r->problems || !r->files)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a reference");
	/* One layer more than the model has: where embeddings count as layer 0, the last has that number. */
	PLUMB_TRY(plumb_capture_new(&r->raw, (int)config->layers + 1));
	PLUMB_TRY(S_ISDIR(st.st_mode) ? read_folder(r, config) : read_single(r, config));
	return check_complete(r, config);
}

enum plumb_status plumb_reference_open(struct plumb_reference **out, const char *path, const struct plumb_config *config)
{
	*out = NULL;
	struct plumb_reference *r = calloc(1, sizeof *r);
	if (!r)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a reference");
	r->position = -1;
	r->format = "safetensors";
	enum plumb_status s = fill(r, path, config);
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
	json_decref(r->problems);
	json_decref(r->files);
	free(r->tokens);
	free(r);
}

char *plumb_reference_problems(const struct plumb_reference *r)
{
	return plumb_json_write(r->problems, JSON_INDENT(1));
}

json_t *plumb_reference_json(const struct plumb_reference *r, json_t *problems)
{
	int64_t positions = 1;
	json_t *tokens = r->tokens ? json_array() : json_null();
	for (int layer = -1, point = -1; plumb_capture_next(&r->raw, &layer, &point);) {
		const struct plumb_plane *p = plumb_capture_at(&r->raw, layer, point);
		bool square = point == PLUMB_POINT_ATTN_SCORES || point == PLUMB_POINT_ATTN_SOFTMAX;
		positions = !square && p->rows > positions ? p->rows : positions;
	}
	for (int64_t i = 0; r->tokens && i < r->token_count; i++)
		if (json_array_append_new(tokens, json_integer(r->tokens[i]))) {
			json_decref(tokens);
			tokens = NULL; /* then there is no result either */
		}
	return json_pack("{s:o, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:O}", "path", plumb_json_text(r->path), "format", r->format,
		"tensors", (json_int_t)json_array_size(r->files), "positions", (json_int_t)positions, "tokens", tokens,
		"position", r->position >= 0 ? json_integer(r->position) : json_null(), "dtype", *r->dtype ? plumb_json_text(r->dtype) : json_null(),
		"convention_told", *r->convention ? plumb_json_text(r->convention) : json_null(),
		"model_hash", *r->model_hash ? plumb_json_text(r->model_hash) : json_null(), "problems", problems);
}
