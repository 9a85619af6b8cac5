/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring the variants of a matmul on the device of a context. What is done with the result is in choice.c.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cl/tune/tune.h"
#include "core/random.h"

/* A row of the file holds for these rows of activations; measured with m. One row has one variant. */
static const struct tune_class {
	int64_t low, high, m;
} classes[] = { { 2, 7, 4 }, { 8, 31, 16 }, { 32, 127, 64 }, { 128, 0, 256 } };
#define CLASSES ((int)(sizeof classes / sizeof *classes))
#define MOST_TIMINGS 25
#define WORTH \
	0.95 /* of the fixed variant's time, in the median and in the fastest run, which a busy machine disturbs \
			least */
#define PAIRS 9    /* timings in turn with the fixed variant before another is taken; ... */
#define WINS 8     /* ... it is faster in so many: by chance 2 in 100 */
#define ENOUGH 0.1 /* seconds of each variant; short ones are timed more often */
#define HOPELESS 2 /* times the best one's time: not timed again */

static struct plumb_driver *tune_driver(struct plumb_context *ctx)
{
	for (int i = 0; i < ctx->drivers; i++)
		if (!strcmp(ctx->driver[i].cls->name, "cl"))
			return &ctx->driver[i];
	plumb_fail(PLUMB_E_UNSUPPORTED, "no cl driver is open, and the others have nothing to tune");
	return NULL;
}

struct tune_bench {
	struct plumb_driver *driver;
	struct plumb_tensor x, w, y; /* x and y with the rows of the largest class */
	float *right, *got;
};

static enum plumb_status tune_run(struct tune_bench *b, int64_t m, int variant, double *time)
{
	struct plumb_cl_state *cl = plumb_cl_state(b->driver);
	struct plumb_tensor x, y;
	PLUMB_TRY(plumb_tensor_rows(&x, &b->x, 0, m));
	PLUMB_TRY(plumb_tensor_rows(&y, &b->y, 0, m));
	double start = plumb_seconds();
	const struct plumb_call call = {
		.op = PLUMB_OP_matmul, .out = &y, .in = { &x, &b->w }, .variant = 1 + variant
	};
	enum plumb_status s = b->driver->cls->op[call.op](b->driver, &call);
	cl_int code = plumb_cl.clFinish(cl->queue);
	*time = plumb_seconds() - start;
	plumb_buffer_written(b->y.buffer, b->driver);
	return s ? s : code ? plumb_cl_fail(code, "measuring a matmul on %s", cl->device.info.name) : PLUMB_OK;
}

static enum plumb_status tune_result(struct tune_bench *b, int64_t m, float *to)
{
	struct plumb_tensor y;
	PLUMB_TRY(plumb_tensor_rows(&y, &b->y, 0, m));
	PLUMB_TRY(plumb_tensor_read(&y, to, (size_t)(m * b->y.dim[1]) * sizeof *to));
	return plumb_buffer_resident(b->y.buffer, b->driver, false);
}

static bool tune_same(const struct tune_bench *b, int64_t m)
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

static int tune_by_size(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;
	return (d > 0) - (d < 0);
}

static bool tune_usable(const struct plumb_tune_result *r) { return r->timings > 0 && !r->wrong; }

static int tune_best(const struct plumb_tune_row *row)
{
	int best = -1;
	for (int i = 0; i < PLUMB_CL_VARIANTS; i++)
		if (tune_usable(&row->variant[i]) &&
			(best < 0 || row->variant[i].seconds < row->variant[best].seconds))
			best = i;
	return best;
}

/* fastest: the fastest run of each variant that was timed to the end. */
static void tune_choose(struct plumb_tune_row *row, const bool *timed, const double *fastest)
{
	int f = row->fixed, best = f;
	if (!tune_usable(&row->variant[f])) {
		row->chosen = tune_best(row) < 0 ? f : tune_best(row);
		return;
	}
	for (int i = 0; i < PLUMB_CL_VARIANTS; i++)
		if (timed[i] && row->variant[i].seconds <= WORTH * row->variant[f].seconds &&
			fastest[i] <= WORTH * fastest[f] &&
			(best == f || row->variant[i].seconds < row->variant[best].seconds))
			best = i;
	row->chosen = best;
}

/* What a first look found faster than the fixed variant is taken if it stays so, pair by pair: on a busy
 * machine one of several variants is soon ahead by chance. */
static enum plumb_status tune_confirm(
	struct tune_bench *b, struct plumb_tune_row *row, const struct plumb_tune_options *o)
{
	int other = row->chosen, fixed = row->fixed, wins = 0;
	double time[2][PAIRS], ratio[PAIRS];
	if (other == fixed || !tune_usable(&row->variant[fixed]))
		return PLUMB_OK;
	for (int t = 0; t < PAIRS; t++) {
		if (o->cancel && o->cancel(o->cancel_user))
			return plumb_fail(PLUMB_E_CANCELLED, "tuning was cancelled; nothing is written");
		PLUMB_TRY(tune_run(b, row->m, t % 2 ? other : fixed, &time[t % 2][t]));
		PLUMB_TRY(tune_run(b, row->m, t % 2 ? fixed : other, &time[!(t % 2)][t]));
		ratio[t] = time[1][t] / time[0][t];
		wins += ratio[t] < 1;
	}
	qsort(ratio, PAIRS, sizeof *ratio, tune_by_size);
	if (wins < WINS || ratio[PAIRS / 2] > WORTH)
		row->chosen = fixed;
	for (int i = 0; i < 2; i++) {
		struct plumb_tune_result *r = &row->variant[i ? other : fixed];
		qsort(time[i], PAIRS, sizeof *time[i], tune_by_size);
		r->seconds = time[i][PAIRS / 2];
		r->timings = PAIRS;
	}
	return PLUMB_OK;
}

/* The first run of each variant builds kernels and shows that it is right, the second one tells the hopeless.
 */
static enum plumb_status tune_warm_up(struct tune_bench *b, struct plumb_tune_row *row)
{
	const struct plumb_cl_state *cl = plumb_cl_state(b->driver);
	double time;
	PLUMB_TRY(tune_run(b, row->m, PLUMB_CL_MT1, &time));
	PLUMB_TRY(tune_result(b, row->m, b->right));
	for (int i = 0; i < PLUMB_CL_VARIANTS; i++) {
		struct plumb_tune_result *r = &row->variant[i];
		if (!plumb_cl_variant_can(cl, (enum plumb_cl_variant)i))
			continue;
		enum plumb_status s = tune_run(b, row->m, i, &time);
		if (!s)
			s = tune_result(b, row->m, b->got);
		r->wrong = s || !tune_same(b, row->m);
		if (!r->wrong && !tune_run(b, row->m, i, &r->seconds))
			r->timings = 1;
	}
	return PLUMB_OK;
}

static enum plumb_status tune_measure(
	struct tune_bench *b, struct plumb_tune_row *row, const struct plumb_tune_options *o)
{
	double time[PLUMB_CL_VARIANTS][MOST_TIMINGS], fastest[PLUMB_CL_VARIANTS] = { 0 };
	int count = o->timings ? o->timings : 5;
	bool again[PLUMB_CL_VARIANTS];
	PLUMB_TRY(tune_warm_up(b, row));
	int best = tune_best(row);
	for (int i = 0; i < PLUMB_CL_VARIANTS; i++)
		again[i] = tune_usable(&row->variant[i]) &&
			(i == row->fixed || row->variant[i].seconds < HOPELESS * row->variant[best].seconds);
	if (best >= 0 && ENOUGH / row->variant[best].seconds > count)
		count = ENOUGH / row->variant[best].seconds < MOST_TIMINGS
			? (int)(ENOUGH / row->variant[best].seconds)
			: MOST_TIMINGS;
	/* Turn by turn, so that a machine that slows down slows all of them. */
	for (int t = 0; t < count; t++)
		for (int i = 0; i < PLUMB_CL_VARIANTS; i++)
			if (again[i]) {
				if (o->cancel && o->cancel(o->cancel_user))
					return plumb_fail(PLUMB_E_CANCELLED, "tuning was cancelled; nothing is written");
				PLUMB_TRY(tune_run(b, row->m, i, &time[i][t]));
			}
	for (int i = 0; i < PLUMB_CL_VARIANTS; i++)
		if (again[i]) {
			qsort(time[i], (size_t)count, sizeof time[i][0], tune_by_size);
			row->variant[i].seconds = time[i][count / 2];
			row->variant[i].timings = count;
			fastest[i] = time[i][0];
		}
	tune_choose(row, again, fastest);
	return tune_confirm(b, row, o);
}

/* --- one shape --- */

static void tune_close(struct tune_bench *b)
{
	plumb_tensor_free(&b->x);
	plumb_tensor_free(&b->w);
	plumb_tensor_free(&b->y);
	free(b->right);
	free(b->got);
}

static enum plumb_status tune_open(struct tune_bench *b, const struct plumb_tune_shape *s)
{
	struct plumb_context *ctx = b->driver->ctx;
	int64_t m = classes[CLASSES - 1].m;
	size_t bytes;
	uint64_t seed = 9707;
	if (!plumb_type_is_weight(s->type) || s->n < 1 || s->k < 1 || s->n > INT32_MAX || s->k > INT32_MAX ||
		!plumb_type_size(s->type, s->n * s->k, &bytes) || !s->data)
		return plumb_fail(PLUMB_E_ARGUMENT, "a shape to tune for that is no weight");
	PLUMB_TRY(plumb_tensor_wrap(ctx, &b->w, s->type, 2, (int64_t[]){ s->n, s->k }, s->data, bytes));
	PLUMB_TRY(plumb_tensor_new(ctx, &b->x, PLUMB_F32, 2, (int64_t[]){ m, s->k }));
	PLUMB_TRY(plumb_tensor_new(ctx, &b->y, PLUMB_F32, 2, (int64_t[]){ m, s->n }));
	b->right = malloc((size_t)(m * s->n) * sizeof *b->right);
	b->got = malloc((size_t)(m * s->n) * sizeof *b->got);
	float *x = malloc((size_t)(m * s->k) * sizeof *x);
	for (int64_t i = 0; x && i < m * s->k; i++)
		x[i] = (float)(plumb_random(&seed) >> 40) / 0x1p23f - 1;
	enum plumb_status status = b->right && b->got && x
		? plumb_tensor_write(&b->x, x, (size_t)(m * s->k) * sizeof *x)
		: plumb_fail(PLUMB_E_MEMORY, "no memory for measuring a matmul");
	free(x);
	if (!status)
		status = plumb_buffer_resident(b->x.buffer, b->driver, true);
	return status ? status : plumb_buffer_resident(b->y.buffer, b->driver, false);
}

static enum plumb_status tune_shape(struct plumb_driver *driver, const struct plumb_tune_shape *shape,
	int class, const struct plumb_tune_options *o, struct plumb_tune_row *row)
{
	const struct tune_class *c = &classes[class];
	struct tune_bench b = { .driver = driver };
	*row = (struct plumb_tune_row){ .type = shape->type,
		.n = shape->n,
		.k = shape->k,
		.m_low = c->low,
		.m_high = c->high,
		.m = c->m,
		.fixed = (int)plumb_cl_variant_fixed(plumb_cl_state(driver), c->m) };
	enum plumb_status s = tune_open(&b, shape);
	if (!s)
		s = tune_measure(&b, row, o);
	tune_close(&b);
	return s ? plumb_fail_in(s, "tuning %s %lld x %lld", plumb_type_name(shape->type), (long long)shape->n,
				   (long long)shape->k)
			 : PLUMB_OK;
}

/* --- all --- */

/* New rows before the old ones that they do not replace; fresh has room for all. */
static int tune_join(struct plumb_tune_row *fresh, int count, const struct plumb_tune_row *old, int old_count)
{
	int all = count;
	for (int i = 0; i < old_count; i++) {
		bool replaced = false;
		for (int j = 0; j < count && !replaced; j++)
			replaced = fresh[j].type == old[i].type && fresh[j].n == old[i].n && fresh[j].k == old[i].k &&
				fresh[j].m_low == old[i].m_low;
		if (!replaced)
			fresh[all++] = old[i];
	}
	return all;
}

enum plumb_status plumb_tune(struct plumb_context *ctx, const struct plumb_tune_shape *shapes, int count,
	const struct plumb_tune_options *options)
{
	struct plumb_tune_options o;
	PLUMB_TRY(plumb_options_take("plumb_tune_options", &o, sizeof o, sizeof o, options));
	struct plumb_driver *driver = tune_driver(ctx);
	if (!driver)
		return PLUMB_E_UNSUPPORTED;
	if (count < 1 || count > 1000 || o.timings < 0 || o.timings == 1 || o.timings == 2 ||
		o.timings > MOST_TIMINGS)
		return plumb_fail(PLUMB_E_ARGUMENT,
			"tuning takes 1 to 1000 shapes and 3 to %d timings (or 0), not %d and %d", MOST_TIMINGS, count,
			o.timings);
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	plumb_cl_file_read(driver);
	struct plumb_tune_row *rows = calloc((size_t)(count * CLASSES + cl->tuning.count), sizeof *rows);
	if (!rows)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for tuning");
	enum plumb_status s = PLUMB_OK;
	for (int i = 0; !s && i < count * CLASSES; i++) {
		s = o.cancel && o.cancel(o.cancel_user)
			? plumb_fail(PLUMB_E_CANCELLED, "tuning was cancelled; nothing is written")
			: tune_shape(driver, &shapes[i / CLASSES], i % CLASSES, &o, &rows[i]);
		if (o.progress)
			o.progress(o.user, (uint64_t)i + 1, (uint64_t)count * CLASSES);
	}
	if (s) {
		free(rows);
		return s;
	}
	cl->tuning.count = tune_join(rows, count * CLASSES, cl->tuning.rows, cl->tuning.count);
	free(cl->tuning.rows);
	cl->tuning.rows = rows;
	return plumb_cl_file_write(driver);
}

enum plumb_status plumb_tune_rows(struct plumb_context *ctx, struct plumb_tune_row **rows, int *count)
{
	struct plumb_driver *driver = tune_driver(ctx);
	*rows = NULL;
	*count = 0;
	if (!driver)
		return PLUMB_E_UNSUPPORTED;
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	plumb_cl_file_read(driver);
	if (!(*rows = calloc((size_t)cl->tuning.count + 1, sizeof **rows)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the rows of a tuning file");
	if (cl->tuning.count)
		memcpy(*rows, cl->tuning.rows, (size_t)cl->tuning.count * sizeof **rows);
	*count = cl->tuning.count;
	return PLUMB_OK;
}

enum plumb_status plumb_tune_place(
	struct plumb_context *ctx, const char **device, const char **file, const char **no_clblast)
{
	struct plumb_driver *driver = tune_driver(ctx);
	*device = *file = *no_clblast = NULL;
	if (!driver)
		return PLUMB_E_UNSUPPORTED;
	plumb_cl_file_read(driver);
	*device = plumb_cl_state(driver)->device.info.name;
	*file = plumb_cl_state(driver)->tuning.file;
	*no_clblast = plumb_clblast_missing();
	return PLUMB_OK;
}
