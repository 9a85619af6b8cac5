/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of opening paths: a mapped file, an empty one, and what is no regular file.
 * main() is in check_format.c. */
#include "expect.h"
#include "../gguf_builder.h"

#include <sys/stat.h>
#include <unistd.h>

static enum plumb_status open_written(const void *bytes, size_t n, struct plumb_file **file)
{
	char path[] = "check_format.XXXXXX";
	const int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
	const enum plumb_status status = plumb_file_open(file, path);
	unlink(path);
	return status;
}

START_TEST(mapped_file)
{
	struct gguf_builder g;
	struct plumb_file *file;
	g_header(&g, 3, 1, 0);
	g_tensor(&g, "third", 26, 1, 0, 0);
	g_data(&g, 32, 4);
	ck_assert_int_eq(open_written(g.bytes, g.n, &file), PLUMB_OK);
	ck_assert_mem_eq(plumb_file_find(file, "third")->data, g.bytes + g.n - 4, 4);
	plumb_file_close(file);
	ck_assert_int_eq(open_written(g.bytes, g.n - 1, &file), PLUMB_E_FORMAT);
	ck_assert_ptr_null(file);
	ck_assert_msg(
		strncmp(plumb_last_error(), "check_format.", 13) == 0, "no path in '%s'", plumb_last_error());
	ck_assert_int_eq(open_written("", 0, &file), PLUMB_E_FORMAT);
	plumb_file_close(NULL);
}
END_TEST

START_TEST(not_a_file)
{
	static const struct {
		const char *path, *words;
	} cases[] = {
		{ ".", ".: a directory without config.json, expected a model file or a folder" },
		{ "/dev/null", "device" },
		{ "check_format.fifo", "pipe" },
		{ "no/such/file", "no/such/file: cannot open: No such file" },
		{ "", "cannot open" },
	};
	struct plumb_file *file;
	unlink("check_format.fifo");
	ck_assert_int_eq(mkfifo("check_format.fifo", 0600), 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ck_assert_int_eq(plumb_file_open(&file, cases[i].path), PLUMB_E_IO);
		ck_assert_ptr_null(file);
		ck_assert_msg(
			strstr(plumb_last_error(), cases[i].words) != NULL, "%s: %s", cases[i].path, plumb_last_error());
	}
	unlink("check_format.fifo");
	ck_assert_int_eq(plumb_file_open(&file, NULL), PLUMB_E_ARGUMENT);
	ck_assert_int_eq(plumb_file_from_memory(&file, NULL, 1), PLUMB_E_ARGUMENT);
}
END_TEST

TCase *files_tests(void)
{
	TCase *tests = tcase_create("files");
	tcase_add_test(tests, mapped_file);
	tcase_add_test(tests, not_a_file);
	return tests;
}
