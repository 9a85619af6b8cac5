/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side of src/cl where it needs no device: the lock of the cache, names in variables, 32-bit
 * counts, the records of kernels, the text of programs. Each test is of a bug that there was. */
#include <errno.h>
#include <limits.h>
#include <jansson.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "suite.h"
#include "cl/driver/kernel.h"
#include "cl/doctor/doctor.h"
#include "cl/tune/tune.h"
#include "core/classes.h"

static char folder[] = "/tmp/check_cl_host.XXXXXX";

static void make_folder(void) { ck_assert_ptr_nonnull(mkdtemp(folder)); }

static void remove_folder(void)
{
	char command[64];
	snprintf(command, sizeof command, "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
	strcpy(folder + sizeof folder - 7, "XXXXXX");
}

/* --- a file system that has no locks: kernels are built at once, not after a minute each --- */

/* In the place of libc's: fails so, but for the time-th call. */
static int lock_error, lock_calls, lock_time;

int flock(int fd, int operation)
{
	(void)fd;
	(void)operation;
	errno = lock_error;
	return ++lock_calls == lock_time ? 0 : -1;
}

static const struct {
	int error, time, calls;
} locks[] = {
	{ ENOLCK, 4, 1 },
	{ ENOSYS, 4, 1 },
	{ EOPNOTSUPP, 4, 1 },
	{ EBADF, 4, 1 },
	{ EWOULDBLOCK, 3, 3 },
	{ EINTR, 3, 3 },
	{ 0, 1, 1 },
};

START_TEST(locks_that_do_not_work)
{
	static struct plumb_cl_state cl;
	snprintf(cl.set.libs, sizeof cl.set.libs, "%s", folder);
	lock_error = locks[_i].error;
	lock_time = locks[_i].time;
	lock_calls = 0;
	int fd = plumb_cl_cache_lock(&cl);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(lock_calls, locks[_i].calls);
	plumb_cl_cache_unlock(fd);
}
END_TEST

/* --- OCL_ICD_FILENAMES with a name that no buffer has room for --- */

static char found[4096];

static void hear(void *user, const struct plumb_finding *f)
{
	(void)user;
	size_t n = strlen(found);
	snprintf(found + n, sizeof found - n, "%d %s\n", (int)f->mark, f->what);
}

static const size_t lengths[] = { 1024, 1027, 1028, 1100, 5000, 70000 };

START_TEST(long_icd_names)
{
	struct plumb_doctor d = { .report = hear };
	char *names = malloc(lengths[_i] + 64), want[64];
	memset(names, 'x', lengths[_i]);
	strcpy(names + lengths[_i] - 4, ".icd");
	strcat(names, ":/nonexistent/second.icd");
	setenv("OCL_ICD_FILENAMES", names, 1);
	setenv("OCL_ICD_VENDORS", "/nonexistent", 1);
	plumb_doctor_note(&d, "khronos", "yes"); /* the loader that reads it */
	plumb_doctor_icds(&d);
	snprintf(want, sizeof want, "%d OCL_ICD_FILENAMES has a name of %zu characters: xxx",
		(int)PLUMB_MARK_PROBLEM, lengths[_i]);
	ck_assert_msg(strstr(found, want) != NULL, "%s\nlacks %s", found, want);
	ck_assert_msg(strstr(found, "/nonexistent/second.icd") != NULL, "%s", found);
	free(names);
}
END_TEST

/* --- tensors that a kernel's int cannot count --- */

static const struct {
	int64_t rows, columns;
	size_t first;
	bool fits;
} ranges[] = {
	{ 14136, 151936, 0, false }, /* all logits of a batch: 120,000 more than 2^31 */
	{ 14100, 151936, 0, true },
	{ 1, INT32_MAX - 65536, 0, true },
	{ 1, INT32_MAX - 65535, 0, false },
	{ 1, 1000, INT32_MAX - 66536, true },
	{ 1, 1000, INT32_MAX - 66535, false },
	{ 1, 1, (size_t)1 << 32, false },
	{ 1 << 20, 1 << 20, 0, false },
};

START_TEST(counts_of_kernels)
{
	static struct plumb_cl_state cl;
	struct plumb_driver driver = { .cls = &plumb_cl_class, .state = &cl };
	struct plumb_buffer buffer = { .bytes = 0 };
	const struct plumb_tensor t = { .type = PLUMB_F32,
		.rank = 2,
		.dim = { ranges[_i].rows, ranges[_i].columns, 1, 1 },
		.offset = 4 * ranges[_i].first,
		.buffer = &buffer };
	struct plumb_cl_args a = PLUMB_CL_ARGS(&driver);
	plumb_cl_tensor(&a, &t);
	ck_assert_int_eq(a.status, ranges[_i].fits ? PLUMB_OK : PLUMB_E_UNSUPPORTED);
	ck_assert_int_eq(plumb_cl_range(&t), a.status); /* of who passes buffers by themselves */
	if (!ranges[_i].fits)                           /* before anything is built or run */
		ck_bad(plumb_cl_launch(&a, "add", "add", "", 1, (size_t[]){ 1 }, NULL), PLUMB_E_UNSUPPORTED,
			"beyond the 32-bit indices");
}
END_TEST

/* --- kernels are built anew: their names and counts stay, a user holds them --- */

static int released;

static cl_int CL_API_CALL release_kernel(cl_kernel kernel)
{
	(void)kernel;
	released++;
	return CL_SUCCESS;
}

START_TEST(records_outlive_kernels)
{
	static struct plumb_cl_state cl;
	const struct plumb_driver driver = { .cls = &plumb_cl_class, .state = &cl };
	struct plumb_kernel_time before, after;
	struct plumb_cl_kernel *k = calloc(1, sizeof *k);
	char some;
	*k = (struct plumb_cl_kernel){ .key = strdup("add add -DX"),
		.kernel = (cl_kernel)&some,
		.calls = 7,
		.nanoseconds = 2000000000,
		.bytes = 12 };
	cl.kernels[5] = k;
	plumb_cl.clReleaseKernel = release_kernel;
	ck_assert(plumb_cl_class.kernel_row(&driver, 0, &before));
	plumb_cl_programs_forget(&cl);
	ck_assert_int_eq(released, 1);
	ck_assert(plumb_cl_class.kernel_row(&driver, 0, &after));
	ck_assert_ptr_eq(after.kernel, before.kernel);
	ck_assert_str_eq(before.kernel, "add add -DX");
	ck_assert(after.calls == 7 && after.seconds == 2 && after.bytes == 12);
	plumb_cl_programs_forget(&cl); /* the kernel is gone: not a second time */
	ck_assert_int_eq(released, 1);
	plumb_cl_launch_forget(&cl);
	ck_assert(!plumb_cl_class.kernel_row(&driver, 0, &after));
}
END_TEST

/* --- kernel files of a user --- */

static void put(const char *name, const char *text, size_t repeat)
{
	char path[64];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	while (repeat--)
		fputs(text, f);
	fclose(f);
}

static enum plumb_status source(char **text)
{
	static struct plumb_cl_state cl;
	cl.set.path = folder;
	put("types.cl", "\n", 1);
	return plumb_cl_source(&cl, "x", text);
}

START_TEST(source_too_large)
{
	char *text;
	put("x.cl", "/**/ //\n", (1 << 20) / 8);
	ck_good(source(&text));
	ck_assert_uint_gt(strlen(text), 1 << 20);
	free(text);
	put("x.cl", "/**/ // \n", (1 << 20) / 9 + 1); /* a byte or so more: it is refused, not cut */
	ck_bad(source(&text), PLUMB_E_FORMAT, "x.cl: over 1048576 bytes");
	ck_assert_ptr_null(text);
}
END_TEST

START_TEST(source_not_read)
{
	char path[64], *text;
	snprintf(path, sizeof path, "%s/x.cl", folder);
	ck_assert_int_eq(mkdir(path, 0777), 0); /* opens, and cannot be read */
	ck_bad(source(&text), PLUMB_E_IO, "x.cl: Is a directory");
	ck_assert_ptr_null(text);
}
END_TEST

START_TEST(source_includes)
{
	char *text;
	put("a.cl", "int of_a;\n", 1);
	put("b.cl", "#include \"c.cl\"\nint of_b;\n", 1);
	put("c.cl", "int of_c;\n", 1);
	put("x.cl", "int begin;\n#include \"a.cl\"\n#include \"b.cl\"\nint end;\n", 1);
	ck_good(source(&text));
	const char *order[] = { "int begin;", "int of_a;", "int of_c;", "int of_b;", "#line 4 \"x.cl\"",
		"int end;" },
			   *p = text;
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		p = strstr(p, order[i]);
		ck_assert_msg(p != NULL, "%s is not in its place:\n%s", order[i], text);
	}
	ck_assert_ptr_null(strstr(text, "#include"));
	free(text);
}
END_TEST

START_TEST(source_includes_itself)
{
	char *text;
	put("x.cl", "#include \"y.cl\"\n", 1);
	put("y.cl", "#include \"x.cl\"\n", 1);
	ck_bad(source(&text), PLUMB_E_FORMAT, "does one include itself?");
	ck_assert_ptr_null(text);
}
END_TEST

/* --- a tuning file when there is no memory for a part of it: none is written --- */

static int json_calls, json_fails;

static void *json_allocate(size_t bytes) { return ++json_calls == json_fails ? NULL : malloc(bytes); }

START_TEST(tuning_without_memory)
{
	static struct plumb_cl_state cl;
	struct plumb_driver driver = { .cls = &plumb_cl_class, .state = &cl };
	struct plumb_tune_row rows[2] = {
		{ .type = PLUMB_Q8_0, .n = 64, .k = 32, .m_low = 1, .m_high = 1, .m = 1 }
	};
	rows[0].variant[1] = (struct plumb_tune_result){ .seconds = 1, .timings = 3 };
	rows[1] = rows[0];
	put("types.cl", "\n", 1);
	put("matmul.cl", "\n", 1);
	cl.set.path = folder;
	cl.tuning.rows = rows;
	cl.tuning.count = 2;
	snprintf(cl.tuning.file, sizeof cl.tuning.file, "%s/x.tune.json", folder);
	json_set_alloc_funcs(json_allocate, free);
	enum plumb_status s = PLUMB_E_MEMORY;
	for (json_fails = 1; s == PLUMB_E_MEMORY; json_fails++) {
		json_calls = 0;
		s = plumb_cl_file_write(&driver);
		ck_assert_msg(!s == !access(cl.tuning.file, F_OK), "allocation %d of %d fails, and a file is there",
			json_fails, json_calls);
	}
	json_set_alloc_funcs(malloc, free);
	ck_assert_int_eq(s, PLUMB_OK);
	ck_assert_int_gt(json_fails, 50);
	json_t *root = json_load_file(cl.tuning.file, 0, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(root, "rows")), 2);
	json_decref(root);
}
END_TEST

#define LOOP(tc, name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof(table) / sizeof *(table)))
int main(void)
{
	Suite *suite = suite_create("cl_host");
	TCase *files = tcase_create("files"), *plain = tcase_create("plain");
	tcase_set_timeout(plain, 60); /* a child of the doctor's per file */
	tcase_add_checked_fixture(files, make_folder, remove_folder);
	LOOP(files, locks_that_do_not_work, locks);
	tcase_add_test(files, source_too_large);
	tcase_add_test(files, source_not_read);
	tcase_add_test(files, source_includes);
	tcase_add_test(files, source_includes_itself);
	tcase_add_test(files, tuning_without_memory);
	LOOP(plain, long_icd_names, lengths);
	LOOP(plain, counts_of_kernels, ranges);
	tcase_add_test(plain, records_outlive_kernels);
	suite_add_tcase(suite, files);
	suite_add_tcase(suite, plain);
	return run_suite(suite);
}
