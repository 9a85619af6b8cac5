/* SPDX-License-Identifier: Apache-2.0 */
/* Does every operator give right numbers on the device? One operator a child. */
#include <string.h>
#include "cl/doctor/doctor.h"

static struct plumb_driver *kernel_driver(struct plumb_context *ctx)
{
	for (int i = 0; i < ctx->drivers; i++)
		if (!strcmp(ctx->driver[i].cls->name, "cl"))
			return &ctx->driver[i];
	return NULL;
}

static enum plumb_status kernel_open(struct plumb_context **ctx)
{
	static const char *const lists[] = {
		[PLUMB_KIND_ANY] = "cl", [PLUMB_KIND_CPU] = "cpu", [PLUMB_KIND_GPU] = "gpu"
	};
	return plumb_open(ctx,
		PLUMB_OPTIONS(.driver = lists[plumb_doctor_wanted()], .precision = "FP32", .threads = 1,
			.memory_limit = UINT64_MAX));
}

#define REPORT_IT \
	"take another device (PLUMB_CL_DEVICE) or AR_HARDWARE_DRIVER=native, and report it with this text"
/* Error over tolerance; below 0: not good, which has been said. */
static double kernel_check(struct plumb_doctor *d, struct plumb_driver *driver, struct plumb_context *truth,
	int op, enum plumb_type weight)
{
	const struct plumb_op_desc *desc = plumb_op_table[op];
	char name[64];
	double error, tolerance;
	snprintf(name, sizeof name, !desc->weights ? "%s" : "%s with weights in %s", desc->name,
		plumb_type_name(weight));
	enum plumb_status s = plumb_op_verify(driver, truth, op, weight, &error, &tolerance);
	if (!s && error <= tolerance)
		return tolerance > 0 ? error / tolerance : 0;
	if (s == PLUMB_E_UNSUPPORTED)
		PLUMB_SAY_WARNING(d, "kernel",
			"a later driver of the list takes it over, as in AR_HARDWARE_DRIVER=cl,native",
			"%s is not supported: %s", name, plumb_last_error());
	else if (s)
		PLUMB_SAY_PROBLEM(
			d, PLUMB_WRONG_RESULTS, "kernel", REPORT_IT, "%s fails: %s", name, plumb_last_error());
	else
		PLUMB_SAY_PROBLEM(d, PLUMB_WRONG_RESULTS, "kernel", REPORT_IT,
			"%s gives wrong results: relative error %.3g, allowed %.3g", name, error, tolerance);
	return -1;
}

static void kernel_operator(struct plumb_doctor *d, const void *arg)
{
	const int op = *(const int *)arg;
	const struct plumb_op_desc *desc = plumb_op_table[op];
	struct plumb_context *ctx, *truth;
	double worst = 0;
	int good = 0, bad = 0;
	struct plumb_driver *driver = kernel_open(&ctx) ? NULL : kernel_driver(ctx);
	if (!driver) {
		PLUMB_SAY_PROBLEM(d, PLUMB_NO_DEVICE, "kernel", "AR_HARDWARE_DRIVER=native works without",
			"%s: the cl driver does not open: %s", desc->name, plumb_last_error());
		return;
	}
	if (plumb_open(&truth,
			PLUMB_OPTIONS(.driver = "native", .precision = "FP64", .threads = 1, .memory_limit = UINT64_MAX,
				.memory_location = "device"))) {
		PLUMB_SAY_PROBLEM(
			d, PLUMB_WRONG_RESULTS, "kernel", REPORT_IT, "%s fails: %s", desc->name, plumb_last_error());
		plumb_close(ctx);
		return;
	}
	for (int type = 0; type < PLUMB_TYPE_COUNT; type++) {
		if (!desc->weights ? type > 0 : !plumb_type_is_weight((enum plumb_type)type))
			continue;
		double share = kernel_check(d, driver, truth, op, (enum plumb_type)type);
		good += share >= 0;
		bad += share < 0;
		worst = share > worst ? share : worst;
		fputs("alive\n", d->pipe); /* compiling may take long */
		fflush(d->pipe);
	}
	if (good)
		PLUMB_SAY_OK(d, "kernel",
			"%s%s agrees with the float64 truth (largest error %.0f%% of what is allowed)", desc->name,
			bad ? " otherwise" : "", 100 * worst);
	plumb_close(truth);
	plumb_close(ctx);
}

void plumb_doctor_kernels(struct plumb_doctor *d)
{
	char how[128];
	for (int op = 0; op < PLUMB_OP_COUNT; op++)
		if (!plumb_doctor_child(d, kernel_operator, &op, 180, how))
			PLUMB_SAY_PROBLEM(d, PLUMB_WRONG_RESULTS, "kernel", REPORT_IT, "%s %s", plumb_op_name(op), how);
}
