/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring the ways of a matmul on the device of a context. What is done with the result is in choice.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "cl/cl.h"
#include "core/classes.h"

/* A row of the file holds for these rows of activations; measured with m. One row has one way. */
static const struct class { int64_t low, high, m; } classes[] = { { 2, 7, 4 }, { 8, 31, 16 }, { 32, 127, 64 }, { 128, 0, 256 } };
#define CLASSES ((int)(sizeof classes / sizeof *classes))
#define MOST_TIMINGS 25
#define WORTH 0.95 /* of the fixed way's time, in the median and in the fastest run, which a busy machine disturbs least */
#define PAIRS 9    /* timings in turn with the fixed way before another is taken; ... */
#define WINS 8     /* ... it is faster in so many: by chance 2 in 100 */
#define ENOUGH 0.1 /* seconds of each way; short ones are timed more often */
#define HOPELESS 2 /* times the best one's time: not timed again */


static struct plumb_driver *cl_driver(struct plumb_context *ctx)
{
	for (int i = 0; i < ctx->drivers; i++)
		if (ctx->driver[i].cls == &plumb_cl_class)
			return &ctx->driver[i];
	plumb_fail(PLUMB_E_UNSUPPORTED, "no cl driver is open, and the others have nothing to tune");
	return NULL;
}

struct bench {
	struct plumb_driver *driver;
	struct plumb_tensor x, w, y; /* x and y with the rows of the largest class */
	float *right, *got;
};

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum plumb_status run(struct bench *b, int64_t m, int way, double *time)
{
	struct plumb_cl_state *cl = plumb_cl_state(b->driver);
	struct plumb_tensor x, y;
	PLUMB_TRY(plumb_tensor_rows(&x, &b->x, 0, m));
	PLUMB_TRY(plumb_tensor_rows(&y, &b->y, 0, m));
	double start = seconds();
	cl->only = way;
	enum plumb_status s = plumb_cl_matmul(b->driver, &(struct plumb_call){ PLUMB_OP_matmul, &y, { &x, &b->w, NULL }, { 0 } });
	cl->only = -1;
	cl_int code = plumb_cl.clFinish(cl->queue);
	*time = seconds() - start;
	plumb_buffer_written(b->y.buffer, b->driver);
	return s ? s : code ? plumb_cl_fail(code, "measuring a matmul on %s", cl->device.info.name) : PLUMB_OK;
}

static enum plumb_status result(struct bench *b, int64_t m, float *to)
{
	struct plumb_tensor y;
	PLUMB_TRY(plumb_tensor_rows(&y, &b->y, 0, m));
	PLUMB_TRY(plumb_tensor_read(&y, to, (size_t)(m * b->y.dim[1]) * sizeof *to));
	return plumb_buffer_resident(b->y.buffer, b->driver, false);
}

static bool same(const struct bench *b, int64_t m)
{
	double error = 0, size = 0;
	for (int64_t i = 0; i < m * b->y.dim[1]; i++) {
		double d = (double)b->got[i] - (double)b->right[i];
		error += d * d;
		size += (double)b->right[i] * (double)b->right[i];
	}
	/* Each may be one tolerance of the operator from the truth. */
	return error <= size * pow(2 * (2 + sqrt((double)b->w.dim[1])) * 0x1p-24, 2);
}

static int by_size(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;
	return (d > 0) - (d < 0);
}

static bool usable(const struct plumb_tune_result *r) { return r->timings > 0 && !r->wrong; }

static int best_of(const struct plumb_tune_row *row)
{
	int best = -1;
	for (int i = 0; i < PLUMB_CL_WAYS; i++)
		if (usable(&row->way[i]) && (best < 0 || row->way[i].seconds < row->way[best].seconds))
			best = i;
	return best;
}

/* fastest: run of each way that was timed to the end. */
static void choose(struct plumb_tune_row *row, const bool *timed, const double *fastest)
{
	int f = row->fixed, best = f;
	if (!usable(&row->way[f])) {
		row->chosen = best_of(row) < 0 ? f : best_of(row);
		return;
	}
	for (int i = 0; i < PLUMB_CL_WAYS; i++)
		if (timed[i] && row->way[i].seconds <= WORTH * row->way[f].seconds && fastest[i] <= WORTH * fastest[f] &&
			(best == f || row->way[i].seconds < row->way[best].seconds))
			best = i;
	row->chosen = best;
}

/* What a glance found faster than the fixed way is taken when it stays so, pair by pair: on a busy machine one of several ways
 * is soon ahead by chance. */
static enum plumb_status confirm(struct bench *b, struct plumb_tune_row *row, const struct plumb_tune_options *o)
{
	int way = row->chosen, fixed = row->fixed, wins = 0;
	double time[2][PAIRS], ratio[PAIRS];
	if (way == fixed || !usable(&row->way[fixed]))
		return PLUMB_OK;
	for (int t = 0; t < PAIRS; t++) {
		if (o->cancel && o->cancel(o->cancel_user))
			return plumb_fail(PLUMB_E_CANCELLED, "tuning was cancelled; nothing is written");
		PLUMB_TRY(run(b, row->m, t % 2 ? way : fixed, &time[t % 2][t]));
		PLUMB_TRY(run(b, row->m, t % 2 ? fixed : way, &time[!(t % 2)][t]));
		ratio[t] = time[1][t] / time[0][t];
		wins += ratio[t] < 1;
	}
	qsort(ratio, PAIRS, sizeof *ratio, by_size);
	if (wins < WINS || ratio[PAIRS / 2] > WORTH)
		row->chosen = fixed;
	for (int i = 0; i < 2; i++) {
		struct plumb_tune_result *r = &row->way[i ? way : fixed];
		qsort(time[i], PAIRS, sizeof *time[i], by_size);
		r->seconds = time[i][PAIRS / 2];
		r->timings = PAIRS;
	}
	return PLUMB_OK;
}

/* The first run of each way builds kernels and shows that it is right, the second one tells the hopeless. */
static enum plumb_status warm_up(struct bench *b, struct plumb_tune_row *row)
{
	const struct plumb_cl_state *cl = plumb_cl_state(b->driver);
	double time;
	PLUMB_TRY(run(b, row->m, PLUMB_CL_MT1, &time));
	PLUMB_TRY(result(b, row->m, b->right));
	for (int i = 0; i < PLUMB_CL_WAYS; i++) {
		struct plumb_tune_result *r = &row->way[i];
		if (!plumb_cl_way_can(cl, (enum plumb_cl_way)i))
			continue;
		enum plumb_status s = run(b, row->m, i, &time);
		if (!s)
			s = result(b, row->m, b->got);
		r->wrong = s || !same(b, row->m);
		if (!r->wrong && !run(b, row->m, i, &r->seconds))
			r->timings = 1;
	}
	return PLUMB_OK;
}

static enum plumb_status measure(struct bench *b, struct plumb_tune_row *row, const struct plumb_tune_options *o)
{
	double time[PLUMB_CL_WAYS][MOST_TIMINGS], fastest[PLUMB_CL_WAYS] = { 0 };
	int count = o->timings ? o->timings : 5;
	bool again[PLUMB_CL_WAYS];
	PLUMB_TRY(warm_up(b, row));
	int best = best_of(row);
	for (int i = 0; i < PLUMB_CL_WAYS; i++)
		again[i] = usable(&row->way[i]) && (i == row->fixed || row->way[i].seconds < HOPELESS * row->way[best].seconds);
	if (best >= 0 && ENOUGH / row->way[best].seconds > count)
		count = ENOUGH / row->way[best].seconds < MOST_TIMINGS ? (int)(ENOUGH / row->way[best].seconds) : MOST_TIMINGS;
	/* Turn by turn, so that a machine that slows down slows all of them. */
	for (int t = 0; t < count; t++)
		for (int i = 0; i < PLUMB_CL_WAYS; i++)
			if (again[i]) {
				if (o->cancel && o->cancel(o->cancel_user))
					return plumb_fail(PLUMB_E_CANCELLED, "tuning was cancelled; nothing is written");
				PLUMB_TRY(run(b, row->m, i, &time[i][t]));
			}
	for (int i = 0; i < PLUMB_CL_WAYS; i++)
		if (again[i]) {
			qsort(time[i], (size_t)count, sizeof time[i][0], by_size);
			row->way[i].seconds = time[i][count / 2];
			row->way[i].timings = count;
			fastest[i] = time[i][0];
		}
	choose(row, again, fastest);
	return confirm(b, row, o);
}

/* --- one shape --- */

static void close_bench(struct bench *b)
{
	plumb_tensor_free(&b->x);
	plumb_tensor_free(&b->w);
	plumb_tensor_free(&b->y);
	free(b->right);
	free(b->got);
}

static enum plumb_status open_bench(struct bench *b, const struct plumb_tune_shape *s)
{
	struct plumb_context *ctx = b->driver->ctx;
	int64_t m = classes[CLASSES - 1].m;
	size_t bytes;
	uint64_t seed = 9707;
	if (!plumb_type_is_weight(s->type) || s->n < 1 || s->k < 1 || s->n > INT32_MAX || s->k > INT32_MAX || !plumb_type_size(s->type, s->n * s->k, &bytes) || !s->data)
		return plumb_fail(PLUMB_E_ARGUMENT, "a shape to tune for that is no weight");
	PLUMB_TRY(plumb_tensor_wrap(ctx, &b->w, s->type, 2, (int64_t[]){ s->n, s->k }, s->data, bytes));
	PLUMB_TRY(plumb_tensor_new(ctx, &b->x, PLUMB_F32, 2, (int64_t[]){ m, s->k }));
	PLUMB_TRY(plumb_tensor_new(ctx, &b->y, PLUMB_F32, 2, (int64_t[]){ m, s->n }));
	b->right = malloc((size_t)(m * s->n) * sizeof *b->right);
	b->got = malloc((size_t)(m * s->n) * sizeof *b->got);
	float *x = malloc((size_t)(m * s->k) * sizeof *x);
	for (int64_t i = 0; x && i < m * s->k; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		x[i] = (float)(seed >> 40) / 0x1p23f - 1;
	}
	enum plumb_status status = b->right && b->got && x ? plumb_tensor_write(&b->x, x, (size_t)(m * s->k) * sizeof *x) :
		plumb_fail(PLUMB_E_MEMORY, "no memory for measuring a matmul");
	free(x);
	if (!status)
		status = plumb_buffer_resident(b->x.buffer, b->driver, true);
	return status ? status : plumb_buffer_resident(b->y.buffer, b->driver, false);
}

static enum plumb_status tune_shape(struct plumb_driver *driver, const struct plumb_tune_shape *shape, int class, const struct plumb_tune_options *o,
	struct plumb_tune_row *row)
{
	const struct class *c = &classes[class];
	struct bench b = { .driver = driver };
	*row = (struct plumb_tune_row){ .type = shape->type, .n = shape->n, .k = shape->k, .m_low = c->low, .m_high = c->high, .m = c->m,
		.fixed = (int)plumb_cl_way_fixed(plumb_cl_state(driver), c->m) };
	enum plumb_status s = open_bench(&b, shape);
	if (!s)
		s = measure(&b, row, o);
	close_bench(&b);
	return s ? plumb_fail_in(s, "tuning %s %lld x %lld", plumb_type_name(shape->type), (long long)shape->n, (long long)shape->k) : PLUMB_OK;
}

/* --- all --- */

/* New rows before the old ones that they do not replace; fresh has room for all. */
static int join(struct plumb_tune_row *fresh, int count, const struct plumb_tune_row *old, int old_count)
{
	int all = count;
	for (int i = 0; i < old_count; i++) {
		bool replaced = false;
		for (int j = 0; j < count && !replaced; j++)
			replaced = fresh[j].type == old[i].type && fresh[j].n == old[i].n && fresh[j].k == old[i].k && fresh[j].m_low == old[i].m_low;
		if (!replaced)
			fresh[all++] = old[i];
	}
	return all;
}

enum plumb_status plumb_tune(struct plumb_context *ctx, const struct plumb_tune_shape *shapes, int count, const struct plumb_tune_options *options)
{
	const struct plumb_tune_options o = options ? *options : (struct plumb_tune_options){ .timings = 0 };
	struct plumb_driver *driver = cl_driver(ctx);
	if (!driver)
		return PLUMB_E_UNSUPPORTED;
	if (count < 1 || count > 1000 || o.timings < 0 || o.timings == 1 || o.timings == 2 || o.timings > MOST_TIMINGS)
		return plumb_fail(PLUMB_E_ARGUMENT, "tuning takes 1 to 1000 shapes and 3 to %d timings (or 0), not %d and %d", MOST_TIMINGS, count, o.timings);
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	plumb_cl_choice_read(driver);
	struct plumb_tune_row *rows = calloc((size_t)(count * CLASSES + cl->row_count), sizeof *rows);
	if (!rows)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for tuning");
	enum plumb_status s = PLUMB_OK;
	for (int i = 0; !s && i < count * CLASSES; i++) {
		s = o.cancel && o.cancel(o.cancel_user) ? plumb_fail(PLUMB_E_CANCELLED, "tuning was cancelled; nothing is written") :
			tune_shape(driver, &shapes[i / CLASSES], i % CLASSES, &o, &rows[i]);
		if (o.progress)
			o.progress(o.user, (uint64_t)i + 1, (uint64_t)count * CLASSES);
	}
	if (s) {
		free(rows);
		return s;
	}
	cl->row_count = join(rows, count * CLASSES, cl->rows, cl->row_count);
	free(cl->rows);
	cl->rows = rows;
	return plumb_cl_choice_write(driver);
}

enum plumb_status plumb_tune_rows(struct plumb_context *ctx, struct plumb_tune_row **rows, int *count)
{
	struct plumb_driver *driver = cl_driver(ctx);
	*rows = NULL;
	*count = 0;
	if (!driver)
		return PLUMB_E_UNSUPPORTED;
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	plumb_cl_choice_read(driver);
	if (!(*rows = calloc((size_t)cl->row_count + 1, sizeof **rows)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the rows of a tuning file");
	if (cl->row_count)
		memcpy(*rows, cl->rows, (size_t)cl->row_count * sizeof **rows);
	*count = cl->row_count;
	return PLUMB_OK;
}

enum plumb_status plumb_tune_place(struct plumb_context *ctx, const char **device, const char **file, const char **no_clblast)
{
	struct plumb_driver *driver = cl_driver(ctx);
	*device = *file = *no_clblast = NULL;
	if (!driver)
		return PLUMB_E_UNSUPPORTED;
	plumb_cl_choice_read(driver);
	*device = plumb_cl_state(driver)->device.info.name;
	*file = plumb_cl_state(driver)->tune_file;
	*no_clblast = plumb_cl_clblast_missing();
	return PLUMB_OK;
}
