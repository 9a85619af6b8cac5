/* SPDX-License-Identifier: Apache-2.0 */
/* The room above the drivers: which there are, which of them a list asks for, and contexts that hold them
 * open. The only one that knows drivers by name; what works with an open driver knows its class
 * (core/core.h). */
#ifndef PLUMB_DRIVERS_H
#define PLUMB_DRIVERS_H

#include "core/core.h"

/* --- table.c --- */
struct plumb_driver_row {
	const char *name;                     /* as in AR_HARDWARE_DRIVER */
	const struct plumb_driver_class *cls; /* NULL: not in this build */
	const char *why_not;                  /* of one that is not */
	bool cpu, gpu;                        /* has devices of that type on this system */
	const struct plumb_driver_class
		*instead; /* takes its place in double precision; NULL: it opens there, too */
};
extern const struct plumb_driver_row plumb_driver_table[];
extern const int plumb_driver_rows;
/* The row of a name, in any case of its letters; NULL: there is none. */
const struct plumb_driver_row *plumb_driver_find(const char *name, size_t n);

/* --- list.c --- */
/* One item of a parsed driver list. */
struct plumb_driver_item {
	const char *name; /* of a row of the table: "native", "cl", "mtl" */
	enum plumb_device_kind kind;
	bool required;   /* named: must open */
	unsigned groups; /* of each group that an item of the list is in, one must open */
};
/* Came from "cpu" or "gpu"; named, and on both kinds of devices. */
enum { PLUMB_GROUP_CPU = 1, PLUMB_GROUP_GPU = 2, PLUMB_GROUP_NAMED = 4 };
#define PLUMB_MAX_ITEMS 8
/* Parse a list by the rules of AR_HARDWARE_DRIVER (doc/drivers.md). Text only, opens nothing. */
enum plumb_status plumb_driver_parse(
	const char *list, struct plumb_driver_item items[PLUMB_MAX_ITEMS], int *count);

/* --- avoid.c --- */
/* Set ctx->avoid from the text of PLUMB_AVOID ("cl:rope,cl:swiglu"). A driver that is known but not open is
 * no error. */
enum plumb_status plumb_avoid_set(struct plumb_context *ctx, const char *text);

/* --- open.c --- */
/* Open one more driver, the last of the context's list. For experiments that move operators to it. */
enum plumb_status plumb_driver_add(struct plumb_context *ctx, const char *name);

#endif
