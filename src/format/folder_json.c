/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON files of a model folder: of bounded size, without keys that are there twice, and values of the
 * kind and range that is asked for. */
#include "format/folder.h"
#include "core/core.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

char *plumb_folder_join(const char *folder, const char *name)
{
	const size_t n = strlen(folder), size = n + strlen(name) + 2;
	char *path = malloc(size);
	if (path)
		plumb_format(path, size, "%s%s%s", folder, n > 0 && folder[n - 1] == '/' ? "" : "/", name);
	return path;
}

bool plumb_folder_has(const struct plumb_folder *f, const char *name)
{
	struct stat st;
	/* No memory is needed, so that "no" is an answer. */
	const int fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const bool has = fd >= 0 && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (fd >= 0)
		close(fd);
	return has;
}

enum plumb_status plumb_folder_read(
	const struct plumb_folder *f, const char *name, size_t most, size_t flags, json_t **root)
{
	struct plumb_map map = { NULL, 0, false };
	json_error_t error;
	char *path = plumb_folder_join(f->path, name);
	*root = NULL;
	if (!path)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the path of %s", name);
	enum plumb_status s = plumb_map_file(path, &map);
	if (!s && map.size > most)
		s = plumb_fail(PLUMB_E_FORMAT, "%zu bytes, expected at most %zu", map.size, most);
	if (!s)
		s = plumb_json_read(root, (const char *)map.base, map.size, JSON_REJECT_DUPLICATES | flags, &error);
	if (!s && !json_is_object(*root))
		s = plumb_fail(PLUMB_E_FORMAT, "not an object of JSON");
	if (s) {
		json_decref(*root);
		*root = NULL;
		plumb_fail_in(s, "%s", path);
	}
	if (map.base)
		munmap(map.base, map.size);
	free(path);
	return s;
}

const json_t *plumb_folder_value(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_null(value) ? NULL : value;
}

enum plumb_status plumb_folder_whole(
	const json_t *object, const char *key, int64_t low, int64_t high, int64_t fallback, int64_t *value)
{
	const json_t *v = plumb_folder_value(object, key);
	*value = v ? json_integer_value(v) : fallback;
	if (!v && fallback < 0)
		return plumb_fail(PLUMB_E_FORMAT, "%s is missing", key);
	if (v && !json_is_integer(v))
		return plumb_fail(PLUMB_E_FORMAT, "%s is not a whole number", key);
	if (v && (*value < low || *value > high))
		return plumb_fail(
			PLUMB_E_FORMAT, "%s is %" PRId64 ", expected %" PRId64 " to %" PRId64, key, *value, low, high);
	return PLUMB_OK;
}

enum plumb_status plumb_folder_number(
	const json_t *object, const char *key, double low, double high, double fallback, double *value)
{
	const json_t *v = plumb_folder_value(object, key);
	char text[3][32];
	*value = v ? json_number_value(v) : fallback;
	if (!v && isnan(fallback))
		return plumb_fail(PLUMB_E_FORMAT, "%s is missing", key);
	if (v && !json_is_number(v))
		return plumb_fail(PLUMB_E_FORMAT, "%s is not a number", key);
	if (!v || (*value >= low && *value <= high))
		return PLUMB_OK;
	plumb_format(text[0], sizeof text[0], "%g", *value);
	plumb_format(text[1], sizeof text[1], "%g", low);
	plumb_format(text[2], sizeof text[2], "%g", high);
	return plumb_fail(PLUMB_E_FORMAT, "%s is %s, expected %s to %s", key, text[0], text[1], text[2]);
}

enum plumb_status plumb_folder_flag(const json_t *object, const char *key, bool fallback, bool *value)
{
	const json_t *v = plumb_folder_value(object, key);
	*value = v ? json_is_true(v) : fallback;
	if (v && !json_is_boolean(v))
		return plumb_fail(PLUMB_E_FORMAT, "%s is neither true nor false", key);
	return PLUMB_OK;
}

enum plumb_status plumb_folder_string(
	const json_t *object, const char *key, const char *fallback, const char **value)
{
	const json_t *v = plumb_folder_value(object, key);
	*value = v ? json_string_value(v) : fallback;
	if (!v && !fallback)
		return plumb_fail(PLUMB_E_FORMAT, "%s is missing", key);
	return *value ? PLUMB_OK : plumb_fail(PLUMB_E_FORMAT, "%s is not text", key);
}
