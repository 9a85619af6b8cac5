/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of OpenCL call fails at its calls, one after another, in a small model's prompt and decoding:
 * the numbers are right or there is an error, never other numbers, a crash, a hang or something left. Run by
 * tests/check_inject_cl.sh, which makes libOpenCL.so.1 the library of tests/inject/opencl.c.
 *
 * A point is a call of a function in a scenario, with a code. They are taken in rounds: each function of each
 * scenario fails in each round, in another call than before, those first where numbers may be half made. The
 * first round is made whatever the time. usage: inject_cl MODEL ROUNDS [SECONDS [FUNCTION]]: 0 rounds: all
 * points; 0 seconds: no limit; FUNCTION alone */
#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <plumb/plumb.h>
#include "core/core.h"
#include "inject/opencl.h"

enum { PROMPT = 6, STEPS = 2, HANG = 120 /* seconds of a point */, CODES = 8, MOST_PAIRS = 512 };
#define LIMIT \
	1e-3 /* relative to the undisturbed run; drivers differ by 1e-5, a residual added twice by 1e-1 */

static __typeof__(inject_arm) *arm;
static __typeof__(inject_name) *name_of;
static __typeof__(inject_calls) *calls_of;
static __typeof__(inject_hits) *hits_of;
static __typeof__(inject_live) *live_of;

/* Variables of a scenario; what is not named is unset. libs: the folder of kernels and of what was tuned,
 * empty at each run for "new". */
static const struct scenario {
	const char *name, *driver, *class, *max_alloc, *profile, *canary, *libs;
} scenarios[] = {
	{ .name = "cl and native, kernels for CPUs", .driver = "cl,native", .class = "cpu" },
	{ .name = "cl and native, kernels for GPUs, weights in several buffers",
		.driver = "cl,native",
		.class = "gpu",
		.max_alloc = "9000",
		.canary = "0" },
	{ .name = "cl and native, times of kernels",
		.driver = "cl,native",
		.class = "gpu",
		.profile = "1",
		.canary = "0" },
	{ .name = "cl and native, CLBlast by the tuning file",
		.driver = "cl,native",
		.class = "cpu",
		.canary = "0",
		.libs = "tuned" },
	{ .name = "cl alone, CLBlast, weights in several buffers",
		.driver = "cl",
		.class = "cpu",
		.max_alloc = "17000",
		.canary = "0",
		.libs = "tuned" },
	{ .name = "cl and native, kernels built and tried anew",
		.driver = "cl,native",
		.class = "cpu",
		.libs = "new" },
};
enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

/* A function in a scenario: how often it is called there, points so far. */
struct pair {
	const struct scenario *s;
	const struct result *right;
	int kind;
	long calls, done;
	int codes[CODES], count;
};

struct result {
	enum plumb_status status;
	float *logits;
	int64_t n;
	int retried;
	char error[600];
};

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static void failed(struct result *r, enum plumb_status s)
{
	r->status = s;
	snprintf(r->error, sizeof r->error, "%s", plumb_last_error());
}

/* One evaluation. What failed once is asked for again: the session must be as before. */
static enum plumb_status eval(struct plumb_session *session, const int32_t *ids, int64_t n, struct result *r)
{
	enum plumb_status s = plumb_session_eval(session, ids, n, PLUMB_LOGITS_LAST);
	if (s) {
		failed(r, s);
		r->retried++;
		s = plumb_session_eval(session, ids, n, PLUMB_LOGITS_LAST);
	}
	return s;
}

static enum plumb_status run_session(struct plumb_session *session, struct result *r)
{
	int32_t ids[PROMPT] = { 1, 2, 3, 4, 5, 6 };
	int64_t vocab = plumb_model_config(plumb_session_model(session))->vocab, rows;
	const float *logits;
	r->logits = calloc((size_t)(vocab * (STEPS + 1)), sizeof *r->logits);
	enum plumb_status s = eval(session, ids, PROMPT, r);
	for (int i = 0; !s && i <= STEPS; i++) {
		if ((s = plumb_session_logits(session, &logits, &rows))) {
			failed(r, s);
			r->retried++;
			s = plumb_session_logits(session, &logits, &rows);
		}
		if (s)
			return s;
		memcpy(r->logits + i * vocab, logits, (size_t)vocab * sizeof *logits);
		r->n = (i + 1) * vocab;
		ids[0] = 7 + i; /* given, so that runs can be compared to the end */
		if (i < STEPS)
			s = eval(session, ids, 1, r);
	}
	return s;
}

static bool keep; /* what the run before left in the folder "new" */

static void set_libs(const char *which)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", getenv("PLUMB_INJECT_LIBS"), which ? which : "kept");
	set("AR_HARDWARE_LIBS", path);
	DIR *dir = which && !strcmp(which, "new") && !keep ? opendir(path) : NULL;
	for (struct dirent *e; dir && (e = readdir(dir));)
		unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
}

static struct result run(const char *model_path, const struct scenario *s, int kind, long n, int code, int on)
{
	struct result r = { .status = PLUMB_OK };
	struct plumb_context *ctx = NULL;
	struct plumb_model *model = NULL;
	struct plumb_session *session = NULL;
	set("PLUMB_CL_CLASS", s->class), set("PLUMB_CL_MAX_ALLOC", s->max_alloc),
		set("PLUMB_CL_PROFILE", s->profile), set("PLUMB_CANARY", s->canary);
	set_libs(s->libs);
	alarm(HANG);
	arm(kind, n, code, on);
	enum plumb_status status = plumb_open(
		&ctx, PLUMB_OPTIONS(.driver = s->driver, .threads = 1, .mode = "default"));
	if (!status)
		status = plumb_model_load(&model, ctx, model_path, NULL, NULL);
	if (!status)
		status = plumb_session_new(&session, model, PLUMB_SESSION_OPTIONS(.context = 32, .batch = 8));
	if (!status)
		status = run_session(session, &r);
	if (status)
		failed(&r, status);
	else
		r.status = PLUMB_OK;
	plumb_session_free(session);
	plumb_model_free(model);
	plumb_close(ctx);
	return r;
}

static double distance(const struct result *a, const struct result *b)
{
	double error = 0, size = 0;
	for (int64_t i = 0; i < a->n; i++) {
		error += ((double)a->logits[i] - b->logits[i]) * ((double)a->logits[i] - b->logits[i]);
		size += (double)b->logits[i] * b->logits[i];
	}
	return sqrt(error / size);
}

static long points, by_error, by_fallback, bad;
static char at[512]; /* the point under way */

static void ends(int signal)
{
	const char *why = signal == SIGALRM ? "a hang" : signal == SIGABRT ? "aborted" : "a crash";
	char line[sizeof at + 64];
	int n = snprintf(line, sizeof line, "not ok - %s: %s\n", at, why);
	_exit(write(1, line, (size_t)n) == n ? 1 : 99);
}

/* Whether the point was survived; says so where not. */
static void judge(const struct pair *p, const struct result *r)
{
	const struct result *right = p->right;
	const char *why = NULL;
	char text[128];
	double far = r->n ? distance(r, right) : 0;
	if (!(far <= LIMIT)) { /* also of what came before an error, and of the second try */
		snprintf(text, sizeof text, "numbers that are %.2g off, status %d", far, (int)r->status);
		why = text;
	} else if (!r->status && r->n != right->n) {
		why = "no error, and not all numbers";
	} else if (r->status && !*r->error) {
		why = "an error without a text";
	} else if (live_of()) {
		snprintf(text, sizeof text, "%ld objects of OpenCL left", live_of());
		why = text;
	} else if (!hits_of()) {
		why = "the call did not come";
	}
	points++;
	by_error += r->status || r->retried;
	by_fallback += !r->status && !r->retried;
	if (why) {
		bad++;
		printf("not ok - %s: %s (%s)\n", at, why, r->error);
	}
}

/* Codes that any call may give, and those of some. */
static int codes_of(const char *kind, int codes[CODES])
{
	static const int any[] = { -5, -6, -4, -2, -30 };
	static const struct {
		const char *kind;
		int code[3];
	} own[] = { { "clBuildProgram", { -11, -3, -43 } }, { "clCreateProgramWithBinary", { -42 } },
		{ "clCreateBuffer", { -61, -37 } }, { "clCreateKernel", { -46, -45 } },
		{ "clEnqueueNDRangeKernel", { -54, -55, -52 } }, { "clGetPlatformIDs", { -1001 } },
		{ "clGetDeviceIDs", { -1 } }, { "clWaitForEvents", { -14 } }, { "clSetKernelArg", { -38, -51 } },
		{ "clEnqueueMapBuffer", { -12 } }, { "clFinish", { -36 } }, { "clGetEventProfilingInfo", { -7 } },
		{ "CLBlastSgemm", { -2050, -2039, -1024 } } };
	int count = 0;
	for (size_t i = 0; i < sizeof any / sizeof *any; i++)
		codes[count++] = any[i];
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		for (int j = 0; j < 3 && !strcmp(own[i].kind, kind) && own[i].code[j]; j++)
			codes[count++] = own[i].code[j];
	return count;
}

static long kept_launches; /* of the first scenario, which is the one with new kernels but for these */

static long launches(void)
{
	for (int k = 0; name_of(k); k++)
		if (!strcmp(name_of(k), "clEnqueueNDRangeKernel"))
			return calls_of(k);
	return -1;
}

/* What failed once must not be remembered with the kernels: the next run has right numbers, by as many
 * launches as kept kernels need. */
static void afterwards(const char *model, const struct pair *p)
{
	keep = true;
	struct result r = run(model, p->s, -1, 0, 0, 0);
	keep = false;
	double far = r.n ? distance(&r, p->right) : INFINITY;
	if (r.status || r.retried || !(far <= LIMIT) || launches() < kept_launches) {
		printf("not ok - %s: the run after it is %.2g off, with %ld launches in place of %ld (%s)\n", at, far,
			launches(), kept_launches, r.error);
		bad++;
	}
	free(r.logits);
}

static long common(long a, long b) { return b ? common(b, a % b) : a; }

/* The next point of this function: its calls in steps of the golden section, which come evenly and each once,
 * from the first one on; when all have failed, once more with other codes. Every seventh point lasts: all
 * calls after it fail, too. */
static void point(const char *model, struct pair *p)
{
	long step = (long)(0.618 * (double)p->calls), turn = p->done++, pass = turn / p->calls, call;
	while (step < 1 || common(step, p->calls) > 1)
		step++;
	call = 1 + turn % p->calls * step % p->calls;
	int code = p->codes[(call - 1 + pass) % p->count], on = (turn + p->kind + (p->s - scenarios)) % 7 == 6;
	snprintf(at, sizeof at, "%s: call %ld%s of %s gives %d", p->s->name, call, on ? " and all after it" : "",
		name_of(p->kind), code);
	struct result r = run(model, p->s, p->kind, call, code, on);
	judge(p, &r);
	free(r.logits);
	if (p->s->libs && !strcmp(p->s->libs, "new"))
		afterwards(model, p);
}

/* The undisturbed run, twice: the first one builds kernels. */
static struct result undisturbed(const char *model, const struct scenario *s)
{
	struct result r = run(model, s, -1, 0, 0, 0);
	free(r.logits);
	r = run(model, s, -1, 0, 0, 0);
	if (r.status || live_of()) {
		printf("not ok - %s: fails by itself: %s, %ld objects left\n", s->name, r.error, live_of());
		exit(1);
	}
	return r;
}

/* Points in a round: many where a launch may have left numbers half made. */
static int share(const char *kind)
{
	static const struct {
		const char *kind;
		int share;
	} first[] = { { "clEnqueueNDRangeKernel", 6 }, { "clGetEventProfilingInfo", 6 }, { "clWaitForEvents", 6 },
		{ "CLBlastSgemm", 3 }, { "clFinish", 2 }, { "clSetKernelArg", 2 } };
	for (size_t i = 0; i < sizeof first / sizeof *first; i++)
		if (!strcmp(kind, first[i].kind))
			return first[i].share;
	return 1;
}

static bool more(const struct pair *p, long rounds)
{
	return p->done < p->calls * p->count && (!rounds || p->done < rounds * share(name_of(p->kind)));
}

/* Rounds: those of a larger share first, then by scenario. */
static void inject(const char *model, struct pair *pairs, int count, long rounds, double end)
{
	bool left = true;
	for (long round = 0; left && (!round || plumb_seconds() < end); round++) {
		left = false;
		for (int wanted = 6; wanted; wanted--)
			for (int i = 0; i < count; i++)
				for (int k = 0; share(name_of(pairs[i].kind)) == wanted && k < wanted &&
					 more(&pairs[i], rounds) && (!round || plumb_seconds() < end);
					 k++)
					point(model, &pairs[i]), left = true;
	}
}

/* What failed once must not be remembered: the run is what it was at first, call by call. */
static void as_before(const char *model, const struct pair *pairs, int count, const struct scenario *s)
{
	struct result r = run(model, s, -1, 0, 0, 0);
	for (int i = 0; i < count; i++)
		if (pairs[i].s == s && (r.status || calls_of(pairs[i].kind) != pairs[i].calls)) {
			printf("not ok - %s: after all failures %ld calls of %s, at first %ld (%s)\n", s->name,
				calls_of(pairs[i].kind), name_of(pairs[i].kind), pairs[i].calls, r.error);
			bad++;
		}
	free(r.logits);
}

/* What was reached. */
static void table(const struct pair *pairs, int count)
{
	for (int k = 0; name_of(k); k++) {
		long calls = 0, tried = 0, all = 0, done = 0;
		for (int i = 0; i < count; i++)
			if (pairs[i].kind == k) {
				calls += pairs[i].calls, done += pairs[i].done, all += pairs[i].calls * pairs[i].count;
				tried += pairs[i].done < pairs[i].calls ? pairs[i].done : pairs[i].calls;
			}
		if (calls)
			printf("# %s: %ld of %ld calls failed, %ld of %ld times with each code\n", name_of(k), tried,
				calls, done, all);
		else
			printf("# %s: not called by a run without failures\n", name_of(k));
	}
}

int main(int argc, char **argv)
{
	void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
	*(void **)&arm = library ? dlsym(library, "inject_arm") : NULL;
	if (!arm || argc < 3 || !getenv("PLUMB_INJECT_LIBS")) {
		printf("SKIP: libOpenCL.so.1 is not that of tests/inject/opencl.c, or no model\n");
		return 77;
	}
	*(void **)&name_of = dlsym(library, "inject_name"), *(void **)&calls_of = dlsym(library, "inject_calls");
	*(void **)&hits_of = dlsym(library, "inject_hits"), *(void **)&live_of = dlsym(library, "inject_live");
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const int *signals = (const int[]){ SIGALRM, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, 0 }; *signals;
		 signals++)
		signal(*signals, ends);
	static struct pair pairs[MOST_PAIRS];
	static struct result right[SCENARIOS];
	int count = 0;
	for (int i = 0; i < SCENARIOS; i++) {
		right[i] = undisturbed(argv[1], &scenarios[i]);
		kept_launches = i ? kept_launches : launches();
		for (int k = 0; name_of(k) && count < MOST_PAIRS; k++)
			if (calls_of(k) && (argc < 5 || !strcmp(argv[4], name_of(k)))) {
				pairs[count] = (struct pair){
					.s = &scenarios[i], .right = &right[i], .kind = k, .calls = calls_of(k)
				};
				pairs[count].count = codes_of(name_of(k), pairs[count].codes), count++;
			}
	}
	inject(argv[1], pairs, count, atol(argv[2]),
		argc > 3 && atol(argv[3]) ? plumb_seconds() + (double)atol(argv[3]) : INFINITY);
	for (int i = 0; i < SCENARIOS; i++) {
		as_before(argv[1], pairs, count, &scenarios[i]);
		free(right[i].logits);
	}
	table(pairs, count);
	printf(
		"%ld points failed: %ld ended in an error, %ld in the right numbers by another way; %ld were not survived\n",
		points, by_error, by_fallback, bad);
	return bad ? 1 : 0;
}
