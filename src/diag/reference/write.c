/* SPDX-License-Identifier: Apache-2.0 */
/* Reference files out: see write.h. Knows no diagnosis. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <plumb/version.h>
#include "core/json.h"
#include "diag/reference/write.h"

/* --- one file: the first error is kept by the stream, and found when it is closed --- */
static FILE *write_create(const struct plumb_writer *w, const char *name, char path[1400])
{
	plumb_format(path, 1400, "%s/%s", w->folder, name);
	return fopen(path, "wb");
}

/* An error text has the name that the file is to have, since the folder it lies in is about to go. */
static enum plumb_status write_finish(const struct plumb_writer *w, FILE *f, const char *name)
{
	int error = !f ? errno : 0;
	if (f && (fflush(f) || ferror(f) || fsync(fileno(f))))
		error = errno ? errno : EIO;
	if (f && fclose(f) && !error)
		error = errno;
	return error ? plumb_fail(PLUMB_E_IO, "%s/%s cannot be written: %s; nothing is left of it", w->path, name,
					   strerror(error))
				 : PLUMB_OK;
}

static void write_put_uint(FILE *f, uint64_t x, int bytes)
{
	for (int i = 0; i < bytes; i++)
		fputc((int)(x >> 8 * i & 255), f);
}

static void write_put_floats(FILE *f, const float *v, int64_t n)
{
	unsigned char buffer[4096];
	for (int64_t i = 0; i < n;) {
		int64_t part = n - i < 1024 ? n - i : 1024;
		for (int64_t k = 0; k < part; k++) {
			uint32_t bits;
			memcpy(&bits, v + i + k, sizeof bits);
			for (int b = 0; b < 4; b++)
				buffer[4 * k + b] = (unsigned char)(bits >> 8 * b);
		}
		fwrite(buffer, 4, (size_t)part, f);
		i += part;
	}
}

static bool write_next(const struct plumb_writer *w, const struct plumb_capture *run, int *layer, int *point)
{
	while (plumb_capture_next(run, layer, point))
		if (w->points & 1u << *point)
			return true;
	return false;
}

/* --- manifest --- */
static json_t *write_manifest(const struct plumb_writer *w)
{
	char made_by[64];
	json_t *ids = json_array();
	bool lost = false;
	for (int64_t i = 0; i < w->n; i++)
		lost |= json_array_append_new(ids, json_integer(w->tokens[i])) != 0;
	if (lost)
		return json_decref(ids), NULL;
	plumb_format(made_by, sizeof made_by, "plumb %s", plumb_version_text());
	return json_pack("{s:o, s:I, s:s, s:s, s:o, s:s, s:s, s:s, s:o}", "token_ids", ids, "position",
		(json_int_t)w->n - 1, "dtype", w->dtype, "convention", "raw", "model", plumb_json_text(w->model),
		"model_hash", w->model_hash, "made_by", made_by, "driver", w->driver, "fault",
		w->fault ? plumb_json_text(w->fault) : json_null());
}

static enum plumb_status write_manifest_file(const struct plumb_writer *w)
{
	char path[1400];
	json_t *manifest = write_manifest(w);
	char *text = manifest ? plumb_json_write(manifest, JSON_INDENT(1)) : NULL;
	json_decref(manifest);
	if (!text)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a manifest");
	FILE *f = write_create(w, "reference.json", path);
	if (f)
		fprintf(f, "%s\n", text);
	free(text);
	return write_finish(w, f, "reference.json");
}

/* --- .bin --- */
static enum plumb_status write_bin(
	const struct plumb_writer *w, int layer, int point, const struct plumb_captured *p)
{
	char name[64], path[1400];
	if (point == PLUMB_POINT_OUTPUT)
		plumb_format(name, sizeof name, "after_layer_%d.bin", layer);
	else
		plumb_format(name, sizeof name, "%s",
			point == PLUMB_POINT_EMBEDDINGS ? "after_embeddings.bin" : "final_logits.bin");
	FILE *f = write_create(w, name, path);
	if (f) {
		write_put_uint(f, (uint64_t)p->width, 4);
		write_put_floats(f, p->v + (p->rows - 1) * p->width, p->width);
	}
	return write_finish(w, f, name);
}

static enum plumb_status write_bins(const struct plumb_writer *w, const struct plumb_capture *run)
{
	for (int layer = -1, point = -1; write_next(w, run, &layer, &point);)
		PLUMB_TRY(write_bin(w, layer, point, plumb_capture_at(run, layer, point)));
	return PLUMB_OK;
}

/* --- safetensors --- */
static void write_tensor_name(
	int layer, int point, const struct plumb_captured *p, int64_t n, char *name, size_t size)
{
	if (layer >= 0)
		plumb_format(name, size, "L%d.%s", layer, plumb_point_name(point));
	else
		plumb_format(name, size, "%s",
			point == PLUMB_POINT_LOGITS && p->rows < n ? "last_logits" : plumb_point_name(point));
}

static json_t *write_header(const struct plumb_writer *w, const struct plumb_capture *run)
{
	json_t *all = json_object(), *manifest = write_manifest(w), *meta = json_object(), *value;
	const char *key;
	uint64_t at = 0;
	bool lost = !manifest;
	json_object_foreach(manifest, key, value) { /* metadata is strings only */
		char *text = json_is_string(value) ? NULL : plumb_json_write(value, JSON_ENCODE_ANY | JSON_COMPACT);
		lost |= json_object_set_new(meta, key, plumb_json_text(text ? text : json_string_value(value))) != 0;
		free(text);
	}
	json_decref(manifest);
	lost |= json_object_set_new(all, "__metadata__", meta) != 0;
	for (int layer = -1, point = -1; write_next(w, run, &layer, &point);) {
		const struct plumb_captured *p = plumb_capture_at(run, layer, point);
		uint64_t end = at + 4 * (uint64_t)(p->rows * p->width);
		char name[64];
		write_tensor_name(layer, point, p, w->n, name, sizeof name);
		json_t *shape = plumb_point_square(point)
			? json_pack(
				  "[I, I, I]", (json_int_t)(p->rows / p->width), (json_int_t)p->width, (json_int_t)p->width)
			: json_pack("[I, I]", (json_int_t)p->rows, (json_int_t)p->width);
		lost |= json_object_set_new(all, name,
					json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets",
						(json_int_t)at, (json_int_t)end)) != 0;
		at = end;
	}
	if (lost)
		return json_decref(all), NULL;
	return all;
}

static enum plumb_status write_tensors(const struct plumb_writer *w, const struct plumb_capture *run)
{
	static const char name[] = "reference.safetensors";
	char path[1400];
	json_t *all = write_header(w, run);
	char *text = plumb_json_write(all, JSON_COMPACT);
	json_decref(all);
	if (!text)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the header of a safetensors file");
	FILE *f = write_create(w, name, path);
	size_t n = strlen(text), pad = (8 - n % 8) % 8;
	if (f) {
		write_put_uint(f, n + pad, 8);
		fprintf(f, "%s%*s", text, (int)pad, "");
		for (int layer = -1, point = -1; !ferror(f) && write_next(w, run, &layer, &point);) {
			const struct plumb_captured *p = plumb_capture_at(run, layer, point);
			write_put_floats(f, p->v, p->rows * p->width);
		}
	}
	free(text);
	return write_finish(w, f, name);
}

/* --- complete or not at all --- */
static void write_discard(const struct plumb_writer *w)
{
	struct dirent *e;
	rewinddir(w->dir);
	while ((e = readdir(w->dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			unlinkat(dirfd(w->dir), e->d_name, 0);
	rmdir(w->folder);
}

enum plumb_status plumb_writer_begin(struct plumb_writer *w, const char *path)
{
	size_t n = strlen(path);
	w->path = path;
	while (n > 1 && w->path[n - 1] == '/')
		n--;
	if (!n || n > 1000)
		return plumb_fail(PLUMB_E_ARGUMENT, "path of a dump: %zu characters, 1 to 1000 expected", n);
	for (int i = 0; i < 100; i++) {
		plumb_format(w->folder, sizeof w->folder, "%.*s.tmp-%ld-%d", (int)n, w->path, (long)getpid(), i);
		if (!mkdir(w->folder, 0777)) {
			if ((w->dir = opendir(w->folder)))
				return PLUMB_OK;
			int error = errno;
			rmdir(w->folder);
			return plumb_fail(error == ENOMEM ? PLUMB_E_MEMORY : PLUMB_E_IO, "%s cannot be opened: %s",
				w->folder, strerror(error));
		}
		if (errno != EEXIST)
			break;
	}
	return plumb_fail(PLUMB_E_IO, "%s cannot be made: %s", w->path, strerror(errno));
}

enum plumb_status plumb_writer_finish(const struct plumb_writer *w, const struct plumb_capture *run)
{
	PLUMB_TRY(write_manifest_file(w));
	PLUMB_TRY(w->bins ? write_bins(w, run) : write_tensors(w, run));
	if (!rename(w->folder, w->path)) /* takes the place of an empty folder, too */
		return PLUMB_OK;
	return plumb_fail(PLUMB_E_IO,
		errno == ENOTEMPTY || errno == EEXIST ? "%s is there and not empty (%s): give another folder"
											  : "%s cannot be made: %s",
		w->path, strerror(errno));
}

void plumb_writer_end(struct plumb_writer *w, bool complete)
{
	if (!complete)
		write_discard(w);
	closedir(w->dir);
}
