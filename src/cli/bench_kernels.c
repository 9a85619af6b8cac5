/* SPDX-License-Identifier: Apache-2.0 */
/* What plumb bench tells of kernels: those of prefill and of decoding, and all products of decoding beside a
 * plain copy. */
#include "cli/bench.h"

/* All products of decoding together: with one sequence these are products with one row. */
static struct plumb_kernel_time bench_kernels_matvec(const struct bench_rig *rig, double *rate)
{
	static const char *const fused[] = { "qkv ", "gate_up " };
	struct plumb_kernel_time sum = cli_kernels_sum(&rig->kernels[1], "matmul ");
	for (int i = 0; i < 2; i++) {
		struct plumb_kernel_time more = cli_kernels_sum(&rig->kernels[1], fused[i]);
		sum.calls += more.calls;
		sum.seconds += more.seconds;
		sum.bytes += more.bytes;
	}
	*rate = sum.seconds > 0 ? sum.bytes / sum.seconds : 0;
	return sum;
}

json_t *bench_kernels_json(const struct bench_rig *rig, double copy)
{
	double rate;
	if (cli_kernels_sum(&rig->kernels[0], "").seconds + cli_kernels_sum(&rig->kernels[1], "").seconds <= 0)
		return NULL;
	struct plumb_kernel_time sum = bench_kernels_matvec(rig, &rate);
	return json_pack("{s:f, s:o, s:o, s:{s:I, s:f, s:f, s:f, s:o}}", "copy_bytes_per_second", copy, "prefill",
		cli_kernels_json(&rig->kernels[0], copy), "decode", cli_kernels_json(&rig->kernels[1], copy),
		"decode_matmul", "calls", (json_int_t)sum.calls, "seconds", sum.seconds, "bytes", sum.bytes,
		"bytes_per_second", rate, "share_of_copy",
		copy > 0 && rate > 0 ? json_real(rate / copy) : json_null());
}

void bench_kernels_print(const struct bench_request *r, struct bench_rig *rig, double copy)
{
	static const char *const what[2] = { "prefill", "decode" };
	double rate;
	for (int i = 0; i < 2; i++)
		if (cli_kernels_sum(&rig->kernels[i], "").seconds > 0) {
			printf("\nKernels of %s\n", what[i]);
			cli_kernels_print(stdout, &rig->kernels[i], copy);
		}
	bench_kernels_matvec(rig, &rate);
	if (copy > 0)
		printf("\n%-9s %8.2f GB/s read and written by a plain copy on the device\n", "copy", copy / 1e9);
	if (rate > 0)
		printf("%-9s %8.2f GB/s by all products with %ld row%s of decoding together",
			r->sequences == 1 ? "matvec" : "matmul", rate / 1e9, r->sequences, r->sequences == 1 ? "" : "s");
	if (rate > 0 && copy > 0)
		printf(": %.0f%% of the copy", 100 * rate / copy);
	if (rate > 0)
		putchar('\n');
}
