/* SPDX-License-Identifier: Apache-2.0 */
/* malloc and its family, of which the Nth call fails; and what else runs out: threads, anonymous maps.
 * Everything in the process goes through here: the C library's own allocations, jansson's, PCRE2's. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <stddef.h>
#include <stdint.h>
#include <dlfcn.h>
#include <malloc.h>
#include <sys/mman.h>
#include "inject/inject.h"

static struct inject_state own;
struct inject_state *inject = &own;

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t align, size_t size);
extern void __libc_free(void *p);

static bool fails(int error)
{
	if (!atomic_load(&inject->armed))
		return false;
	long n = atomic_fetch_add(&inject->calls, 1) + 1;
	if (!inject->at || n < inject->at || (n > inject->at && !inject->onward))
		return false;
	if (inject->stop)
		abort();
	atomic_fetch_add(&inject->fired, 1);
	errno = error;
	return true;
}

static void *given(void *p)
{
	if (p && atomic_load(&inject->armed))
		atomic_fetch_add(&inject->live, 1);
	return p;
}

void *malloc(size_t size) { return fails(ENOMEM) ? NULL : given(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) { return fails(ENOMEM) ? NULL : given(__libc_calloc(count, size)); }

void *realloc(void *p, size_t size)
{
	if (!p)
		return malloc(size);
	return fails(ENOMEM) ? NULL : __libc_realloc(p, size);
}

void *memalign(size_t align, size_t size)
{
	return fails(ENOMEM) ? NULL : given(__libc_memalign(align, size));
}

void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }

int posix_memalign(void **out, size_t align, size_t size)
{
	void *p = memalign(align, size);
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

void free(void *p)
{
	if (p && atomic_load(&inject->armed))
		atomic_fetch_sub(&inject->live, 1);
	__libc_free(p);
}

typedef int create_fn(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	return fails(EAGAIN) ? EAGAIN
						 : ((create_fn *)dlsym(RTLD_NEXT, "pthread_create"))(thread, attr, start, arg);
}

typedef void *mmap_fn(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	return fails(ENOMEM) ? MAP_FAILED
						 : ((mmap_fn *)dlsym(RTLD_NEXT, "mmap"))(at, size, protection, flags, fd, offset);
}
#endif
