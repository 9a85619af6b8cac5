/* SPDX-License-Identifier: Apache-2.0 */
/* Dumps: read back bit for bit, and nothing is left of one that fails. */
#include <signal.h>
#include <sys/resource.h>
#include "diag/reference.h"

static struct plumb_diag *plain(const char *fault)
{
	struct plumb_diag *d;
	ck_good(plumb_diag_new(&d, model, NULL, NULL,
		PLUMB_DIAG_OPTIONS(.tokens = prompt, .token_count = N, .layer = -1, .fault = fault)));
	return d;
}

START_TEST(dumps_are_read_bit_for_bit)
{
	bool bins = _i;
	char to[100];
	struct plumb_reference *r;
	struct plumb_diag *d = plain(NULL);
	snprintf(to, sizeof to, "%s/dump", dir);
	ck_good(plumb_diag_dump(d, to, bins, PLUMB_POINTS_ALL));
	ck_good(plumb_reference_open(&r, to, config));
	char mark[32];
	plumb_model_fingerprint(plumb_model_file(model), mark);
	ck_assert_int_eq(r->problems.n, 0);
	ck_assert(r->token_count == N && !memcmp(r->tokens, prompt, sizeof prompt) && r->position == LAST &&
		!strcmp(r->dtype, "float32") && !strcmp(r->convention, "raw"));
	ck_assert_str_eq(r->model_hash, mark);
	plumb_reference_place(&r->raw, r->position, N);
	int n = 0;
	for (int layer = -1, point = -1; plumb_capture_next(&r->raw, &layer, &point); n++) {
		const struct plumb_captured *p = plumb_capture_at(&r->raw, layer, point);
		const float *a, *b;
		int64_t count;
		ck_assert(plumb_captured_common(p, plumb_capture_at(&trusted_run, layer, point), &a, &b, &count) &&
			count == p->rows * p->width);
		ck_assert(bins || p->rows == plumb_capture_at(&trusted_run, layer, point)->rows);
		ck_assert_mem_eq(a, b, 4 * (size_t)count);
	}
	ck_assert_int_eq(n, bins ? 5 : 54);
	plumb_reference_free(r);
	ck_bad(plumb_diag_dump(d, to, bins, PLUMB_POINTS_ALL), PLUMB_E_IO, "is there and not empty");
	plumb_diag_free(d);
	make_remove(to);
}
END_TEST

START_TEST(dumps_some_points)
{
	char to[100];
	struct plumb_reference *r;
	struct plumb_diag *d = plain("k_bias@1");
	snprintf(to, sizeof to, "%s/dump", dir);
	ck_assert(!mkdir(to, 0777)); /* an empty folder may be there */
	ck_good(plumb_diag_dump(d, to, false, 1u << PLUMB_POINT_K_PROJ));
	ck_good(plumb_reference_open(&r, to, config));
	ck_assert_int_eq(r->files.n, 3);
	const float *broken = plumb_capture_at(&r->raw, 1, PLUMB_POINT_K_PROJ)->v,
				*fine = plumb_capture_at(&r->raw, 0, PLUMB_POINT_K_PROJ)->v;
	ck_assert(!memcmp(fine, plumb_capture_at(&trusted_run, 0, PLUMB_POINT_K_PROJ)->v, 4 * 32) &&
		memcmp(broken, plumb_capture_at(&trusted_run, 1, PLUMB_POINT_K_PROJ)->v, 4 * 32));
	plumb_reference_free(r);
	ck_bad(plumb_diag_dump(d, to, true, 1u << PLUMB_POINT_K_PROJ), PLUMB_E_ARGUMENT, "no point");
	plumb_diag_free(d);
	make_remove(to);
}
END_TEST

static int entries(const char *path)
{
	int n = 0;
	DIR *f = opendir(path);
	for (struct dirent *e; f && (e = readdir(f));)
		n += e->d_name[0] != '.';
	if (f)
		closedir(f);
	return n;
}

START_TEST(dumps_leave_nothing_half_written)
{
	char to[100];
	struct plumb_diag *d = plain(NULL);
	ck_bad(plumb_diag_dump(d, "/proc/nowhere/x", true, 0), PLUMB_E_IO, "/proc/nowhere/x cannot be made");
	write_text("file", "x");
	snprintf(to, sizeof to, "%s/file", dir);
	ck_bad(plumb_diag_dump(d, to, true, 0), PLUMB_E_IO, "cannot be made");
	ck_assert_int_eq(entries(dir), 1);
	unlink(in("file"));
	/* What a full disk does: writing fails somewhere in the middle. */
	struct rlimit before, tight;
	ck_assert(!getrlimit(RLIMIT_FSIZE, &before));
	tight = before;
	tight.rlim_cur = 1024; /* enough for the manifest and the layers, not for the logits */
	signal(SIGXFSZ, SIG_IGN);
	for (int bins = 0; bins < 2; bins++) {
		snprintf(to, sizeof to, "%s/dump", dir);
		setrlimit(RLIMIT_FSIZE, &tight);
		enum plumb_status s = plumb_diag_dump(d, to, bins, PLUMB_POINTS_ALL);
		setrlimit(RLIMIT_FSIZE, &before);
		ck_assert_msg(s == PLUMB_E_IO && strstr(plumb_last_error(), "File too large; nothing is left of it"),
			"%d: %s", s, plumb_last_error());
		ck_assert_int_eq(entries(dir), 0);
	}
	plumb_diag_free(d);
}
END_TEST

TCase *dump_tests(void)
{
	TCase *tc = tcase_create("dump");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, dumps_are_read_bit_for_bit, 0, 2);
	tcase_add_test(tc, dumps_some_points);
	tcase_add_test(tc, dumps_leave_nothing_half_written);
	return tc;
}
