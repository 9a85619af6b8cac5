/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz entry does with the bytes of a file: open it, and where it opens look at all of it. */
#ifndef FUZZ_WALK_H
#define FUZZ_WALK_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <plumb/file.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void insist(int holds)
{
	if (!holds)
		abort();
}

#include "walk_file.h"

/* Also opens nothing twice and leaks nothing: the sanitizers see to that. */
static inline void walk(const uint8_t *data, size_t size)
{
	struct plumb_file *file;
	if (plumb_file_from_memory(&file, data, size) != PLUMB_OK) {
		insist(file == NULL && plumb_last_error()[0] != '\0');
		return;
	}
	insist(plumb_file_size(file) == size);
	walk_file(file);
	plumb_file_close(file);
}

#endif
