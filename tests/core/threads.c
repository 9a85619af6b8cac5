/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of threads, and how many CPUs a control group leaves. */
#include <sys/stat.h>
#include "core/core.h"
#include "parts.h"

/* --- pool --- */

struct tally {
	_Atomic int hits[10000];
	int threads;
	_Atomic bool wrong_thread;
};

static void count(void *arg, int64_t i, int thread)
{
	struct tally *t = arg;
	atomic_fetch_add(&t->hits[i], 1);
	if (thread < 0 || thread >= t->threads)
		atomic_store(&t->wrong_thread, true);
}

START_TEST(pool_visits_each_once)
{
	struct plumb_pool *pool;
	struct tally *t = calloc(1, sizeof *t);
	t->threads = _i;
	ck_good(plumb_pool_new(&pool, _i));
	ck_assert_int_eq(plumb_pool_threads(pool), _i);
	for (int round = 0; round < 2000; round++)
		plumb_pool_run(pool, count, t, round % 7);
	plumb_pool_run(pool, count, t, 10000);
	for (int i = 0; i < 10000; i++) {
		int small = 0;
		for (int round = 0; round < 2000; round++)
			small += i < round % 7;
		ck_assert_int_eq(t->hits[i], small + 1);
	}
	ck_assert(!t->wrong_thread);
	plumb_pool_free(pool);
	free(t);
}
END_TEST

/* --- control groups, in a tree like /proc and /sys --- */

static void put_file(const char *root, const char *path, const char *text)
{
	char whole[512], *slash;
	ck_assert_int_lt(snprintf(whole, sizeof whole, "%s/%s", root, path), (int)sizeof whole);
	for (slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = 0;
		mkdir(whole, 0700);
	}
	FILE *f = fopen(whole, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static const struct {
	const char *files[4][2];
	int cpus;
} groups[] = {
	{ { { NULL } }, 256 }, /* no control groups */
	{ { { "proc/self/cgroup", "0::/\n" } }, 256 },
	{ { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "200000 100000\n" } }, 2 },
	{ { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "150000 100000\n" } },
		2 }, /* a begun one counts */
	{ { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "max 100000\n" } }, 256 },
	{ { { "proc/self/cgroup", "0::/a/b\n" }, { "sys/fs/cgroup/a/b/cpu.max", "max 100000\n" },
		  { "sys/fs/cgroup/a/cpu.max", "300000 100000\n" } },
		3 },
	{ { { "proc/self/cgroup", "0::/not/here\n" }, { "sys/fs/cgroup/cpu.max", "100000 100000\n" } }, 1 },
	{ { { "proc/self/cgroup", "2:memory:/\n4:cpuacct,cpu:/x\n" },
		  { "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "400000\n" },
		  { "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n" } },
		4 },
	{ { { "proc/self/cgroup", "4:cpu:/\n" }, { "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n" },
		  { "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" } },
		256 },
	{ { { "proc/self/cgroup", "4:cpuset:/\nnonsense\n" },
		  { "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n" },
		  { "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" } },
		256 },
	{ { { "proc/self/cgroup", "0::/\n" }, { "sys/fs/cgroup/cpu.max", "100 0\n" } }, 256 },
};

START_TEST(cpus_of_control_groups)
{
	char root[] = "/tmp/plumb-groups.XXXXXX", command[64];
	ck_assert_ptr_nonnull(mkdtemp(root));
	for (int i = 0; i < 4 && groups[_i].files[i][0]; i++)
		put_file(root, groups[_i].files[i][0], groups[_i].files[i][1]);
	int cpus = plumb_cpus_of_groups(root);
	snprintf(command, sizeof command, "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(cpus, groups[_i].cpus);
	ck_assert_int_ge(plumb_cpus_allowed(), 1);
}
END_TEST

#define LOOP(name, table) tcase_add_loop_test(tc, name, 0, (int)(sizeof(table) / sizeof *(table)))

TCase *core_threads_case(void)
{
	TCase *tc = tcase_create("threads");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, pool_visits_each_once, 1, 5);
	LOOP(cpus_of_control_groups, groups);
	return tc;
}
