/* SPDX-License-Identifier: Apache-2.0 */
/* The times of kernels, where a driver measures them (PLUMB_CL_PROFILE=1): of all that ran or of a stretch of
 * it, with the bytes that they moved beside what a plain copy moves on the same device. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

void cli_kernels_read(const struct plumb_context *ctx, struct cli_kernels *k)
{
	k->count = 0;
	while (k->count < CLI_MOST_KERNELS && plumb_kernel_row(ctx, k->count, &k->row[k->count]))
		k->count++;
}

void cli_kernels_since(struct cli_kernels *k, const struct cli_kernels *before)
{
	for (int i = 0; i < before->count; i++)
		for (int j = 0; j < k->count; j++)
			if (!strcmp(k->row[j].kernel, before->row[i].kernel) &&
				!strcmp(k->row[j].driver, before->row[i].driver)) {
				k->row[j].calls -= before->row[i].calls;
				k->row[j].seconds -= before->row[i].seconds;
				k->row[j].bytes -= before->row[i].bytes;
			}
}

struct plumb_kernel_time cli_kernels_sum(const struct cli_kernels *k, const char *prefix)
{
	struct plumb_kernel_time sum = { .kernel = prefix };
	for (int i = 0; i < k->count; i++)
		if (!strncmp(k->row[i].kernel, prefix, strlen(prefix))) {
			sum.driver = k->row[i].driver;
			sum.calls += k->row[i].calls;
			sum.seconds += k->row[i].seconds;
			sum.bytes += k->row[i].bytes;
		}
	return sum;
}

static int kernels_by_time(const void *a, const void *b)
{
	const struct plumb_kernel_time *x = a, *y = b;
	return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* A number, or "-" where it is not known. */
static void kernels_print_known(FILE *f, double value, int digits, const char *unit)
{
	if (value > 0)
		fprintf(f, " %*.*f%s", 8 - (int)strlen(unit), digits, value, unit);
	else
		fprintf(f, " %8s", "-");
}

void cli_kernels_print(FILE *f, struct cli_kernels *k, double copy)
{
	double total = cli_kernels_sum(k, "").seconds;
	if (total <= 0)
		return;
	qsort(k->row, (size_t)k->count, sizeof *k->row, kernels_by_time);
	fprintf(f, "%9s %6s %8s %9s %8s %8s  kernel (%s)\n", "ms", "share", "calls", "us each", "GB/s", "of copy",
		k->row[0].driver);
	for (int i = 0; i < k->count; i++) {
		const struct plumb_kernel_time *row = &k->row[i];
		double rate = row->seconds > 0 ? row->bytes / row->seconds : 0;
		if (!row->calls)
			continue;
		fprintf(f, "%9.2f %5.1f%% %8llu %9.1f", 1e3 * row->seconds, 100 * row->seconds / total,
			(unsigned long long)row->calls, 1e6 * row->seconds / (double)row->calls);
		kernels_print_known(f, rate / 1e9, 2, "");
		kernels_print_known(f, copy > 0 ? 100 * rate / copy : 0, 0, "%");
		fprintf(f, "  %s\n", row->kernel);
	}
}

static json_t *kernels_known(double value) { return value > 0 ? json_real(value) : json_null(); }

json_t *cli_kernels_json(const struct cli_kernels *k, double copy)
{
	json_t *rows = json_array();
	for (int i = 0; i < k->count; i++) {
		const struct plumb_kernel_time *row = &k->row[i];
		double rate = row->seconds > 0 ? row->bytes / row->seconds : 0;
		if (row->calls)
			json_array_append_new(rows,
				json_pack("{s:s, s:o, s:I, s:f, s:o, s:o, s:o}", "driver", row->driver, "kernel",
					cli_json_text(row->kernel), "calls", (json_int_t)row->calls, "seconds", row->seconds,
					"bytes", kernels_known(row->bytes), "bytes_per_second", kernels_known(rate),
					"share_of_copy", kernels_known(copy > 0 ? rate / copy : 0)));
	}
	return rows;
}
