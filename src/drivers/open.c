/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a context: its options, then the drivers of its list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "drivers/drivers.h"

/* --- options --- */

static const char *open_pick(const char *option, enum plumb_env_name env)
{
	return option ? option : plumb_env(env);
}

/* The numbers: an option that is set goes before its variable, which is then not looked at. */
static enum plumb_status open_numbers(
	struct plumb_context *ctx, const struct plumb_options *options, int64_t *threads)
{
	int64_t scale = -1;
	if (options->threads < 0 || options->threads > 256)
		return plumb_fail(
			PLUMB_E_ARGUMENT, "%d threads, must be 1 to 256, or 0 for the default", options->threads);
	*threads = options->threads ? options->threads : plumb_cpus_allowed();
	if (!options->threads)
		PLUMB_TRY(plumb_env_parse(PLUMB_ENV_THREADS, plumb_env(PLUMB_ENV_THREADS), threads));
	if (!options->memory_limit)
		PLUMB_TRY(plumb_env_parse(PLUMB_ENV_MEMORY_SCALE, plumb_env(PLUMB_ENV_MEMORY_SCALE), &scale));
	if (options->memory_limit && options->memory_limit < UINT64_MAX)
		ctx->limit = options->memory_limit;
	else if (scale >= 0)
		ctx->limit = (UINT64_C(64) << 20) << scale;
	return PLUMB_OK;
}

/* Everything that has a value of the table, once: later nobody asks the environment. */
static enum plumb_status open_configure(struct plumb_context *ctx, const struct plumb_options *options)
{
	int64_t precision = 0, mode = 0, place = 0, strict = 0;
	PLUMB_TRY(
		plumb_env_parse(PLUMB_ENV_PRECISION, open_pick(options->precision, PLUMB_ENV_PRECISION), &precision));
	PLUMB_TRY(plumb_env_parse(PLUMB_ENV_MODE, open_pick(options->mode, PLUMB_ENV_MODE), &mode));
	PLUMB_TRY(plumb_env_parse(
		PLUMB_ENV_MEMORY_LOCATION, open_pick(options->memory_location, PLUMB_ENV_MEMORY_LOCATION), &place));
	PLUMB_TRY(plumb_env_parse(PLUMB_ENV_STRICT, plumb_env(PLUMB_ENV_STRICT), &strict));
	ctx->precision = (enum plumb_precision)precision;
	ctx->after = ctx->precision == PLUMB_FP16 ? plumb_op_f16 : NULL;
	ctx->mode = (enum plumb_mode)mode;
	ctx->location = plumb_env_word(PLUMB_ENV_MEMORY_LOCATION, place);
	ctx->strict = strict;
	return PLUMB_OK;
}

/* --- opening --- */

static enum plumb_status open_one(struct plumb_context *ctx, const struct plumb_driver_item *item)
{
	const struct plumb_driver_row *k = plumb_driver_find(item->name, strlen(item->name));
	const struct plumb_driver_class *cls = k->cls;
	if (!cls)
		return plumb_fail(PLUMB_E_DRIVER, "driver %s: %s", k->name, k->why_not);
	if (k->instead && ctx->precision == PLUMB_FP64)
		cls = k->instead;
	struct plumb_driver *d = &ctx->driver[ctx->drivers];
	*d = (struct plumb_driver){ .cls = cls, .ctx = ctx, .index = ctx->drivers, .kind = item->kind };
	enum plumb_status s = cls->open ? cls->open(d) : PLUMB_OK;
	if (s)
		return plumb_fail_in(s, "driver %s", k->name);
	ctx->drivers++;
	return PLUMB_OK;
}

/* Where "*" goes on without cl, who named a device for it is not left to wonder. why: why cl did not open,
 * "": it is not in the list. */
static void open_tell_unused(struct plumb_context *ctx, const char *why)
{
	for (int i = 0; i < ctx->drivers; i++)
		if (!strcmp(ctx->driver[i].cls->name, "cl"))
			return;
	if (*why && plumb_env(PLUMB_ENV_CL_DEVICE))
		plumb_notice(ctx, "PLUMB_CL_DEVICE is set, but OpenCL is not used: %s", why);
}

static enum plumb_status open_list(struct plumb_context *ctx, const char *list)
{
	struct plumb_driver_item items[PLUMB_MAX_ITEMS];
	static const struct {
		unsigned group;
		const char *name;
	} groups[] = { { PLUMB_GROUP_CPU, "cpu" }, { PLUMB_GROUP_GPU, "gpu" }, { PLUMB_GROUP_NAMED, "cl" } };
	unsigned wanted = 0, opened = 0;
	char why[512] = "", cl_why[256] = "";
	int count;
	enum plumb_status s = plumb_driver_parse(list, items, &count);
	if (s)
		return s;
	for (int i = 0; i < count && ctx->drivers < PLUMB_MAX_DRIVERS; i++) {
		s = open_one(ctx, &items[i]);
		wanted |= items[i].groups;
		if (!s)
			opened |= items[i].groups;
		else if (items[i].required ||
			s == PLUMB_E_ARGUMENT) /* a value that nobody understands is no reason to take another driver */
			return s;
		else {
			size_t n = strlen(why);
			snprintf(why + n, sizeof why - n, "%s%s", n ? "; " : "", plumb_last_error());
			if (!strcmp(items[i].name, "cl"))
				snprintf(cl_why, sizeof cl_why, "%s", plumb_last_error());
		}
	}
	for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
		if (wanted & ~opened & groups[g].group)
			return plumb_fail(PLUMB_E_DRIVER, "no %s driver opens: %s", groups[g].name, why);
	if (!ctx->drivers)
		return plumb_fail(PLUMB_E_DRIVER, "no driver opens: %s", why);
	open_tell_unused(ctx, cl_why);
	return PLUMB_OK;
}

enum plumb_status plumb_driver_add(struct plumb_context *ctx, const char *name)
{
	const struct plumb_driver_row *k = plumb_driver_find(name, strlen(name));
	if (!k)
		return plumb_fail(PLUMB_E_DRIVER, "Unknown driver %.64s", name);
	if (ctx->drivers == PLUMB_MAX_DRIVERS)
		return plumb_fail(PLUMB_E_LIMIT, "no room for the driver %s: %d are open", name, ctx->drivers);
	return open_one(ctx, &(struct plumb_driver_item){ k->name, PLUMB_KIND_ANY, true, 0 });
}

enum plumb_status plumb_open(struct plumb_context **out, const struct plumb_options *given)
{
	struct plumb_options o;
	*out = NULL;
	PLUMB_TRY(plumb_options_take("plumb_options", &o, sizeof o, sizeof o, given));
	struct plumb_context *ctx = calloc(1, sizeof *ctx);
	if (!ctx)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a context");
	int64_t threads;
	ctx->operators = plumb_op_table;
	ctx->notice = o.notice;
	ctx->notice_user = o.notice_user;
	ctx->busy = o.busy;
	enum plumb_status s = open_configure(ctx, &o);
	if (!s)
		s = open_numbers(ctx, &o, &threads);
	if (!s)
		s = plumb_pool_new(&ctx->pool, (int)threads);
	if (!s)
		s = open_list(ctx, open_pick(o.driver, PLUMB_ENV_DRIVER));
	if (!s)
		s = plumb_avoid_set(ctx, plumb_env(PLUMB_ENV_AVOID));
	if (s) {
		plumb_close(ctx);
		return s;
	}
	*out = ctx;
	return PLUMB_OK;
}
