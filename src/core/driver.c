/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers there are, the list that picks them, and the context that holds the open ones.
 * The only file that knows drivers by name. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "core/core.h"

extern const struct plumb_driver_class plumb_native_class, plumb_ref_class;
#ifdef PLUMB_HAVE_OPENCL
extern const struct plumb_driver_class plumb_cl_class;
#define CL_CLASS &plumb_cl_class
#else
#define CL_CLASS NULL
#endif

static const struct known {
	const char *name;
	const struct plumb_driver_class *cls; /* NULL: not in this build */
	const char *why_not;
	bool cpu, gpu; /* has devices of that type on this system */
} known[] = {
	{ "cl", CL_CLASS, "not built in: this build has no OpenCL driver", true, true },
	{ "native", &plumb_native_class, NULL, true, false },
	{ "mtl", NULL, "Metal is not available on this system", false, false },
};
#define KNOWN ((int)(sizeof known / sizeof *known))

/* "*", the fastest first: a GPU has the fastest memory, and on a CPU our own code is ahead of a compiler's. */
static const struct { const char *name; enum plumb_device_kind kind; } fastest[] = {
	{ "cl", PLUMB_KIND_GPU }, { "native", PLUMB_KIND_ANY }, { "cl", PLUMB_KIND_CPU },
};
#define FASTEST ((int)(sizeof fastest / sizeof *fastest))

static const struct known *find(const char *name, size_t n)
{
	for (int i = 0; i < KNOWN; i++)
		if (strlen(known[i].name) == n && !strncasecmp(known[i].name, name, n))
			return &known[i];
	return NULL;
}

/* Add a driver, or sharpen the item that is there: later mentions never reorder. */
static void add(struct plumb_driver_item *items, int *count, const struct known *k, enum plumb_device_kind kind, bool required,
	unsigned groups)
{
	for (int i = 0; i < *count; i++) {
		struct plumb_driver_item *it = &items[i];
		if (it->name != k->name || (it->kind != kind && it->kind != PLUMB_KIND_ANY && kind != PLUMB_KIND_ANY))
			continue;
		it->required |= required;
		if (kind != PLUMB_KIND_ANY)
			it->kind = kind;
		it->groups |= groups;
		return;
	}
	if (*count < PLUMB_MAX_ITEMS) /* names x kinds is below the maximum */
		items[(*count)++] = (struct plumb_driver_item){ k->name, kind, required, groups };
}

/* "*" adds what no earlier item covers, and changes none of them. */
static void add_fastest(struct plumb_driver_item *items, int *count)
{
	for (int f = 0; f < FASTEST; f++) {
		bool covered = false;
		for (int i = 0; i < *count; i++)
			covered |= !strcmp(items[i].name, fastest[f].name) &&
				(items[i].kind == fastest[f].kind || items[i].kind == PLUMB_KIND_ANY);
		if (!covered)
			add(items, count, find(fastest[f].name, strlen(fastest[f].name)), fastest[f].kind, false, 0);
	}
}

/* A driver by its name. Where the list has it on both kinds of devices already, one of the two must open. */
static void add_named(struct plumb_driver_item *items, int *count, const struct known *k)
{
	int n = 0;
	for (int i = 0; i < *count; i++)
		n += items[i].name == k->name;
	if (n < 2)
		add(items, count, k, PLUMB_KIND_ANY, true, 0);
	for (int i = 0; n > 1 && i < *count; i++)
		if (items[i].name == k->name)
			items[i].groups |= PLUMB_GROUP_NAMED;
}

enum plumb_status plumb_driver_parse(const char *list, struct plumb_driver_item items[PLUMB_MAX_ITEMS], int *count)
{
	*count = 0;
	for (const char *p = list ? list : "*"; ; p++) {
		p += strspn(p, " \t\r\n");
		size_t n = strcspn(p, ","), width = n;
		while (n && strchr(" \t\r\n", p[n - 1]))
			n--;
		const struct known *k = find(p, n);
		bool cpu = n == 3 && !strncasecmp(p, "cpu", 3), gpu = n == 3 && !strncasecmp(p, "gpu", 3);
		if (k)
			add_named(items, count, k);
		else if (cpu || gpu) {
			/* Our own code first on a CPU: it is the faster one there. */
			for (int pass = 0; pass < 2; pass++)
				for (int i = 0; i < KNOWN; i++)
					if ((cpu ? known[i].cpu : known[i].gpu) && pass == (cpu && known[i].gpu))
						add(items, count, &known[i], !known[i].gpu ? PLUMB_KIND_ANY : cpu ? PLUMB_KIND_CPU : PLUMB_KIND_GPU, false,
							cpu ? PLUMB_GROUP_CPU : PLUMB_GROUP_GPU);
		} else if (n == 1 && *p == '*')
			add_fastest(items, count);
		else if (n)
			return plumb_fail(PLUMB_E_DRIVER, "Unknown driver %.*s: AR_HARDWARE_DRIVER takes a comma list of native, cl, mtl, cpu, gpu, *",
				(int)(n > 64 ? 64 : n), p);
		p += width;
		if (!*p)
			break;
	}
	return *count ? PLUMB_OK : plumb_driver_parse("*", items, count);
}

/* --- options --- */

#define PICK(field, env) (options && options->field ? options->field : plumb_env(env))

/* Everything that has a value of the table, once: later nobody asks the environment. */
static enum plumb_status configure(struct plumb_context *ctx, const struct plumb_options *options, int64_t *threads)
{
	int64_t precision = 0, mode = 0, place = 0, scale = -1, strict = 0;
	PLUMB_TRY(plumb_env_parse(PLUMB_ENV_PRECISION, PICK(precision, PLUMB_ENV_PRECISION), &precision));
	PLUMB_TRY(plumb_env_parse(PLUMB_ENV_MODE, PICK(mode, PLUMB_ENV_MODE), &mode));
	PLUMB_TRY(plumb_env_parse(PLUMB_ENV_MEMORY_LOCATION, PICK(memory_location, PLUMB_ENV_MEMORY_LOCATION), &place));
	PLUMB_TRY(plumb_env_parse(PLUMB_ENV_MEMORY_SCALE, PICK(memory_scale, PLUMB_ENV_MEMORY_SCALE), &scale));
	PLUMB_TRY(plumb_env_parse(PLUMB_ENV_STRICT, plumb_env(PLUMB_ENV_STRICT), &strict));
	ctx->precision = (enum plumb_precision)precision;
	ctx->mode = (enum plumb_mode)mode;
	ctx->location = plumb_env_word(PLUMB_ENV_MEMORY_LOCATION, place);
	ctx->limit = scale < 0 ? ctx->limit : (UINT64_C(64) << 20) << scale;
	ctx->strict = strict;
	*threads = plumb_cpus_allowed();
	return plumb_env_parse(PLUMB_ENV_THREADS, PICK(threads, PLUMB_ENV_THREADS), threads);
}

/* --- opening --- */

static enum plumb_status open_one(struct plumb_context *ctx, const struct plumb_driver_item *item)
{
	const struct known *k = find(item->name, strlen(item->name));
	const struct plumb_driver_class *cls = k->cls;
	if (!cls)
		return plumb_fail(PLUMB_E_DRIVER, "driver %s: %s", k->name, k->why_not);
	if (cls == &plumb_native_class && ctx->precision == PLUMB_FP64)
		cls = &plumb_ref_class; /* the double-precision truth stands in for native */
	struct plumb_driver *d = &ctx->driver[ctx->drivers];
	*d = (struct plumb_driver){ .cls = cls, .ctx = ctx, .index = ctx->drivers, .kind = item->kind };
	enum plumb_status s = cls->open ? cls->open(d) : PLUMB_OK;
	if (s)
		return plumb_fail_in(s, "driver %s", k->name);
	ctx->drivers++;
	return PLUMB_OK;
}

/* Where "*" goes on without cl, who named a device for it is not left to wonder. why: why cl did not open, "": it is not in the list. */
static void tell_unused(struct plumb_context *ctx, const char *why)
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
	static const struct { unsigned group; const char *name; } groups[] = { { PLUMB_GROUP_CPU, "cpu" }, { PLUMB_GROUP_GPU, "gpu" }, { PLUMB_GROUP_NAMED, "cl" } };
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
		else if (items[i].required || s == PLUMB_E_ARGUMENT) /* a value that nobody understands is no reason to take another driver */
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
	tell_unused(ctx, cl_why);
	return PLUMB_OK;
}

enum plumb_status plumb_driver_add(struct plumb_context *ctx, const char *name)
{
	const struct known *k = find(name, strlen(name));
	if (!k)
		return plumb_fail(PLUMB_E_DRIVER, "Unknown driver %.64s", name);
	if (ctx->drivers == PLUMB_MAX_DRIVERS)
		return plumb_fail(PLUMB_E_LIMIT, "no room for the driver %s: %d are open", name, ctx->drivers);
	return open_one(ctx, &(struct plumb_driver_item){ k->name, PLUMB_KIND_ANY, true, 0 });
}

_Static_assert(PLUMB_OP_COUNT <= 32, "avoid has one bit per operator");

static enum plumb_status not_avoidable(const char *item, size_t n, const char *what, bool drivers)
{
	char names[256] = "";
	for (int i = 0; i < (drivers ? KNOWN : PLUMB_OP_COUNT); i++) {
		size_t used = strlen(names);
		snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", drivers ? known[i].name : plumb_op_table[i]->name);
	}
	return plumb_fail(PLUMB_E_ARGUMENT, "PLUMB_AVOID has \"%.*s\": %s; there are %s", (int)(n > 64 ? 64 : n), item, what, names);
}

enum plumb_status plumb_avoid_set(struct plumb_context *ctx, const char *text)
{
	memset(ctx->avoid, 0, sizeof ctx->avoid);
	for (const char *p = text; p && *p; p += strcspn(p, ","), p += *p == ',') {
		p += strspn(p, " \t\r\n");
		size_t n = strcspn(p, ",");
		while (n && strchr(" \t\r\n", p[n - 1]))
			n--;
		const char *colon = memchr(p, ':', n);
		size_t width = colon ? (size_t)(colon - p) : n;
		const struct known *k = find(p, width);
		int op = 0;
		if (!n)
			continue;
		if (!colon)
			return plumb_fail(PLUMB_E_ARGUMENT, "PLUMB_AVOID has \"%.*s\", must be a comma list of driver:operator", (int)(n > 64 ? 64 : n), p);
		if (!k)
			return not_avoidable(p, n, "no such driver", true);
		while (op < PLUMB_OP_COUNT && (strlen(plumb_op_table[op]->name) != n - width - 1 || strncasecmp(plumb_op_table[op]->name, colon + 1, n - width - 1)))
			op++;
		if (op == PLUMB_OP_COUNT)
			return not_avoidable(p, n, "no such operator", false);
		for (int i = 0; i < ctx->drivers; i++)
			if (ctx->driver[i].cls == k->cls || (k->cls == &plumb_native_class && ctx->driver[i].cls == &plumb_ref_class))
				for (int made = 0; made < PLUMB_OP_COUNT; made++) /* and what is made of it */
					if (made == op || plumb_op_table[made]->parts >> op & 1)
						ctx->avoid[i] |= 1u << made;
	}
	return PLUMB_OK;
}

enum plumb_status plumb_open(struct plumb_context **out, const struct plumb_options *options)
{
	*out = NULL;
	struct plumb_context *ctx = calloc(1, sizeof *ctx);
	if (!ctx)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a context");
	int64_t threads;
	ctx->notice = options ? options->notice : NULL;
	ctx->notice_user = options ? options->notice_user : NULL;
	ctx->busy = options ? options->busy : NULL;
	enum plumb_status s = configure(ctx, options, &threads);
	if (!s)
		s = plumb_pool_new(&ctx->pool, (int)threads);
	if (!s)
		s = open_list(ctx, PICK(driver, PLUMB_ENV_DRIVER));
	if (!s)
		s = plumb_avoid_set(ctx, plumb_env(PLUMB_ENV_AVOID));
	if (s) {
		plumb_close(ctx);
		return s;
	}
	*out = ctx;
	return PLUMB_OK;
}

enum plumb_status plumb_fail_lost(const struct plumb_driver *driver)
{
	return plumb_fail(PLUMB_E_DEVICE, "driver %s was opened before this process was forked, and its device did not come along: open a context here",
		driver->cls->name);
}

void plumb_close(struct plumb_context *ctx)
{
	if (!ctx)
		return;
	while (ctx->drivers--)
		if (ctx->driver[ctx->drivers].cls->close && !plumb_driver_lost(&ctx->driver[ctx->drivers]))
			ctx->driver[ctx->drivers].cls->close(&ctx->driver[ctx->drivers]);
	plumb_pool_free(ctx->pool);
	free(ctx);
}

/* --- asking --- */

int plumb_driver_count(const struct plumb_context *ctx) { return ctx->drivers; }

const char *plumb_driver_name(const struct plumb_context *ctx, int index)
{
	return index >= 0 && index < ctx->drivers ? ctx->driver[index].cls->name : NULL;
}

const char *plumb_driver_note(const struct plumb_context *ctx, int index)
{
	return index >= 0 && index < ctx->drivers ? ctx->driver[index].note : NULL;
}

enum plumb_precision plumb_context_precision(const struct plumb_context *ctx) { return ctx->precision; }
int plumb_context_threads(const struct plumb_context *ctx) { return plumb_pool_threads(ctx->pool); }

void plumb_memory(const struct plumb_context *ctx, uint64_t *now, uint64_t *peak, uint64_t *limit)
{
	*now = atomic_load(&ctx->used);
	*peak = atomic_load(&ctx->peak);
	*limit = ctx->limit;
}

enum plumb_status plumb_synchronize(struct plumb_context *ctx)
{
	for (int i = 0; i < ctx->drivers; i++) {
		if (plumb_driver_lost(&ctx->driver[i]))
			return plumb_fail_lost(&ctx->driver[i]);
		enum plumb_status s = ctx->driver[i].cls->sync ? ctx->driver[i].cls->sync(&ctx->driver[i]) : PLUMB_OK;
		if (s)
			return s;
	}
	return PLUMB_OK;
}

bool plumb_kernel_row(const struct plumb_context *ctx, int index, struct plumb_kernel_time *row)
{
	for (int i = 0; index >= 0 && i < ctx->drivers; i++) {
		const struct plumb_driver *d = &ctx->driver[i];
		int n = 0;
		while (d->cls->kernel_row && d->cls->kernel_row(d, n, row)) {
			row->driver = d->cls->name;
			if (n++ == index)
				return true;
		}
		index -= n;
	}
	return false;
}

enum plumb_status plumb_profile(struct plumb_context *ctx, bool on)
{
	bool any = false;
	for (int i = 0; i < ctx->drivers; i++)
		if (ctx->driver[i].cls->profile) {
			PLUMB_TRY(ctx->driver[i].cls->profile(&ctx->driver[i], on));
			any = true;
		}
	return any ? PLUMB_OK : plumb_fail(PLUMB_E_UNSUPPORTED, "no open driver has kernels to time");
}

enum plumb_status plumb_copy_rate(struct plumb_context *ctx, const char *driver, double *rate)
{
	*rate = 0;
	for (int i = 0; i < ctx->drivers; i++)
		if (!strcmp(ctx->driver[i].cls->name, driver) && ctx->driver[i].cls->copy_rate)
			return ctx->driver[i].cls->copy_rate(&ctx->driver[i], rate);
	return plumb_fail(PLUMB_E_UNSUPPORTED, "no driver %s that can measure a copy is open", driver);
}

const char *plumb_placement_reason(const struct plumb_context *ctx, int op)
{
	return op >= 0 && op < PLUMB_OP_COUNT ? ctx->reason[op] : "";
}

uint64_t plumb_placement(const struct plumb_context *ctx, int op, int index)
{
	return op >= 0 && op < PLUMB_OP_COUNT && index >= 0 && index < ctx->drivers ? atomic_load(&ctx->placed[op][index]) : 0;
}
