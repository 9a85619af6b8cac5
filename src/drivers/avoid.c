/* SPDX-License-Identifier: Apache-2.0 */
/* PLUMB_AVOID: operators that a driver is not asked to run, though it could. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "drivers/drivers.h"

_Static_assert(PLUMB_OP_COUNT <= 32, "avoid has one bit per operator");

static enum plumb_status avoid_unknown(const char *item, size_t n, const char *what, bool drivers)
{
	char names[256] = "";
	for (int i = 0; i < (drivers ? plumb_driver_rows : PLUMB_OP_COUNT); i++) {
		size_t used = strlen(names);
		snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
			drivers ? plumb_driver_table[i].name : plumb_op_table[i]->name);
	}
	return plumb_fail(PLUMB_E_ARGUMENT, "PLUMB_AVOID has \"%.*s\": %s; there are %s", (int)(n > 64 ? 64 : n),
		item, what, names);
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
		const struct plumb_driver_row *k = plumb_driver_find(p, width);
		int op = 0;
		if (!n)
			continue;
		if (!colon)
			return plumb_fail(PLUMB_E_ARGUMENT,
				"PLUMB_AVOID has \"%.*s\", must be a comma list of driver:operator", (int)(n > 64 ? 64 : n),
				p);
		if (!k)
			return avoid_unknown(p, n, "no such driver", true);
		while (op < PLUMB_OP_COUNT &&
			(strlen(plumb_op_table[op]->name) != n - width - 1 ||
				strncasecmp(plumb_op_table[op]->name, colon + 1, n - width - 1)))
			op++;
		if (op == PLUMB_OP_COUNT)
			return avoid_unknown(p, n, "no such operator", false);
		for (int i = 0; i < ctx->drivers; i++)
			if (ctx->driver[i].cls == k->cls || ctx->driver[i].cls == k->instead)
				for (int made = 0; made < PLUMB_OP_COUNT; made++) /* and what is made of it */
					if (made == op || plumb_op_table[made]->parts >> op & 1)
						ctx->avoid[i] |= 1u << made;
	}
	return PLUMB_OK;
}
