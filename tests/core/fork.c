/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts that a child of the process has inherited: closing them must not wait for threads that are not
 * there. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core/parts.h"

#define N 4096

/* y = a + b on so many rows that all threads have work. */
static enum plumb_status add(struct plumb_context *ctx, float *sum)
{
	struct plumb_tensor a, y;
	int64_t dim[2] = { 64, N };
	static float one[64 * N];
	for (int i = 0; i < 64 * N; i++)
		one[i] = (float)(i % 7);
	enum plumb_status s = plumb_tensor_new(ctx, &a, PLUMB_F32, 2, dim);
	if (!s && !(s = plumb_tensor_new(ctx, &y, PLUMB_F32, 2, dim))) {
		s = plumb_tensor_write(&a, one, sizeof one);
		if (!s)
			s = plumb_add(ctx, &y, &a, &a);
		if (!s)
			s = plumb_tensor_read(&y, one, sizeof one);
		*sum = 0;
		for (int i = 0; !s && i < 64 * N; i++)
			*sum += one[i];
		plumb_tensor_free(&y);
	}
	plumb_tensor_free(&a);
	return s;
}

/* Exit status of a child that runs fn; a child that hangs is killed by its alarm. */
static int in_child(int (*fn)(struct plumb_context *), struct plumb_context *ctx)
{
	int status;
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		signal(SIGALRM, SIG_DFL);
		alarm(20);
		_exit(fn(ctx));
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status), "the child was ended by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static int close_it(struct plumb_context *ctx)
{
	plumb_close(ctx);
	return 7;
}

static float expected;

static int use_it(struct plumb_context *ctx)
{
	float sum;
	int good = !add(ctx, &sum) && sum == expected;
	plumb_close(ctx);
	return good ? 8 : 1;
}

static int open_another(struct plumb_context *ctx)
{
	float sum;
	struct plumb_context *own;
	plumb_close(ctx);
	int good = !plumb_open(&own, PLUMB_OPTIONS(.driver = "native", .threads = 3)) && !add(own, &sum) &&
		sum == expected;
	plumb_close(own);
	return good ? 9 : 1;
}

static int close_in_grandchild(struct plumb_context *ctx) { return in_child(close_it, ctx); }

START_TEST(a_child_closes_and_uses_a_context)
{
	static int (*const fn[])(
		struct plumb_context *) = { close_it, use_it, close_in_grandchild, open_another };
	static const int code[] = { 7, 8, 7, 9 };
	struct plumb_context *ctx;
	float sum;
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .threads = 4)));
	ck_good(add(ctx, &expected));
	ck_assert_float_gt(expected, 64 * N);
	ck_assert_int_eq(in_child(fn[_i], ctx), code[_i]);
	ck_good(add(ctx, &sum)); /* the parent's threads are still there */
	ck_assert_float_eq(sum, expected);
	plumb_close(ctx);
}
END_TEST

TCase *core_fork_case(void)
{
	TCase *tc = tcase_create("fork");
	int cases = 4;
	tcase_set_timeout(tc, 60);
#ifdef __SANITIZE_THREAD__
	printf("SKIP: threads in a child of a process with threads: ThreadSanitizer ends there\n");
	fflush(stdout);
	cases = 3;
#endif
	tcase_add_loop_test(tc, a_child_closes_and_uses_a_context, 0, cases);
	return tc;
}
