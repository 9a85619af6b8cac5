/* SPDX-License-Identifier: Apache-2.0 */
/* Weights that are nothing but zeros. A download that reserved the whole file and was interrupted leaves zeros where data
 * should follow: such a file has the right size and a good header. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "format/format.h"
#include "model/model.h"

enum { GLANCE = 64, NAMED = 4 };
/* The zeros at the end of a whole file's last matrix, as a share of it: rows of padding tokens may be zero, most rows are not. */
#define MOST_TAIL 0.125

static bool is_zero(const unsigned char *p, size_t n)
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
		if (!is_zero(p + rest - take, take)) {
			while (p[t->bytes - n - 1] == 0)
				n++;
			break;
		}
		step = take;
	}
	return n;
}

static int by_address(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t)(*(const struct plumb_file_tensor *const *)a)->data;
	const uintptr_t y = (uintptr_t)(*(const struct plumb_file_tensor *const *)b)->data;
	return (x > y) - (x < y);
}

static bool is_matrix(const struct plumb_file_tensor *t) { return t->rank > 1; }

/* The data ends in zeros: since where? order: tensors by address. NULL: it does not. */
static const struct plumb_file_tensor *lost_since(const struct plumb_file_tensor *const *order, int64_t n, size_t *good)
{
	const struct plumb_file_tensor *first = NULL;
	for (int64_t i = n; i-- > 0;) {
		size_t zeros = zeros_at_end(order[i]);
		if (is_matrix(order[i]) && (double)zeros > MOST_TAIL * (double)order[i]->bytes) {
			first = order[i];
			*good = order[i]->bytes - zeros;
		}
		if (zeros < order[i]->bytes)
			break;
	}
	return first;
}

/* Matrices of zeros elsewhere are odd but may be meant: they are named. */
static void name_zeros(struct plumb_context *ctx, const struct plumb_file_tensor *const *order, int64_t n, const char *path)
{
	char names[NAMED * PLUMB_QUOTE + 64] = "", quote[PLUMB_QUOTE];
	int64_t found = 0;
	for (int64_t i = 0; i < n; i++) {
		if (!is_matrix(order[i]) || zeros_at_end(order[i]) < order[i]->bytes)
			continue;
		size_t used = strlen(names);
		if (found++ < NAMED)
			snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", plumb_quote(order[i]->name, quote));
	}
	if (found)
		plumb_notice(ctx, "%s: %lld weight matri%s all zero: %s%s", path, (long long)found, found == 1 ? "x is" : "ces are", names,
			found > NAMED ? " ..." : "");
}

enum plumb_status plumb_zeros_check(struct plumb_context *ctx, const struct plumb_file *file, const char *path)
{
	const int64_t n = plumb_file_tensors(file);
	const struct plumb_file_tensor **order = calloc(n > 0 ? (size_t)n : 1, sizeof *order);
	char quote[PLUMB_QUOTE];
	size_t good = 0;
	if (!order)
		return plumb_fail(PLUMB_E_MEMORY, "no memory to sort %lld tensors", (long long)n);
	for (int64_t i = 0; i < n; i++)
		order[i] = plumb_file_tensor(file, i);
	qsort(order, (size_t)n, sizeof *order, by_address);
	const struct plumb_file_tensor *lost = lost_since(order, n, &good);
	enum plumb_status s = PLUMB_OK;
	if (lost)
		s = plumb_fail(PLUMB_E_FORMAT, "nothing but zeros from byte %zu of the tensor %s to the end of the file" PLUMB_TRUNCATED, good,
			plumb_quote(lost->name, quote));
	else
		name_zeros(ctx, order, n, path);
	free(order);
	return s;
}
