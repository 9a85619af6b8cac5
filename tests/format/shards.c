/* SPDX-License-Identifier: Apache-2.0 */
/* Split models: opened whole from any part, refused by the name of the part that is wrong; a file system that
 * cannot map; types that are listed though plumb lacks them. */
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "format/expect.h"
#include "gguf_builder.h"

enum { PARTS = 3, NONE = -1 };

static char folder[] = "/tmp/plumb-shards-XXXXXX";

static const char *part_path(int part, int of, const char *ending)
{
	static char path[2][128];
	static int turn;
	char *p = path[turn++ % 2];
	snprintf(p, sizeof path[0], "%s/m-%05d-of-%05d.%s", folder, part + 1, of, ending);
	return p;
}

static void write_bytes(const char *path, const struct gguf_builder *g)
{
	FILE *f = fopen(path, "wb");
	ck_assert(f && fwrite(g->bytes, 1, g->n, f) == g->n && !fclose(f));
}

/* What differs in a broken set; NONE or 0: nothing. said: by every part, or by said_by alone. */
struct flaw {
	int missing, wrong_no, wrong_count, same_name, no_no, said, said_by;
	const char *ending, *text;
};

static void write_part(int part, const struct flaw *w)
{
	struct gguf_builder g;
	char name[32];
	snprintf(name, sizeof name, "tensor.%d", part == w->same_name ? 0 : part);
	g_header(&g, 3, 1, part == w->no_no ? 1 : 3);
	g_key(&g, "split.count", G_U16);
	g_uint(&g, part == w->wrong_count ? PARTS + 1 : PARTS, 2);
	if (part != w->no_no) {
		g_key(&g, "split.no", G_U16);
		g_uint(&g, (uint64_t)(part == w->wrong_no ? 0 : part), 2);
		g_key(&g, "split.tensors.count", G_I32);
		g_u32(&g, (uint32_t)(w->said && (!w->said_by || w->said_by == part) ? w->said : PARTS));
	}
	g_tensor(&g, name, 0, 4, 2, 0);
	g_data(&g, 32, 32);
	g.bytes[g.n - 1] = (unsigned char)(100 + part);
	if (part != w->missing)
		write_bytes(part_path(part, PARTS, w->ending), &g);
}

static void write_parts(const struct flaw *w)
{
	strcpy(folder, "/tmp/plumb-shards-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (int i = 0; i < PARTS; i++)
		write_part(i, w);
}

static void remove_parts(const char *ending)
{
	for (int i = 0; i < PARTS; i++)
		unlink(part_path(i, PARTS, ending));
	rmdir(folder);
}

#define GOOD \
	{ \
		.missing = NONE, .wrong_no = NONE, .wrong_count = NONE, .same_name = NONE, .no_no = NONE, \
		.ending = "gguf" \
	}

static void check_whole(const char *path)
{
	struct plumb_file *file;
	ck_assert_msg(plumb_file_open(&file, path) == PLUMB_OK, "%s", plumb_last_error());
	ck_assert_int_eq(plumb_file_shards(file), PARTS);
	ck_assert_int_eq(plumb_file_tensors(file), PARTS);
	for (int i = 0; i < PARTS; i++) {
		char name[32];
		snprintf(name, sizeof name, "tensor.%d", i);
		const struct plumb_file_tensor *t = plumb_file_find(file, name);
		ck_assert_ptr_nonnull(t);
		ck_assert_ptr_eq(t, plumb_file_tensor(file, i));
		ck_assert_int_eq(((const unsigned char *)t->data)[31], 100 + i);
		ck_assert_int_eq(((const unsigned char *)t->data)[0], 1);
	}
	plumb_file_close(file);
}

START_TEST(whole_from_any_part)
{
	const struct flaw good = GOOD;
	write_parts(&good);
	check_whole(part_path(_i, PARTS, "gguf"));
	remove_parts("gguf");
}
END_TEST

static const struct flaw flaws[] = {
	{ 1, NONE, NONE, NONE, NONE, 0, 0, "gguf", "part 2 of 3" },
	{ 2, NONE, NONE, NONE, NONE, 0, 0, "gguf", "m-00003-of-00003.gguf: cannot open" },
	{ NONE, 2, NONE, NONE, NONE, 0, 0, "gguf", "m-00003-of-00003.gguf: says that it is part 1 of 3" },
	{ NONE, NONE, 1, NONE, NONE, 0, 0, "gguf", "m-00002-of-00003.gguf: says that it is part 2 of 4" },
	{ NONE, NONE, NONE, 2, NONE, 0, 0, "gguf", "tensor 'tensor.0' is there twice" },
	{ NONE, NONE, NONE, NONE, 1, 0, 0, "gguf", "the key split.no is missing" },
	{ NONE, NONE, NONE, NONE, NONE, 7, 0, "gguf", "the parts hold 3 tensors, split.tensors.count says 7" },
	{ NONE, NONE, NONE, NONE, NONE, 7, 2, "gguf",
		"part 3: the parts hold 3 tensors, split.tensors.count says 7" },
	{ NONE, NONE, NONE, NONE, NONE, 0, 0, "bin", "must end in -00001-of-00003.gguf" },
};

START_TEST(parts_that_are_wrong)
{
	struct plumb_file *file;
	write_parts(&flaws[_i]);
	enum plumb_status s = plumb_file_open(&file, part_path(0, PARTS, flaws[_i].ending));
	ck_assert_msg(s == (flaws[_i].missing == NONE ? PLUMB_E_FORMAT : PLUMB_E_IO), "status %d: %s", s,
		plumb_last_error());
	ck_assert_ptr_null(file);
	ck_assert_msg(strstr(plumb_last_error(), flaws[_i].text) != NULL, "\"%s\" does not say \"%s\"",
		plumb_last_error(), flaws[_i].text);
	ck_assert_msg(!strstr(plumb_last_error(), "fetch it again"), "%s", plumb_last_error());
	remove_parts(flaws[_i].ending);
}
END_TEST

/* --- no memory mapping --- */

static int map_error;

void *mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	static void *(*real)(void *, size_t, int, int, int, off_t);
	if (map_error && fd >= 0) {
		errno = map_error;
		return MAP_FAILED;
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "mmap");
	return real(at, size, prot, flags, fd, offset);
}

START_TEST(read_where_not_mapped)
{
	static const int errors[] = { ENODEV, EACCES, EINVAL, EPERM };
	const struct flaw good = GOOD;
	struct plumb_file *file;
	write_parts(&good);
	map_error = errors[_i];
	check_whole(part_path(1, PARTS, "gguf"));
	map_error = ENOMEM;
	ck_assert_int_eq(plumb_file_open(&file, part_path(0, PARTS, "gguf")), PLUMB_E_MEMORY);
	map_error = 0;
	remove_parts("gguf");
}
END_TEST

/* --- types --- */

/* Number in the file, name, elements and bytes of a block. */
static const struct {
	uint32_t ggml;
	const char *name;
	uint64_t elements, bytes;
} lacking[] = {
	{ 16, "IQ2_XXS", 256, 66 },
	{ 21, "IQ3_S", 256, 110 },
	{ 27, "I64", 1, 8 },
	{ 34, "TQ1_0", 256, 54 },
	{ 40, "NVFP4", 64, 36 },
	{ 41, "Q1_0", 128, 18 },
};

START_TEST(types_that_are_listed)
{
	struct gguf_builder g;
	struct plumb_file *file;
	void *copy;
	g_header(&g, 3, 1, 0);
	g_tensor(&g, "t", lacking[_i].ggml, lacking[_i].elements, 3, 0);
	g_data(&g, 32, 3 * lacking[_i].bytes);
	ck_assert_msg(open_copy(g.bytes, g.n, &file, &copy) == PLUMB_OK, "%s", plumb_last_error());
	const struct plumb_file_tensor *t = plumb_file_tensor(file, 0);
	ck_assert_str_eq(t->type_name, lacking[_i].name);
	ck_assert_int_eq(t->type, PLUMB_TYPE_COUNT);
	ck_assert_uint_eq(t->bytes, 3 * lacking[_i].bytes);
	plumb_file_close(file);
	free(copy);
	g.n--; /* one byte less than its blocks need */
	ck_assert_int_eq(open_copy(g.bytes, g.n, &file, &copy), PLUMB_E_FORMAT);
	ck_assert_msg(strstr(plumb_last_error(), "fetch it again") != NULL, "%s", plumb_last_error());
	free(copy);
}
END_TEST

TCase *shard_tests(void)
{
	TCase *tests = tcase_create("shards and types");
	tcase_add_loop_test(tests, whole_from_any_part, 0, PARTS);
	tcase_add_loop_test(tests, parts_that_are_wrong, 0, (int)(sizeof flaws / sizeof *flaws));
	int maps = 4;
#ifdef __SANITIZE_ADDRESS__
	printf("SKIP: a file system that cannot map: the sanitizer has a mmap of its own\n");
	fflush(stdout);
	maps = 0;
#endif
	tcase_add_loop_test(tests, read_where_not_mapped, 0, maps);
	tcase_add_loop_test(tests, types_that_are_listed, 0, (int)(sizeof lacking / sizeof *lacking));
	return tests;
}
