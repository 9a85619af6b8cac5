/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a program: types.cl and a kernel file, from PLUMB_CL_PATH or embedded, with what they include
 * in the place of the lines: a compiler at run time has no folder to include from. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cl/driver/kernel.h"

struct plumb_cl_embedded {
	const char *name;
	const char *text;
	size_t size;
};
extern const struct plumb_cl_embedded
	plumb_cl_embedded[]; /* made by tools/embed-cl.sh; ends with name NULL */

enum { MOST_BYTES = 1 << 20, MOST_DEPTH = 4 /* of files that include files */ };

static enum plumb_status source_read(const char *folder, const char *name, char **text)
{
	char path[1024];
	if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
		return plumb_fail(PLUMB_E_ARGUMENT, "PLUMB_CL_PATH is too long");
	FILE *f = fopen(path, "rbe");
	if (!f)
		return plumb_fail(PLUMB_E_IO, "%s: %s (PLUMB_CL_PATH)", path, strerror(errno));
	char *all = malloc(MOST_BYTES + 1);
	size_t n = all ? fread(all, 1, MOST_BYTES + 1, f) : 0;
	int error = ferror(f) ? errno : 0;
	fclose(f);
	enum plumb_status s = !all ? plumb_fail(PLUMB_E_MEMORY, "no memory for %s", path)
		: error                ? plumb_fail(PLUMB_E_IO, "%s: %s (PLUMB_CL_PATH)", path, strerror(error))
		: n > MOST_BYTES
		? plumb_fail(
			  PLUMB_E_FORMAT, "%s: over %d bytes, which no kernel file has (PLUMB_CL_PATH)", path, MOST_BYTES)
		: memchr(all, 0, n)
		? plumb_fail(PLUMB_E_FORMAT, "%s: a zero byte in what should be text (PLUMB_CL_PATH)", path)
		: PLUMB_OK;
	if (s) {
		free(all);
		return s;
	}
	all[n] = 0;
	*text = all;
	return PLUMB_OK;
}

static enum plumb_status source_one(const char *folder, const char *name, char **text)
{
	*text = NULL;
	if (folder && strcmp(name, "limits.h")) /* the host has the embedded one's numbers */
		return source_read(folder, name, text);
	for (const struct plumb_cl_embedded *e = plumb_cl_embedded; e->name; e++)
		if (!strcmp(e->name, name)) {
			*text = malloc(e->size + 1);
			if (!*text)
				return plumb_fail(PLUMB_E_MEMORY, "no memory for %s", name);
			memcpy(*text, e->text, e->size);
			(*text)[e->size] = 0;
			return PLUMB_OK;
		}
	return plumb_fail(PLUMB_E_INTERNAL, "%s is not in this build", name);
}

/* A file, line by line. #line keeps a compiler's messages about it right. */
static enum plumb_status source_put(FILE *out, const char *folder, const char *name, int depth)
{
	static const char include[] = "#include \"";
	char *own, inner[32];
	enum plumb_status s = PLUMB_OK;
	int line = 1;
	if (depth > MOST_DEPTH)
		return plumb_fail(PLUMB_E_FORMAT,
			"%s: kernel files include each other more than %d deep; does one include itself?", name,
			MOST_DEPTH);
	PLUMB_TRY(source_one(folder, name, &own));
	fprintf(out, "#line 1 \"%s\"\n", name);
	for (const char *p = own; !s && *p; line++) {
		size_t n = strcspn(p, "\n");
		n += p[n] == '\n';
		bool found = n < 64 && !strncmp(p, include, sizeof include - 1) &&
			sscanf(p + sizeof include - 1, "%31[a-z_.]\"", inner) == 1;
		if (found) {
			s = source_put(out, folder, inner, depth + 1);
			fprintf(out, "\n#line %d \"%s\"\n", line + 1, name);
		} else {
			fwrite(p, 1, n, out);
		}
		p += n;
	}
	fputc('\n', out);
	free(own);
	return s;
}

enum plumb_status plumb_cl_source(const struct plumb_cl_state *cl, const char *file, char **text)
{
	char name[64], *all = NULL;
	size_t size = 0;
	*text = NULL;
	snprintf(name, sizeof name, "%s.cl", file);
	FILE *out = open_memstream(&all, &size);
	if (!out)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for %s", name);
	enum plumb_status s = source_put(out, cl->set.path, "types.cl", 1);
	if (!s)
		s = source_put(out, cl->set.path, name, 1);
	bool failed = ferror(out);
	failed = fclose(out) || failed;
	if (!s && failed)
		s = plumb_fail(PLUMB_E_MEMORY, "no memory for %s", name);
	if (s)
		free(all);
	else
		*text = all;
	return s;
}
