/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a file: mapped, or read where that cannot be. */
#include "format/format.h"
#include "core/core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "files over 2 GB: _FILE_OFFSET_BITS in Makefile.am");

/* A file system that cannot map (ENODEV: sshfs, some 9p and virtiofs mounts) can be read. */
static enum plumb_status map_read_whole(int fd, size_t size, unsigned char **base)
{
	unsigned char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	enum plumb_status s = PLUMB_OK;
	if (p == MAP_FAILED)
		return plumb_fail(PLUMB_E_MEMORY,
			"the file system cannot map it, and there is no memory to read its %zu bytes", size);
	for (size_t at = 0; at < size && !s;) {
		const ssize_t n = pread(fd, p + at, size - at, (off_t)at);
		if (n > 0)
			at += (size_t)n;
		else if (n == 0)
			s = plumb_fail(PLUMB_E_IO, "it became shorter while it was read: %zu of %zu bytes", at, size);
		else if (errno != EINTR)
			s = plumb_fail(PLUMB_E_IO, "cannot read byte %zu: %s", at, strerror(errno));
	}
	if (!s)
		*base = p;
	else
		munmap(p, size);
	return s;
}

/* If another process shortens a mapped one later, touching the lost pages
 * raises SIGBUS: that is how mappings are, and we do not catch signals in a library. */
enum plumb_status plumb_map_file(const char *path, struct plumb_map *map)
{
	struct stat st;
	void *p;
	enum plumb_status s = PLUMB_OK;
	/* Not to wait for a writer when path is a pipe. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return plumb_fail(PLUMB_E_IO, "cannot open: %s", strerror(errno));
	if (fstat(fd, &st) != 0)
		s = plumb_fail(PLUMB_E_IO, "cannot stat: %s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		s = plumb_fail(PLUMB_E_IO, "%s, expected a regular file",
			S_ISDIR(st.st_mode) ? "a directory" : "a device, pipe or socket");
	else if (st.st_size == 0)
		s = plumb_fail(PLUMB_E_FORMAT, "empty: 0 bytes" PLUMB_TRUNCATED);
	else if ((uintmax_t)st.st_size > SIZE_MAX / 2)
		s = plumb_fail(PLUMB_E_IO, "%jd bytes are more than the address space", (intmax_t)st.st_size);
	else {
		map->size = (size_t)st.st_size;
		p = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p != MAP_FAILED)
			map->base = p;
		else if (errno == ENOMEM || errno == EAGAIN)
			s = plumb_fail(PLUMB_E_MEMORY, "cannot map %jd bytes: %s", (intmax_t)st.st_size, strerror(errno));
		else {
			map->anonymous = true;
			s = map_read_whole(fd, map->size, &map->base);
		}
	}
	close(fd);
	return s;
}
