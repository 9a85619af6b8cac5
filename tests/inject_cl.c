/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of OpenCL call fails at every (or every so many) of its calls, in a small model's prompt and decoding: the numbers are
 * right or there is an error, never other numbers, a crash, a hang or something left. Run by tests/check_inject_cl.sh, which makes
 * libOpenCL.so.1 the library of tests/inject/opencl.c.
 * usage: inject_cl MODEL POINTS [SECONDS [FUNCTION]]: most points per function, 0: all of them, with every code; FUNCTION alone */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <plumb/plumb.h>
#include "inject/opencl.h"

enum { PROMPT = 6, STEPS = 2, HANG = 120 /* seconds of a point */ };
#define LIMIT 1e-3 /* relative to the undisturbed run; drivers differ by 1e-5, a residual added twice by 1e-1 */

static __typeof__(inject_arm) *arm;
static __typeof__(inject_name) *name_of;
static __typeof__(inject_calls) *calls_of;
static __typeof__(inject_hits) *hits_of;
static __typeof__(inject_live) *live_of;

/* Variables of a scenario; what is not named is unset. */
static const struct scenario { const char *name, *driver, *class, *max_alloc, *profile, *canary, *clblast; } scenarios[] = {
	{ .name = "cl and native, kernels for CPUs", .driver = "cl,native", .class = "cpu" },
	{ .name = "cl alone, kernels for GPUs, weights in several buffers", .driver = "cl", .class = "gpu", .max_alloc = "9000", .canary = "0" },
	{ .name = "cl and native, times of kernels", .driver = "cl,native", .class = "gpu", .profile = "1", .canary = "0" },
	{ .name = "cl and native, CLBlast by the tuning file", .driver = "cl,native", .class = "cpu", .canary = "0", .clblast = "1" },
	{ .name = "cl alone, CLBlast by the tuning file", .driver = "cl", .class = "cpu", .canary = "0", .clblast = "1" },
};

struct result { enum plumb_status status; float *logits; int64_t n; int retried; char error[600]; };

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

static struct result run(const char *model_path, const struct scenario *s, int kind, long n, int code, int on)
{
	struct result r = { .status = PLUMB_OK };
	struct plumb_context *ctx = NULL;
	struct plumb_model *model = NULL;
	struct plumb_session *session = NULL;
	set("PLUMB_CL_CLASS", s->class), set("PLUMB_CL_MAX_ALLOC", s->max_alloc), set("PLUMB_CL_PROFILE", s->profile), set("PLUMB_CANARY", s->canary);
	set("AR_HARDWARE_LIBS", getenv(s->clblast ? "PLUMB_INJECT_TUNED" : "PLUMB_INJECT_LIBS"));
	alarm(HANG);
	arm(kind, n, code, on);
	enum plumb_status status = plumb_open(&ctx, &(struct plumb_options){ .driver = s->driver, .threads = "1", .mode = "default" });
	if (!status)
		status = plumb_model_load(&model, ctx, model_path, NULL, NULL);
	if (!status)
		status = plumb_session_new(&session, model, &(struct plumb_session_options){ .context = 32, .batch = 8 });
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

/* Whether the point was survived; says so where not. */
static void judge(const struct scenario *s, const struct result *right, const struct result *r, const char *kind, long n, int code, int on)
{
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
	}
	points++;
	by_error += r->status || r->retried;
	by_fallback += !r->status && !r->retried;
	if (why) {
		bad++;
		printf("not ok - %s: call %ld%s of %s gives %d: %s (%s)\n", s->name, n, on ? " and all after it" : "", kind, code, why, r->error);
	}
}

/* Codes that any call may give, and those of some. */
static int codes_of(const char *kind, int codes[16])
{
	static const int any[] = { -5, -6, -4, -2, -30 };
	static const struct { const char *kind; int code[3]; } own[] = { { "clBuildProgram", { -11, -3, -43 } }, { "clCreateProgramWithBinary", { -42 } },
		{ "clCreateBuffer", { -61, -37 } }, { "clCreateKernel", { -46, -45 } }, { "clEnqueueNDRangeKernel", { -54, -55, -52 } },
		{ "clGetPlatformIDs", { -1001 } }, { "clGetDeviceIDs", { -1 } }, { "clWaitForEvents", { -14 } }, { "clSetKernelArg", { -38, -51 } },
		{ "clEnqueueMapBuffer", { -12 } }, { "clFinish", { -36 } }, { "clGetEventProfilingInfo", { -7 } }, { "clCreateContext", { -2 } } };
	int count = 0;
	for (size_t i = 0; i < sizeof any / sizeof *any; i++)
		codes[count++] = any[i];
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		for (int j = 0; j < 3 && !strcmp(own[i].kind, kind) && own[i].code[j]; j++)
			codes[count++] = own[i].code[j];
	return count;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Points of one function: evenly over its calls, codes in turn; every seventh lasts. */
static void inject(const char *model, const struct scenario *s, const struct result *right, int kind, long calls, long most, double end)
{
	const char *kernels[] = { "clEnqueueNDRangeKernel", "clWaitForEvents", "clGetEventProfilingInfo" }; /* where numbers may be half made */
	int codes[16], count = codes_of(name_of(kind), codes), each = most ? 1 : count;
	static int turn;
	for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
		most *= strcmp(kernels[i], name_of(kind)) ? 1 : 6;
	long some = most && most < calls ? most : calls;
	for (long i = 0; i < some && now() < end; i++)
		for (int c = 0; c < each; c++) {
			long n = some == calls ? i + 1 : 1 + i * (calls - 1) / (some - 1 ? some - 1 : 1);
			int code = codes[each > 1 ? c : turn % 2 ? turn / 2 % count : 0], on = turn % 7 == 6;
			struct result r = run(model, s, kind, n, code, on);
			turn++;
			judge(s, right, &r, name_of(kind), n, code, on);
			free(r.logits);
		}
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

int main(int argc, char **argv)
{
	void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
	*(void **)&arm = library ? dlsym(library, "inject_arm") : NULL;
	if (!arm || argc < 3) {
		printf("SKIP: libOpenCL.so.1 is not that of tests/inject/opencl.c, or no model\n");
		return 77;
	}
	*(void **)&name_of = dlsym(library, "inject_name"), *(void **)&calls_of = dlsym(library, "inject_calls");
	*(void **)&hits_of = dlsym(library, "inject_hits"), *(void **)&live_of = dlsym(library, "inject_live");
	long most = atol(argv[2]), seconds = argc > 3 ? atol(argv[3]) : 0;
	const int all = (int)(sizeof scenarios / sizeof *scenarios);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < all; i++) {
		const struct scenario *s = &scenarios[i];
		if (s->clblast && !getenv("PLUMB_INJECT_TUNED")) {
			printf("# %s: left out\n", s->name);
			continue;
		}
		long before = points, calls[64] = { 0 };
		struct result right = undisturbed(argv[1], s);
		for (int k = 0; name_of(k); k++)
			calls[k] = calls_of(k);
		double end = seconds ? now() + (double)seconds / all : INFINITY;
		for (int k = 0; name_of(k); k++)
			if (argc < 5 || !strcmp(argv[4], name_of(k)))
				inject(argv[1], s, &right, k, calls[k], most, end);
		free(right.logits);
		printf("# %s: %ld points\n", s->name, points - before);
	}
	printf("%ld points failed: %ld ended in an error, %ld in the right numbers by another way; %ld were not survived\n", points, by_error, by_fallback, bad);
	return bad ? 1 : 0;
}
