/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a run as a reference that others (and reference.c) can read: .bin files or one safetensors file,
 * with a manifest. It is made in a folder of its own beside the target and renamed when complete. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <plumb/version.h>
#include "diag/check/check.h"
#include "core/hash.h"
#include "core/json.h"

struct dump {
	struct plumb_diag *d;
	const char *path;
	char folder[1100]; /* where it is made */
	DIR *dir; /* it, opened while there was memory: what fails for want of it must still be discarded */
	unsigned points; /* to be written; the run has more */
	struct plumb_capture run;
};

/* --- one file: the first error is kept by the stream, and found when it is closed --- */
static FILE *create(const struct dump *u, const char *name, char path[1400])
{
	plumb_format(path, 1400, "%s/%s", u->folder, name);
	return fopen(path, "wb");
}

/* Told by the name it is to have, since the folder it lies in is about to go. */
static enum plumb_status finish(const struct dump *u, FILE *f, const char *name)
{
	int error = !f ? errno : 0;
	if (f && (fflush(f) || ferror(f) || fsync(fileno(f))))
		error = errno ? errno : EIO;
	if (f && fclose(f) && !error)
		error = errno;
	return error ? plumb_fail(PLUMB_E_IO, "%s/%s cannot be written: %s; nothing is left of it", u->path, name,
					   strerror(error))
				 : PLUMB_OK;
}

static void put_uint(FILE *f, uint64_t x, int bytes)
{
	for (int i = 0; i < bytes; i++)
		fputc((int)(x >> 8 * i & 255), f);
}

static void put_floats(FILE *f, const float *v, int64_t n)
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

static bool next(const struct dump *u, int *layer, int *point)
{
	while (plumb_capture_next(&u->run, layer, point))
		if (u->points & 1u << *point)
			return true;
	return false;
}

/* --- manifest --- */
static json_t *manifest(struct plumb_diag *d)
{
	static const char *const types[] = { "float32", "float64", "float16" };
	struct plumb_context *ctx = plumb_model_context(d->port);
	char mark[32], made_by[64];
	json_t *ids = json_array();
	bool lost = false;
	plumb_model_fingerprint(plumb_model_file(d->port), mark);
	for (int64_t i = 0; i < d->n; i++)
		lost |= json_array_append_new(ids, json_integer(d->tokens[i])) != 0;
	if (lost)
		return json_decref(ids), NULL;
	plumb_format(made_by, sizeof made_by, "plumb %s", plumb_version_text());
	return json_pack("{s:o, s:I, s:s, s:s, s:o, s:s, s:s, s:s, s:o}", "token_ids", ids, "position",
		(json_int_t)d->n - 1, "dtype", types[plumb_context_precision(ctx)], "convention", "raw", "model",
		plumb_json_text(d->config->name), "model_hash", mark, "made_by", made_by, "driver",
		plumb_driver_name(ctx, 0), "fault",
		d->options.fault ? plumb_json_text(d->options.fault) : json_null());
}

static enum plumb_status write_manifest(const struct dump *u)
{
	char path[1400];
	json_t *told = manifest(u->d);
	char *text = told ? plumb_json_write(told, JSON_INDENT(1)) : NULL;
	json_decref(told);
	if (!text)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a manifest");
	FILE *f = create(u, "reference.json", path);
	if (f)
		fprintf(f, "%s\n", text);
	free(text);
	return finish(u, f, "reference.json");
}

/* --- .bin --- */
static enum plumb_status write_bin(const struct dump *u, int layer, int point, const struct plumb_plane *p)
{
	char name[64], path[1400];
	if (point == PLUMB_POINT_OUTPUT)
		plumb_format(name, sizeof name, "after_layer_%d.bin", layer);
	else
		plumb_format(name, sizeof name, "%s",
			point == PLUMB_POINT_EMBEDDINGS ? "after_embeddings.bin" : "final_logits.bin");
	FILE *f = create(u, name, path);
	if (f) {
		put_uint(f, (uint64_t)p->width, 4);
		put_floats(f, p->v + (p->rows - 1) * p->width, p->width);
	}
	return finish(u, f, name);
}

static enum plumb_status write_bins(const struct dump *u)
{
	for (int layer = -1, point = -1; next(u, &layer, &point);)
		PLUMB_TRY(write_bin(u, layer, point, plumb_capture_at(&u->run, layer, point)));
	return PLUMB_OK;
}

/* --- safetensors --- */
static void tensor_name(int layer, int point, const struct plumb_plane *p, int64_t n, char *name, size_t size)
{
	if (layer >= 0)
		plumb_format(name, size, "L%d.%s", layer, plumb_point_name(point));
	else
		plumb_format(name, size, "%s",
			point == PLUMB_POINT_LOGITS && p->rows < n ? "last_logits" : plumb_point_name(point));
}

static json_t *header(const struct dump *u)
{
	json_t *all = json_object(), *told = manifest(u->d), *meta = json_object(), *value;
	const char *key;
	uint64_t at = 0;
	bool lost = !told;
	json_object_foreach(told, key, value) { /* metadata is strings only */
		char *text = json_is_string(value) ? NULL : plumb_json_write(value, JSON_ENCODE_ANY | JSON_COMPACT);
		lost |= json_object_set_new(meta, key, plumb_json_text(text ? text : json_string_value(value))) != 0;
		free(text);
	}
	json_decref(told);
	lost |= json_object_set_new(all, "__metadata__", meta) != 0;
	for (int layer = -1, point = -1; next(u, &layer, &point);) {
		const struct plumb_plane *p = plumb_capture_at(&u->run, layer, point);
		uint64_t end = at + 4 * (uint64_t)(p->rows * p->width);
		char name[64];
		tensor_name(layer, point, p, u->d->n, name, sizeof name);
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

static enum plumb_status write_tensors(const struct dump *u)
{
	static const char name[] = "reference.safetensors";
	char path[1400];
	json_t *all = header(u);
	char *text = plumb_json_write(all, JSON_COMPACT);
	json_decref(all);
	if (!text)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the header of a safetensors file");
	FILE *f = create(u, name, path);
	size_t n = strlen(text), pad = (8 - n % 8) % 8;
	if (f) {
		put_uint(f, n + pad, 8);
		fprintf(f, "%s%*s", text, (int)pad, "");
		for (int layer = -1, point = -1; !ferror(f) && next(u, &layer, &point);) {
			const struct plumb_plane *p = plumb_capture_at(&u->run, layer, point);
			put_floats(f, p->v, p->rows * p->width);
		}
	}
	free(text);
	return finish(u, f, name);
}

/* --- complete or not at all --- */
static void discard(const struct dump *u)
{
	struct dirent *e;
	rewinddir(u->dir);
	while ((e = readdir(u->dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			unlinkat(dirfd(u->dir), e->d_name, 0);
	rmdir(u->folder);
}

static enum plumb_status make_folder(struct dump *u)
{
	size_t n = strlen(u->path);
	while (n > 1 && u->path[n - 1] == '/')
		n--;
	if (!n || n > 1000)
		return plumb_fail(PLUMB_E_ARGUMENT, "path of a dump: %zu characters, 1 to 1000 expected", n);
	for (int i = 0; i < 100; i++) {
		plumb_format(u->folder, sizeof u->folder, "%.*s.tmp-%ld-%d", (int)n, u->path, (long)getpid(), i);
		if (!mkdir(u->folder, 0777)) {
			if ((u->dir = opendir(u->folder)))
				return PLUMB_OK;
			int error = errno;
			rmdir(u->folder);
			return plumb_fail(error == ENOMEM ? PLUMB_E_MEMORY : PLUMB_E_IO, "%s cannot be opened: %s",
				u->folder, strerror(error));
		}
		if (errno != EEXIST)
			break;
	}
	return plumb_fail(PLUMB_E_IO, "%s cannot be made: %s", u->path, strerror(errno));
}

static enum plumb_status write_all(struct dump *u, bool bins)
{
	PLUMB_TRY(write_manifest(u));
	PLUMB_TRY(bins ? write_bins(u) : write_tensors(u));
	if (!rename(u->folder, u->path)) /* takes the place of an empty folder, too */
		return PLUMB_OK;
	return plumb_fail(PLUMB_E_IO,
		errno == ENOTEMPTY || errno == EEXIST ? "%s is there and not empty (%s): give another folder"
											  : "%s cannot be made: %s",
		u->path, strerror(errno));
}

enum plumb_status plumb_diag_dump(struct plumb_diag *d, const char *path, bool bins, unsigned points)
{
	struct dump u = { .d = d, .path = path };
	struct plumb_run run = plumb_diag_run(d, false);
	const unsigned of_bins = 1u << PLUMB_POINT_EMBEDDINGS | 1u << PLUMB_POINT_OUTPUT |
		1u << PLUMB_POINT_LOGITS;
	u.points = (points ? points : PLUMB_POINTS_ALL) & PLUMB_POINTS_ALL & (bins ? of_bins : PLUMB_POINTS_ALL);
	/* Whether somebody looks at the scores decides which operators run: as in the rest of the diagnosis, so
	 * that bits agree. */
	run.points = u.points | (plumb_diag_points(d) & 1u << PLUMB_POINT_ATTN_SOFTMAX);
	run.out = &u.run;
	if (!d->n || !u.points)
		return plumb_fail(PLUMB_E_ARGUMENT,
			d->n ? "a dump of no point; .bin files are of embeddings, output and logits"
				 : "a dump needs the tokens of a prompt");
	PLUMB_TRY(make_folder(&u)); /* before the run, which may take long */
	enum plumb_status s = plumb_diag_progress(d, "running the model", 0, 1);
	if (!s)
		s = plumb_run_watched(&run);
	if (!s)
		s = write_all(&u, bins);
	if (s)
		discard(&u);
	closedir(u.dir);
	plumb_capture_free(&u.run);
	return s;
}
