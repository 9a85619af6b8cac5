/* SPDX-License-Identifier: Apache-2.0 */
/* One .bin file: a little-endian int32 count, then that many float32 values, of one position or of all. Files
 * that were written with another header, with none, or big-endian are recognised by their size; what cannot
 * be recognised is not used, and the text says why. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "diag/reference/reference.h"

#define MOST_HEADER 64
#define MOST_POSITIONS 2048 /* that a diagnosis takes */

struct bin {
	unsigned char *bytes; /* the first of them: at most what a file of `width` values may have */
	size_t size;          /* of the whole file */
	int64_t width;        /* values that the model has at this point, times the positions */
	int64_t rows;         /* positions */
	size_t at;            /* where the values begin */
	char storage[64];     /* how it differs from the expected layout */
	char problem[256];    /* values are used all the same when `usable` */
	bool usable, foreign;
};

static uint32_t bin_word(const unsigned char *p, bool big)
{
	return big ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
			   : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static float bin_value(const unsigned char *p, bool big)
{
	uint32_t bits = bin_word(p, big);
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

/* Some header of at most MOST_HEADER bytes whose last number, of 32 or 64 bits, is the width. */
static bool bin_other_header(struct bin *b, size_t need)
{
	size_t h = b->size - need;
	if (b->size <= need + 4 || h > MOST_HEADER || h % 4)
		return false;
	for (int big = 0; big < 2; big++) {
		uint32_t last = bin_word(b->bytes + h - 4, big), before = bin_word(b->bytes + h - 8, big),
				 w = (uint32_t)b->width;
		if (last != w && !(before == w && !last && !big))
			continue;
		b->at = h;
		plumb_format(b->storage, sizeof b->storage, "a header of %zu bytes", h);
		return b->usable = true;
	}
	return false;
}

/* The count is the model's, the size is not. */
static void bin_wrong_size(struct bin *b, size_t need)
{
	long long held = (long long)(b->size - 4) / 4, w = (long long)b->width;
	const char *hint = b->size == 4 + need / 2 ? "; as many as 16-bit values would take"
		: b->size == 4 + 2 * need              ? "; as many as 64-bit values would take"
											   : "";
	if (b->size < need + 4) {
		plumb_format(b->problem, sizeof b->problem,
			"truncated: the count is %lld, but only %lld values are there (%zu bytes)%s", w, held, b->size,
			hint);
		return;
	}
	b->usable = !*hint;
	b->at = 4;
	plumb_format(b->problem, sizeof b->problem, "%zu bytes follow the %lld values that the count gives%s",
		b->size - need - 4, w, hint);
}

/* Where the values begin, judged by size and count together. The count alone is never believed. */
static void bin_find_layout(struct bin *b)
{
	size_t need = 4 * (size_t)b->width;
	uint32_t w = (uint32_t)b->width;
	if (b->size < 8) {
		plumb_format(b->problem, sizeof b->problem, "%zu bytes; a count and %lld values were expected",
			b->size, (long long)b->width);
		return;
	}
	uint32_t little = bin_word(b->bytes, false), big = bin_word(b->bytes, true);
	b->at = 4;
	if (b->size == need + 4) {
		b->usable = true;
		if (little != w && big != w)
			plumb_format(b->problem, sizeof b->problem,
				"the count is %d, but the file holds the model's %lld values", (int)little,
				(long long)b->width);
	} else if (b->size == need && little != w && big != w) {
		b->at = 0;
		b->usable = true;
		plumb_format(b->storage, sizeof b->storage, "no header");
	} else if (bin_other_header(b, need)) {
		return;
	} else if (little == w || big == w) {
		bin_wrong_size(b, need);
	} else if (b->size == 4 + 4 * (size_t)little || b->size == 4 + 4 * (size_t)big) {
		long long values = (long long)(b->size - 4) / 4, here = (long long)b->width;
		b->foreign = true;
		if (values % here)
			plumb_format(b->problem, sizeof b->problem,
				"%lld values, but the model has %lld here: another model", values, here);
		else
			plumb_format(b->problem, sizeof b->problem,
				"%lld values, but the model has %lld here: another model, or %lld positions, but as many tokens "
				"are not declared",
				values, here, values / here);
	} else {
		plumb_format(b->problem, sizeof b->problem,
			"wrong count or size: the count is %d, the file has %zu bytes; %lld values in %zu bytes were expected",
			(int)little, b->size, (long long)b->width, need + 4);
	}
}

/* How many values look like activations in this byte order: neither tiny nor huge. The wrong order gives
 * arbitrary exponents. */
static int64_t bin_plausible(const struct bin *b, bool big)
{
	int64_t n = 0;
	for (int64_t i = 0; i < b->width; i++) {
		float f = bin_value(b->bytes + b->at + 4 * i, big);
		n += f == 0 || (isfinite(f) && fabsf(f) > 1e-12f && fabsf(f) < 1e12f);
	}
	return n;
}

static enum plumb_status bin_keep(
	struct plumb_reference *r, struct bin *b, const char *name, int layer, int point)
{
	bool big = bin_plausible(b, true) > bin_plausible(b, false);
	float *v = malloc(sizeof *v * (size_t)b->width);
	if (!v)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld values of %s", (long long)b->width, name);
	for (int64_t i = 0; i < b->width; i++)
		v[i] = bin_value(b->bytes + b->at + 4 * i, big);
	if (big)
		plumb_append(b->storage, sizeof b->storage, "%sbig-endian", *b->storage ? ", " : "");
	enum plumb_status s = plumb_reference_keep(
		r, name, layer, point, v, b->rows, b->width / b->rows, b->storage);
	free(v);
	return s;
}

/* As many positions as the prompt has, where the size says so; where no tokens are declared this is left it
 * to the size and the count. */
static int64_t bin_rows_in(const struct bin *b, const struct plumb_reference *r, const unsigned char *bytes)
{
	size_t one = 4 * (size_t)b->width;
	int64_t rows = (int64_t)(b->size / one);
	bool header = b->size % one == 4;
	uint32_t count = (uint32_t)(rows * b->width);
	if (rows < 2 || rows > MOST_POSITIONS || (b->size % one && !header))
		return 1;
	if (r->tokens)
		return rows == r->token_count ? rows : 1;
	return header && (bin_word(bytes, false) == count || bin_word(bytes, true) == count) ? rows : 1;
}

/* A file that cannot be read is a problem of the reference; that memory is short is not. */
static enum plumb_status bin_unread(
	struct plumb_reference *r, const char *name, const char *loss, const char *what, int why)
{
	if (why == ENOMEM)
		return plumb_fail(PLUMB_E_MEMORY, "%s: %s", name, strerror(why));
	return plumb_problems_add(
		&r->problems, name, loss, "%s%s%s", what, *what && why ? ": " : "", why ? strerror(why) : "");
}

/* The first bytes of a regular file; what is no such file is a problem, not a failure. */
static enum plumb_status bin_load(
	struct plumb_reference *r, struct bin *b, const char *path, const char *name, const char *loss)
{
	struct stat st;
	if (stat(path, &st))
		return bin_unread(r, name, loss, "", errno);
	if (!S_ISREG(st.st_mode))
		return plumb_problems_add(&r->problems, name, loss,
			S_ISDIR(st.st_mode) ? "a folder where a file was expected" : "not a regular file");
	b->size = (size_t)st.st_size;
	FILE *f = fopen(path, "rb");
	if (!f)
		return bin_unread(r, name, loss, "cannot be read", errno);
	unsigned char first[4] = { 0 };
	errno = 0;
	const bool begun = b->size < sizeof first || fread(first, 1, sizeof first, f) == sizeof first;
	if (begun && b->size >= sizeof first)
		b->rows = bin_rows_in(b, r, first);
	const bool back = begun && !fseek(f, 0, SEEK_SET);
	b->width *= b->rows;
	size_t most = 4 * (size_t)b->width + MOST_HEADER, want = b->size < most ? b->size : most;
	unsigned char *bytes = calloc(1, most);
	bool good = back && bytes && fread(bytes, 1, want, f) == want;
	const int why = errno;
	fclose(f);
	if (good) {
		b->bytes = bytes;
		return PLUMB_OK;
	}
	const bool memory = bytes != NULL;
	free(bytes);
	return memory ? bin_unread(r, name, loss, "cannot be read to its end", why)
				  : plumb_fail(PLUMB_E_MEMORY, "no memory for %zu bytes of %s", most, name);
}

enum plumb_status plumb_reference_read_bin(struct plumb_reference *r, const char *path, const char *name,
	int layer, int point, const struct plumb_config *config)
{
	struct bin b = { .width = plumb_point_width(config, point), .rows = 1 };
	char loss[128];
	plumb_reference_loss(layer, point, loss, sizeof loss);
	if (!b.width) /* scores and softmax, n x n for each head: nothing here says what n is */
		return plumb_problems_add(&r->problems, name, loss,
			"a .bin file does not give the shape of %s; a safetensors file does", plumb_point_name(point));
	PLUMB_TRY(bin_load(r, &b, path, name, loss));
	if (!b.bytes)
		return PLUMB_OK;
	bin_find_layout(&b);
	enum plumb_status s = PLUMB_OK;
	if (*b.problem)
		s = plumb_problems_add(&r->problems, name,
			b.usable ? "its values are used as they stand; look at this point with care" : loss, "%s",
			b.problem);
	r->foreign += b.foreign;
	if (!s && b.usable)
		s = bin_keep(r, &b, name, layer, point);
	free(b.bytes);
	return s;
}
