/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz entry over every file of the folders named on the command line, so that builds
 * without libFuzzer replay the corpus in `make check`. Fails when there is nothing to replay. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1 for a file replayed, 0 for something else, -1 for one that cannot be read. */
static int replay_file(const char *path)
{
	struct stat st;
	int result = -1;
	unsigned char *bytes = NULL;
	FILE *f = fopen(path, "rb");
	if (f == NULL || fstat(fileno(f), &st) != 0)
		goto fail;
	if (!S_ISREG(st.st_mode)) {
		result = 0;
		goto fail;
	}
	const size_t size = (size_t)st.st_size;
	bytes = malloc(size > 0 ? size : 1); /* exactly the size, so that a sanitizer sees one byte too far */
	if (bytes == NULL || fread(bytes, 1, size, f) != size)
		goto fail;
	/* The name goes out first: it is the last thing seen if the entry aborts. */
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(bytes, size);
	result = 1;
fail:
	if (result < 0)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	if (f != NULL)
		fclose(f);
	free(bytes);
	return result;
}

/* Inputs replayed, or -1. */
static long replay_folder(const char *folder)
{
	long inputs = 0;
	char path[4096];
	DIR *dir = opendir(folder);
	if (dir == NULL) {
		fprintf(stderr, "%s: %s\n", folder, strerror(errno));
		return -1;
	}
	for (struct dirent *entry = readdir(dir); entry != NULL && inputs >= 0; entry = readdir(dir)) {
		if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= sizeof path) {
			fprintf(stderr, "%s/%s: path too long\n", folder, entry->d_name);
			inputs = -1;
			break;
		}
		const int one = replay_file(path);
		inputs = one < 0 ? -1 : inputs + one;
	}
	closedir(dir);
	return inputs;
}

int main(int argc, char **argv)
{
	long inputs = 0;
	for (int i = 1; i < argc; i++) {
		const long more = replay_folder(argv[i]);
		if (more < 0)
			return 1;
		inputs += more;
	}
	printf("%s: %ld inputs replayed\n", argv[0], inputs);
	return inputs > 0 ? 0 : 1;
}
