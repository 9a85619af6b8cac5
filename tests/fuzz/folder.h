/* SPDX-License-Identifier: Apache-2.0 */
/* For fuzz entries of readers that take a path: a folder of their own, in memory where there is such a place.
 */
#ifndef FUZZ_FOLDER_H
#define FUZZ_FOLDER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void insist(int holds)
{
	if (!holds)
		abort();
}

static char folder[64];

static inline void folder_remove(void) { insist(!rmdir(folder)); }

/* Made once, empty, and away when the program ends. */
static inline const char *folder_path(void)
{
	if (*folder)
		return folder;
	strcpy(folder, "/dev/shm/plumb-fuzz-XXXXXX");
	if (!mkdtemp(folder)) {
		strcpy(folder, "/tmp/plumb-fuzz-XXXXXX");
		insist(mkdtemp(folder) != NULL);
	}
	atexit(folder_remove);
	return folder;
}

static inline const char *folder_file(const char *name)
{
	static char path[256];
	insist((size_t)snprintf(path, sizeof path, "%s/%s", folder_path(), name) < sizeof path);
	return path;
}

static inline void folder_put(const char *name, const uint8_t *data, size_t size)
{
	FILE *f = fopen(folder_file(name), "wb");
	insist(f && fwrite(data, 1, size, f) == size && !fclose(f));
}

#endif
