/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over all values of a tensor of any type: moments up to the fourth, largest value, what is not
 * finite. What the numbers mean is not judged here. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include "diag/measure/measure.h"

#define PIECE 4096 /* values unpacked at a time: whole blocks of every type, and they stay in the cache */
#define TASK 65536 /* values of one index of the pool, about */

/* Two sets as one (Pebay 2008). */
static void moments_merge(struct plumb_moments *a, const struct plumb_moments *b)
{
	double na = (double)a->n, nb = (double)b->n, n = na + nb, d = b->mean - a->mean;
	if (b->n) {
		a->m4 += b->m4 + d * d * d * d * na * nb * (na * na - na * nb + nb * nb) / (n * n * n) +
			6 * d * d * (na * na * b->m2 + nb * nb * a->m2) / (n * n) + 4 * d * (na * b->m3 - nb * a->m3) / n;
		a->m3 += b->m3 + d * d * d * na * nb * (na - nb) / (n * n) + 3 * d * (na * b->m2 - nb * a->m2) / n;
		a->m2 += b->m2 + d * d * na * nb / n;
		a->mean += d * nb / n;
		a->n += b->n;
	}
	a->nan += b->nan;
	a->inf += b->inf;
	a->zero_rows += b->zero_rows;
	if (a->bad < 0)
		a->bad = b->bad;
	if (b->max > a->max) {
		a->max = b->max;
		a->at = b->at;
	}
}

/* Count and take out what is not finite; *n values remain. */
static void moments_drop_bad(struct plumb_moments *m, float *v, int64_t *n, int64_t first)
{
	int64_t keep = 0;
	for (int64_t i = 0; i < *n; i++) {
		if (isfinite(v[i])) {
			v[keep++] = v[i];
			continue;
		}
		if (m->bad < 0)
			m->bad = first + i;
		*(isnan(v[i]) ? &m->nan : &m->inf) += 1;
	}
	*n = keep;
}

/* Moments of n values whose first has the index `first` in the tensor. Eight sums each, so that the compiler
 * can take vectors. */
static struct plumb_moments moments_of_piece(float *v, int64_t n, int64_t first)
{
	struct plumb_moments m = { .bad = -1, .at = first };
	double sum[8] = { 0 }, s2[8] = { 0 }, s3[8] = { 0 }, s4[8] = { 0 }, total = 0;
	float max = 0;
	for (int64_t i = 0; i < n; i++) {
		float a = fabsf(v[i]);
		if (a > max && a <= FLT_MAX) {
			max = a;
			m.at = first + i;
		}
	}
	m.max = (double)max;
	for (int64_t i = 0; i < n; i++)
		sum[i % 8] += (double)v[i];
	for (int k = 0; k < 8; k++)
		total += sum[k];
	if (!isfinite(total)) {
		moments_drop_bad(&m, v, &n, first);
		total = 0;
		for (int64_t i = 0; i < n; i++)
			total += (double)v[i];
	}
	if (!n)
		return m;
	m.n = n;
	m.mean = total / (double)n;
	int64_t whole = n / 8 * 8;
	for (int64_t i = 0; i < whole; i += 8)
		for (int k = 0; k < 8; k++) {
			double d = (double)v[i + k] - m.mean, d2 = d * d;
			s2[k] += d2;
			s3[k] += d2 * d;
			s4[k] += d2 * d2;
		}
	for (int64_t i = whole; i < n; i++) {
		double d = (double)v[i] - m.mean;
		s2[0] += d * d;
		s3[0] += d * d * d;
		s4[0] += d * d * d * d;
	}
	for (int k = 0; k < 8; k++) {
		m.m2 += s2[k];
		m.m3 += s3[k];
		m.m4 += s4[k];
	}
	return m;
}

struct pass {
	const struct plumb_file_tensor *t;
	int64_t rows, columns, step;
	struct plumb_moments *part;
};

static void moments_scan_rows(void *arg, int64_t index, int thread)
{
	struct pass *p = arg;
	struct plumb_moments *m = &p->part[index];
	int64_t block = plumb_type_block(p->t->type),
			end = (index + 1) * p->step < p->rows ? (index + 1) * p->step : p->rows;
	size_t bytes = plumb_type_bytes(p->t->type);
	float v[PIECE];
	(void)thread;
	*m = (struct plumb_moments){ .bad = -1 };
	for (int64_t row = index * p->step; row < end; row++) {
		struct plumb_moments r = { .bad = -1 };
		for (int64_t c = 0; c < p->columns; c += PIECE) {
			int64_t first = row * p->columns + c, n = p->columns - c < PIECE ? p->columns - c : PIECE;
			plumb_type_to_f32(p->t->type, (const char *)p->t->data + (size_t)(first / block) * bytes, v, n);
			struct plumb_moments one = moments_of_piece(v, n, first);
			moments_merge(&r, &one);
		}
		r.zero_rows = r.max == 0 && !r.nan && !r.inf;
		moments_merge(m, &r);
	}
}

enum plumb_status plumb_moments_of(
	struct plumb_moments *m, const struct plumb_file_tensor *t, struct plumb_pool *pool)
{
	struct pass p = { .t = t, .rows = 1, .columns = t->dim[t->rank - 1] };
	for (int i = 0; i + 1 < t->rank; i++)
		p.rows *= t->dim[i];
	p.step = p.columns < TASK ? TASK / p.columns : 1;
	int64_t tasks = (p.rows + p.step - 1) / p.step;
	*m = (struct plumb_moments){ .bad = -1 };
	if (t->type == PLUMB_I32)
		return PLUMB_OK;
	if (!(p.part = malloc(sizeof *p.part * (size_t)tasks)))
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the statistics of %.*s", (int)t->name.n, t->name.p);
	plumb_pool_run(pool, moments_scan_rows, &p, tasks);
	for (int64_t i = 0; i < tasks; i++)
		moments_merge(m, &p.part[i]);
	free(p.part);
	return PLUMB_OK;
}

double plumb_moments_std(const struct plumb_moments *m) { return m->n ? sqrt(m->m2 / (double)m->n) : NAN; }
double plumb_moments_kurtosis(const struct plumb_moments *m)
{
	return m->m2 > 0 ? m->m4 * (double)m->n / (m->m2 * m->m2) - 3 : NAN;
}

int plumb_ascending_float(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static int moments_ascending_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double plumb_median_float(float *v, int64_t n)
{
	qsort(v, (size_t)n, sizeof *v, plumb_ascending_float);
	return !n ? NAN : n % 2 ? (double)v[n / 2] : ((double)v[n / 2 - 1] + (double)v[n / 2]) / 2;
}

double plumb_median_double(double *v, int64_t n)
{
	qsort(v, (size_t)n, sizeof *v, moments_ascending_double);
	return !n ? NAN : n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

int64_t plumb_rank_float(const float *v, int64_t n, double size)
{
	int64_t rank = 1;
	for (int64_t i = 0; i < n; i++)
		rank += fabs((double)v[i]) > size;
	return rank;
}

double plumb_std_float(const float *v, int64_t n, int64_t without)
{
	double sum = 0, squares = 0, count = (double)(n - (without >= 0 && without < n));
	for (int64_t i = 0; i < n; i++) {
		double x = i == without ? 0 : (double)v[i];
		sum += x;
		squares += x * x;
	}
	return count > 0 ? sqrt(fmax(squares / count - sum / count * (sum / count), 0)) : NAN;
}

double plumb_median_abs(const float *v, int64_t n, float *room)
{
	int64_t kept = 0;
	for (int64_t i = 0; i < n; i++)
		if (isfinite(v[i]))
			room[kept++] = fabsf(v[i]);
	return plumb_median_float(room, kept);
}

double plumb_sum_squares(const float *v, int64_t n)
{
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		sum += (double)v[i] * (double)v[i];
	return sum;
}

void plumb_rms_norm(float *y, const float *v, const float *weight, int64_t n, double eps)
{
	double scale = 1 / sqrt(plumb_sum_squares(v, n) / (double)n + eps);
	for (int64_t i = 0; i < n; i++)
		y[i] = (float)((double)v[i] * scale * (double)weight[i]);
}
