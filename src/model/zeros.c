/* SPDX-License-Identifier: Apache-2.0 */
/* Weights that are nothing but zeros. A download that reserved the whole file and was interrupted leaves
 * zeros where data should follow: such a file has the right size and a good header. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "format/format.h"
#include "model/model.h"

enum { GLANCE = 64, GLANCES = 8, NAMED = 4 };
/* Zeros in a row in a matrix, as a share of it: rows of padding tokens may be zero, most rows are not.
 * GLANCES glances at equal distances meet every run that is longer by more than a glance. */
#define MOST_ZEROS 0.125

static bool zeros_is_zero(const unsigned char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && !memcmp(p, p + 1, n - 1));
}

/* How many bytes at the end are zero. Data whose last bytes are not is looked at no further. */
static size_t zeros_at_end(const struct plumb_file_tensor *t)
{
	const unsigned char *p = t->data;
	size_t n = 0;
	for (size_t step = GLANCE; n < t->bytes; n += step, step = 1 << 16) {
		size_t rest = t->bytes - n, take = rest < step ? rest : step;
		if (!zeros_is_zero(p + rest - take, take)) {
			while (p[t->bytes - n - 1] == 0)
				n++;
			break;
		}
		step = take;
	}
	return n;
}

static int zeros_by_address(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t)(*(const struct plumb_file_tensor *const *)a)->data;
	const uintptr_t y = (uintptr_t)(*(const struct plumb_file_tensor *const *)b)->data;
	return (x > y) - (x < y);
}

static bool zeros_is_matrix(const struct plumb_file_tensor *t) { return t->rank > 1; }

/* A vector that no model has all zero: a norm's weights. Biases of zeros are common. */
static bool zeros_is_norm(const struct plumb_file_tensor *t)
{
	static const char end[] = "norm.weight";
	const size_t n = sizeof end - 1;
	return t->rank == 1 && t->name.n >= n && !memcmp(t->name.p + t->name.n - n, end, n);
}

/* More zeros at its end, or in a row, than a tensor has for a reason. */
static bool zeros_is_too_many(const struct plumb_file_tensor *t, size_t zeros)
{
	return zeros_is_matrix(t) ? (double)zeros > MOST_ZEROS * (double)t->bytes
							  : zeros_is_norm(t) && zeros == t->bytes;
}

/* Whether a tensor's data are in this part of a split model (or in the file, where it is whole). */
static bool zeros_is_in(const struct plumb_file *part, const struct plumb_file_tensor *t)
{
	const uintptr_t base = (uintptr_t)part->base, p = (uintptr_t)t->data;
	return p >= base && p - base < part->size;
}

/* The data of a part end in zeros: since where? order: all tensors by address. NULL: they do not. */
static const struct plumb_file_tensor *zeros_lost_since(
	const struct plumb_file *part, const struct plumb_file_tensor *const *order, int64_t n, size_t *good)
{
	const struct plumb_file_tensor *first = NULL;
	for (int64_t i = n; i-- > 0;) {
		if (!zeros_is_in(part, order[i]))
			continue;
		size_t zeros = zeros_at_end(order[i]);
		if (zeros_is_too_many(order[i], zeros)) {
			first = order[i];
			*good = order[i]->bytes - zeros;
		}
		if (zeros < order[i]->bytes)
			break;
	}
	return first;
}

/* The zeros around byte `at`: from *from, how many. */
static size_t zeros_around(const struct plumb_file_tensor *t, size_t at, size_t *from)
{
	const unsigned char *p = t->data;
	size_t end = at, step = 1 << 16;
	while (t->bytes - end >= step && zeros_is_zero(p + end, step))
		end += step;
	while (end < t->bytes && p[end] == 0)
		end++;
	while (at >= step && zeros_is_zero(p + at - step, step))
		at -= step;
	while (at > 0 && p[at - 1] == 0)
		at--;
	*from = at;
	return end - at;
}

/* More zeros in a row than a tensor has for a reason: where, how many; 0: none. */
static size_t zeros_inside(const struct plumb_file_tensor *t, size_t *from)
{
	for (size_t i = 0; (zeros_is_matrix(t) || zeros_is_norm(t)) && i < GLANCES; i++) {
		const size_t at = t->bytes / GLANCES * i + t->bytes / GLANCES / 2, rest = t->bytes - at;
		if (!zeros_is_zero((const unsigned char *)t->data + at, rest < GLANCE ? rest : GLANCE))
			continue;
		const size_t zeros = zeros_around(t, at, from);
		if (zeros_is_too_many(t, zeros))
			return zeros;
	}
	return 0;
}

/* Tensors of zeros elsewhere are odd but may be meant: they are named, where zero in part with the bytes. */
static void zeros_name(
	struct plumb_context *ctx, const struct plumb_file_tensor *const *order, int64_t n, const char *path)
{
	char names[2][NAMED * (PLUMB_QUOTE + 64)] = { "", "" }, quote[PLUMB_QUOTE];
	long long found[2] = { 0, 0 };
	for (int64_t i = 0; i < n; i++) {
		size_t from, zeros = zeros_inside(order[i], &from);
		if (!zeros)
			continue;
		const bool partly = zeros < order[i]->bytes;
		char *list = names[partly];
		size_t used = strlen(list);
		if (found[partly]++ >= NAMED)
			continue;
		plumb_quote(order[i]->name, quote);
		used += (size_t)snprintf(list + used, sizeof names[0] - used, "%s%s", used ? ", " : "", quote);
		if (partly)
			snprintf(list + used, sizeof names[0] - used, " from byte %zu to %zu of %zu", from, from + zeros,
				order[i]->bytes);
	}
	if (found[0])
		plumb_notice(ctx, "%s: %lld weight%s all zero: %s%s", path, found[0], found[0] == 1 ? " is" : "s are",
			names[0], found[0] > NAMED ? " ..." : "");
	if (found[1])
		plumb_notice(ctx, "%s: %lld weight%s zero in part, as after an interrupted download: %s%s", path,
			found[1], found[1] == 1 ? " is" : "s are", names[1], found[1] > NAMED ? " ..." : "");
}

static enum plumb_status zeros_fail_lost(
	const struct plumb_file_tensor *lost, size_t good, int64_t part, int64_t parts)
{
	char quote[PLUMB_QUOTE], end[64] = "the file";
	if (parts > 1)
		snprintf(end, sizeof end, "part %lld of %lld", (long long)part, (long long)parts);
	return plumb_fail(PLUMB_E_FORMAT,
		"nothing but zeros from byte %zu of the tensor %s to the end of %s" PLUMB_TRUNCATED, good,
		plumb_quote(lost->name, quote), end);
}

enum plumb_status plumb_zeros_check(
	struct plumb_context *ctx, const struct plumb_file *file, const char *path)
{
	const int64_t n = plumb_file_tensors(file);
	const struct plumb_file_tensor **order = calloc(n > 0 ? (size_t)n : 1, sizeof *order);
	enum plumb_status s = PLUMB_OK;
	if (!order)
		return plumb_fail(PLUMB_E_MEMORY, "no memory to sort %lld tensors", (long long)n);
	for (int64_t i = 0; i < n; i++)
		order[i] = plumb_file_tensor(file, i);
	qsort(order, (size_t)n, sizeof *order, zeros_by_address);
	for (int64_t i = -1; i < file->shards && !s; i++) {
		size_t good;
		const struct plumb_file_tensor *lost = zeros_lost_since(
			i < 0 ? file : file->shard[i], order, n, &good);
		if (lost)
			s = zeros_fail_lost(lost, good, i + 2, file->shards + 1);
	}
	if (!s)
		zeros_name(ctx, order, n, path);
	free(order);
	return s;
}
