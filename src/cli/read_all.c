/* SPDX-License-Identifier: Apache-2.0 */
/* A whole file or stream. */
#include "cli/cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cli_read_all(const char *path, char **text, size_t *size)
{
	const size_t most = (size_t)1 << 30;
	size_t room = 1 << 16, n = 0, got;
	FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
	char *buffer = f ? malloc(room + 1) : NULL;
	*text = NULL;
	if (!f)
		return cli_complain(CLI_INPUT, "%s: %s", path, strerror(errno));
	while (buffer && (got = fread(buffer + n, 1, room - n, f)) > 0) {
		n += got;
		if (n < room)
			continue;
		if (room >= most)
			break;
		char *more = realloc(buffer, (room *= 2) + 1);
		if (!more)
			free(buffer);
		buffer = more;
	}
	bool failed = buffer && ferror(f), large = n >= most;
	int error = errno;
	if (f != stdin)
		fclose(f);
	if (!buffer)
		return cli_complain(CLI_ERROR, "%s: no memory to read it", path);
	if (failed || large) {
		free(buffer);
		return failed ? cli_complain(CLI_INPUT, "%s: %s", path, strerror(error))
					  : cli_complain(CLI_LIMIT, "%s: larger than 1 GB", path);
	}
	buffer[n] = 0;
	*text = buffer;
	*size = n;
	return CLI_OK;
}
