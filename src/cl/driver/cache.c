/* SPDX-License-Identifier: Apache-2.0 */
/* Binaries on disk, in AR_HARDWARE_LIBS or plumb/libs of the user's cache folder. A file begins with the
 * whole key, so a collision or a stale entry is noticed; it is written under another name and renamed, so
 * that many processes may work in one folder. Nothing here is an error: without a cache, programs are built.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <sys/uio.h>
#include <unistd.h>
#include "cl/driver/kernel.h"
#include "core/hash.h"

static const char cache_magic[8] = "plumbcl1";

#define SEED PLUMB_HASH_BASIS

static bool cache_make_folders(char *path)
{
	for (char *p = path + 1; *p; p++)
		if (*p == '/') {
			*p = 0;
			bool failed = mkdir(path, 0777) && errno != EEXIST;
			*p = '/';
			if (failed)
				return false;
		}
	return !mkdir(path, 0777) || errno == EEXIST;
}

static bool cache_folder(const struct plumb_cl_state *cl, char path[1024])
{
	memcpy(path, cl->set.libs, sizeof cl->set.libs);
	return *path && cache_make_folders(path);
}

bool plumb_cl_cache_path(
	const struct plumb_cl_state *cl, const char *key, const char *suffix, char path[1100])
{
	char where[1024];
	if (!cache_folder(cl, where))
		return false;
	snprintf(path, 1100, "%s/%016llx%s", where, (unsigned long long)plumb_hash_bytes(SEED, key, strlen(key)),
		suffix);
	return true;
}

char *plumb_cl_cache_key(
	const struct plumb_cl_device *d, const char *file, const char *options, const char *source)
{
	size_t n = strlen(source), need = strlen(options) + 1024;
	char *key = malloc(need);
	if (key)
		snprintf(key, need, "%s\n%s\n%s\n%s\n%s\n%s.cl %zu %016llx %016llx\n", d->info.platform, d->info.name,
			d->info.version, d->info.driver, options, file, n,
			(unsigned long long)plumb_hash_bytes(SEED, source, n),
			(unsigned long long)plumb_hash_bytes(~SEED, source, n));
	return key;
}

struct cache_header {
	char magic[8];
	uint64_t key_size, size, sum;
};

bool plumb_cl_cache_load(
	const struct plumb_cl_state *cl, const char *key, unsigned char **binary, size_t *size)
{
	char path[1100];
	struct cache_header h;
	size_t n = strlen(key);
	unsigned char *all = NULL;
	struct stat st;
	if (!plumb_cl_cache_path(cl, key, ".clbin", path))
		return false;
	FILE *f = fopen(path, "rb");
	if (!f)
		return false;
	/* Sizes must agree with the file's own before anything is allocated on their word. */
	bool good = !fstat(fileno(f), &st) && fread(&h, sizeof h, 1, f) == 1 &&
		!memcmp(h.magic, cache_magic, sizeof cache_magic) && h.key_size == n && h.size > 0 &&
		h.size < (uint64_t)st.st_size && (uint64_t)st.st_size == sizeof h + n + h.size &&
		(all = malloc(n + h.size)) != NULL && fread(all, 1, n + h.size, f) == n + h.size &&
		!memcmp(all, key, n) && plumb_hash_bytes(SEED, all + n, h.size) == h.sum;
	fclose(f);
	if (good) {
		memmove(all, all + n, h.size);
		*binary = all;
		*size = h.size;
	} else {
		free(all);
	}
	return good;
}

bool plumb_cl_cache_replace(const char *path, const struct iovec *pieces, int count)
{
	char temporary[1200];
	snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
	int fd = mkstemp(temporary);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!f) {
		if (fd >= 0) {
			close(fd);
			unlink(temporary);
		}
		return false;
	}
	bool good = true;
	for (int i = 0; i < count; i++)
		good = good && fwrite(pieces[i].iov_base, 1, pieces[i].iov_len, f) == pieces[i].iov_len;
	good = !fclose(f) && good && !rename(temporary, path);
	if (!good)
		unlink(temporary);
	return good;
}

void plumb_cl_cache_store(
	const struct plumb_cl_state *cl, const char *key, const unsigned char *binary, size_t size)
{
	char path[1100];
	struct cache_header h = {
		.key_size = strlen(key), .size = size, .sum = plumb_hash_bytes(SEED, binary, size)
	};
	struct iovec pieces[] = { { &h, sizeof h }, { (void *)(uintptr_t)key, h.key_size },
		{ (void *)(uintptr_t)binary, size } };
	memcpy(h.magic, cache_magic, sizeof cache_magic);
	if (plumb_cl_cache_path(cl, key, ".clbin", path))
		plumb_cl_cache_replace(path, pieces, 3);
}

int plumb_cl_cache_lock(const struct plumb_cl_state *cl)
{
	char where[1024], path[1100];
	if (!cache_folder(cl, where))
		return -1;
	snprintf(path, sizeof path, "%s/lock", where);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	/* A compiler that hangs elsewhere must not hold us up for ever; a file system without locks (ENOLCK,
	 * ENOSYS, EOPNOTSUPP) not at all. */
	for (int i = 0;
		 fd >= 0 && i < 1200 && flock(fd, LOCK_EX | LOCK_NB) && (errno == EWOULDBLOCK || errno == EINTR); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	return fd;
}

void plumb_cl_cache_unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}
