/* SPDX-License-Identifier: Apache-2.0 */
/* The table of formats, and opening: a file by its first bytes, a split model and a folder as one. What the
 * bytes of one format mean is in gguf.c and safetensors.c, which use cursor.c and file.c. */
#include "format/format.h"
#include "core/core.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

static const struct plumb_format *const formats[] = { &plumb_format_gguf, &plumb_format_safetensors };

/* Read `size` bytes at `base`. On failure the bytes stay the caller's. */
static enum plumb_status format_open_bytes(struct plumb_file **file, const unsigned char *base, size_t size)
{
	const struct plumb_format *format = NULL;
	if (size == 0)
		return plumb_fail(PLUMB_E_FORMAT, "empty: 0 bytes, expected GGUF or safetensors");
	for (size_t i = 0; i < sizeof formats / sizeof formats[0] && !format; i++)
		if (formats[i]->probe(base, size))
			format = formats[i];
	if (!format) {
		char text[PLUMB_QUOTE];
		const struct plumb_span start = { (const char *)base, size < 16 ? size : 16 };
		return plumb_fail(PLUMB_E_FORMAT, "neither GGUF nor safetensors: %zu bytes that begin with '%s'",
			size, plumb_quote(start, text));
	}
	struct plumb_file *f = calloc(1, sizeof *f);
	if (!f)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a file");
	f->format_name = format->name;
	f->base = base;
	f->size = size;
	enum plumb_status s = format->open(f);
	if (!s)
		*file = f;
	else
		plumb_file_close(f);
	return s;
}

/* A file as it is, be it a part of a split model. */
static enum plumb_status format_open_file(struct plumb_file **file, const char *path)
{
	struct plumb_map b = { NULL, 0, false };
	*file = NULL;
	enum plumb_status s = plumb_map_file(path, &b);
	if (s)
		return plumb_fail_in(s, "%s", path);
	s = format_open_bytes(file, b.base, b.size);
	if (s) {
		munmap(b.base, b.size);
		return plumb_fail_in(s, "%s", path);
	}
	(*file)->mapped = true;
	(*file)->anonymous = b.anonymous;
	return PLUMB_OK;
}

enum plumb_status plumb_file_open(struct plumb_file **file, const char *path)
{
	struct plumb_file *f = NULL;
	*file = NULL;
	if (!path)
		return plumb_fail(PLUMB_E_ARGUMENT, "no path of a model file");
	char *folder;
	if (plumb_folder_of(path, &folder)) {
		enum plumb_status status = folder ? plumb_folder_open(file, folder, format_open_file)
										  : plumb_fail(PLUMB_E_MEMORY, "no memory for the path of a folder");
		free(folder);
		return status;
	}
	enum plumb_status s = format_open_file(&f, path);
	if (!s && (s = plumb_shards_join(&f, path, format_open_file))) {
		plumb_fail_in(s, "%s", path);
		plumb_file_close(f);
	}
	if (!s)
		*file = f;
	return s;
}

enum plumb_status plumb_file_from_memory(struct plumb_file **file, const void *bytes, size_t size)
{
	*file = NULL;
	if (!bytes && size != 0)
		return plumb_fail(PLUMB_E_ARGUMENT, "no bytes, but a size of %zu", size);
	if ((uintptr_t)bytes % 8 != 0) /* the file's own alignment is relative to its start */
		return plumb_fail(PLUMB_E_ARGUMENT, "bytes at %p, expected an address aligned to 8", bytes);
	int64_t no, count;
	enum plumb_status s = format_open_bytes(file, bytes, size);
	if (!s && (s = plumb_shards_of(*file, &no, &count)) == PLUMB_OK && count > 1)
		s = plumb_fail(PLUMB_E_UNSUPPORTED,
			"part %" PRId64 " of %" PRId64 " of a split model: open it by its path", no + 1, count);
	if (s) {
		plumb_file_close(*file);
		*file = NULL;
	}
	return s;
}
