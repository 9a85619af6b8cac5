/* SPDX-License-Identifier: Apache-2.0 */
/* Giving back the pages of weights that are laid out anew, where a page is larger than this machine's: whole
 * pages of that size only, or the kernel refuses all of it and the file stays in memory. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "format/expect.h"
#include "format/format.h"

static size_t page; /* 0: the real size, and real advice */
static struct {
	const unsigned char *from;
	size_t bytes;
	int advice, calls;
} given;

/* In the place of libc's, for this program. */
long sysconf(int name)
{
	static long (*real)(int);
	if (name == _SC_PAGESIZE && page)
		return (long)page;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "sysconf");
	return real(name);
}

int madvise(void *from, size_t bytes, int advice)
{
	static int (*real)(void *, size_t, int);
	if (page) {
		given.from = from;
		given.bytes = bytes;
		given.advice = advice;
		given.calls++;
		return 0;
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "madvise");
	return real(from, bytes, advice);
}

static const size_t sizes[] = { 4096, 16384, 65536, 2 << 20 };

START_TEST(whole_pages)
{
	struct plumb_file *file;
	char path[1024];
	snprintf(path, sizeof path, "%s/tests/data/tiny-f32.gguf", getenv("srcdir") ? getenv("srcdir") : ".");
	ck_assert_int_eq(plumb_file_open(&file, path), PLUMB_OK);
	ck_assert(file->mapped && file->size > 600000);
	const size_t at = 70001, bytes = 500000, size = sizes[_i], first = (at + size - 1) / size * size,
				 end = (at + bytes) / size * size;
	page = size;
	given.calls = 0;
	plumb_file_release(file, file->base + at, bytes);
	ck_assert_int_eq(given.calls, first < end); /* none inside: none given back */
	if (given.calls) {
		ck_assert_ptr_eq(given.from, file->base + first);
		ck_assert_uint_eq(given.bytes, end - first);
		ck_assert_int_eq(given.advice, MADV_DONTNEED);
	}
	page = 0;
	plumb_file_close(file);
}
END_TEST

/* Of a folder's second file, too, and of no other. */
START_TEST(pages_of_a_part)
{
	struct plumb_file *file;
	char path[1024];
	snprintf(path, sizeof path, "%s/tests/data/families/qwen3/hf", getenv("srcdir") ? getenv("srcdir") : ".");
	ck_assert_msg(plumb_file_open(&file, path) == PLUMB_OK, "%s", plumb_last_error());
	ck_assert_int_eq(file->shards, 1);
	const struct plumb_file *part = file->shard[0];
	ck_assert(part->mapped && part->size > 20000);
	page = 4096;
	given.calls = 0;
	plumb_file_release(file, part->base + 100, 10000);
	ck_assert_int_eq(given.calls, 1);
	ck_assert_ptr_eq(given.from, part->base + 4096);
	ck_assert_uint_eq(given.bytes, 4096);
	page = 0;
	plumb_file_close(file);
}
END_TEST

TCase *pages_tests(void)
{
	TCase *tests = tcase_create("pages");
	tcase_add_loop_test(tests, whole_pages, 0, (int)(sizeof sizes / sizeof *sizes));
	tcase_add_test(tests, pages_of_a_part);
	return tests;
}
