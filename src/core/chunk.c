/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for weights that are streamed: they lie side by side in chunks of huge pages. Streaming them through
 * 4 KB pages gives half the bandwidth where pages are nested (virtual machines), and one weight is rarely a
 * whole number of huge ones. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <stdlib.h>
#include <sys/mman.h>
#include "core/core.h"

#define CHUNK ((size_t)32 << 20)
#define ALIGN ((size_t)128) /* what OpenCL on a CPU asks of memory that it is to use in place */

struct plumb_chunk {
	struct plumb_chunk *next;
	uint8_t *base;
	size_t size, used;
	int live;
};

void *plumb_chunk_take(struct plumb_chunk **list, size_t size, struct plumb_chunk **from)
{
	struct plumb_chunk *c = *list;
	if (size > SIZE_MAX - PLUMB_HUGE_PAGE)
		return NULL;
	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	if (!c || c->size - c->used < size) {
		size_t whole = size > CHUNK ? (size + PLUMB_HUGE_PAGE - 1) / PLUMB_HUGE_PAGE * PLUMB_HUGE_PAGE
									: CHUNK;
		if (!(c = calloc(1, sizeof *c)) || !(c->base = aligned_alloc(PLUMB_HUGE_PAGE, whole))) {
			free(c);
			return NULL;
		}
		c->size = whole;
#ifdef MADV_HUGEPAGE
		madvise(c->base, whole, MADV_HUGEPAGE); /* a help, not a need */
#endif
		c->next = *list;
		*list = c;
	}
	uint8_t *p = c->base + c->used;
	c->used += size;
	c->live++;
	*from = c;
	return p;
}

void plumb_chunk_give(struct plumb_chunk **list, struct plumb_chunk *c)
{
	if (--c->live)
		return;
	while (*list != c)
		list = &(*list)->next;
	*list = c->next;
	free(c->base);
	free(c);
}
