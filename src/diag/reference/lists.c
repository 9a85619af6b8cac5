/* SPDX-License-Identifier: Apache-2.0 */
/* The growing lists of a reference: what is wrong with it, and what was read of it. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "core/utf8.h"
#include "diag/reference/reference.h"

/* One more element at the end of a list; NULL: no memory, and the list is as it was. */
static void *lists_grow(void **list, int n, size_t size)
{
	void *more = realloc(*list, size * ((size_t)n + 1));
	if (!more)
		return NULL;
	*list = more;
	return memset((char *)more + size * (size_t)n, 0, size);
}

/* A copy in UTF-8: names of files and tensors come from outside, and a text may have been cut within a
 * character. */
static char *lists_text(const char *text)
{
	const size_t n = strlen(text);
	char *copy = malloc(3 * n + 1);
	if (copy)
		copy[plumb_utf8_replace(text, n, copy)] = 0;
	return copy;
}

static void lists_free_problem(struct plumb_problem *p)
{
	free(p->file);
	free(p->text);
	free(p->consequence);
}

enum plumb_status plumb_problems_add(
	struct plumb_problems *list, const char *file, const char *consequence, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	plumb_vformat(text, sizeof text, format, args);
	va_end(args);
	void *all = list->problem;
	struct plumb_problem *p = lists_grow(&all, list->n, sizeof *p);
	list->problem = all;
	if (p) {
		*p = (struct plumb_problem){ lists_text(file), lists_text(text), lists_text(consequence) };
		if (p->file && p->text && p->consequence) {
			list->n++;
			return PLUMB_OK;
		}
		lists_free_problem(p);
	}
	return plumb_fail(PLUMB_E_MEMORY, "no memory for a problem of %s", file);
}

void plumb_problems_free(struct plumb_problems *list)
{
	for (int i = 0; i < list->n; i++)
		lists_free_problem(&list->problem[i]);
	free(list->problem);
	*list = (struct plumb_problems){ 0 };
}

enum plumb_status plumb_reference_files_add(
	struct plumb_reference_files *list, const char *name, int layer, int point, const char *storage)
{
	void *all = list->file;
	struct plumb_reference_file *f = lists_grow(&all, list->n, sizeof *f);
	list->file = all;
	if (!f || !(f->name = lists_text(name)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a reference");
	f->layer = layer;
	f->point = point;
	plumb_format(f->storage, sizeof f->storage, "%s", storage);
	list->n++;
	return PLUMB_OK;
}

void plumb_reference_files_remove(struct plumb_reference_files *list, int layer, int point)
{
	for (int i = 0; i < list->n; i++)
		if (list->file[i].layer == layer && list->file[i].point == point) {
			free(list->file[i].name);
			memmove(&list->file[i], &list->file[i + 1], sizeof *list->file * (size_t)(list->n - i - 1));
			list->n--;
			return;
		}
}

void plumb_reference_files_free(struct plumb_reference_files *list)
{
	for (int i = 0; i < list->n; i++)
		free(list->file[i].name);
	free(list->file);
	*list = (struct plumb_reference_files){ 0 };
}
