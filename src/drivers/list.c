/* SPDX-License-Identifier: Apache-2.0 */
/* The list that picks drivers, as AR_HARDWARE_DRIVER has it: text only. */
#include <string.h>
#include <strings.h>
#include "drivers/drivers.h"

/* "*", the fastest first: a GPU has the fastest memory, and on a CPU our own code is ahead of a compiler's.
 */
static const struct {
	const char *name;
	enum plumb_device_kind kind;
} fastest[] = {
	{ "cl", PLUMB_KIND_GPU },
	{ "native", PLUMB_KIND_ANY },
	{ "cl", PLUMB_KIND_CPU },
};
#define FASTEST ((int)(sizeof fastest / sizeof *fastest))

/* Add a driver, or sharpen the item that is there: later mentions never reorder. */
static void list_add(struct plumb_driver_item *items, int *count, const struct plumb_driver_row *k,
	enum plumb_device_kind kind, bool required, unsigned groups)
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
static void list_add_fastest(struct plumb_driver_item *items, int *count)
{
	for (int f = 0; f < FASTEST; f++) {
		bool covered = false;
		for (int i = 0; i < *count; i++)
			covered |= !strcmp(items[i].name, fastest[f].name) &&
				(items[i].kind == fastest[f].kind || items[i].kind == PLUMB_KIND_ANY);
		if (!covered)
			list_add(items, count, plumb_driver_find(fastest[f].name, strlen(fastest[f].name)),
				fastest[f].kind, false, 0);
	}
}

/* A driver by its name. Where the list has it on both kinds of devices already, one of the two must open. */
static void list_add_named(struct plumb_driver_item *items, int *count, const struct plumb_driver_row *k)
{
	int n = 0;
	for (int i = 0; i < *count; i++)
		n += items[i].name == k->name;
	if (n < 2)
		list_add(items, count, k, PLUMB_KIND_ANY, true, 0);
	for (int i = 0; n > 1 && i < *count; i++)
		if (items[i].name == k->name)
			items[i].groups |= PLUMB_GROUP_NAMED;
}

enum plumb_status plumb_driver_parse(
	const char *list, struct plumb_driver_item items[PLUMB_MAX_ITEMS], int *count)
{
	*count = 0;
	for (const char *p = list ? list : "*";; p++) {
		p += strspn(p, " \t\r\n");
		size_t n = strcspn(p, ","), width = n;
		while (n && strchr(" \t\r\n", p[n - 1]))
			n--;
		const struct plumb_driver_row *k = plumb_driver_find(p, n);
		bool cpu = n == 3 && !strncasecmp(p, "cpu", 3), gpu = n == 3 && !strncasecmp(p, "gpu", 3);
		if (k)
			list_add_named(items, count, k);
		else if (cpu || gpu) {
			/* Our own code first on a CPU: it is the faster one there. */
			for (int pass = 0; pass < 2; pass++)
				for (int i = 0; i < plumb_driver_rows; i++)
					if ((cpu ? plumb_driver_table[i].cpu : plumb_driver_table[i].gpu) &&
						pass == (cpu && plumb_driver_table[i].gpu))
						list_add(items, count, &plumb_driver_table[i],
							!plumb_driver_table[i].gpu ? PLUMB_KIND_ANY
								: cpu                  ? PLUMB_KIND_CPU
													   : PLUMB_KIND_GPU,
							false, cpu ? PLUMB_GROUP_CPU : PLUMB_GROUP_GPU);
		} else if (n == 1 && *p == '*')
			list_add_fastest(items, count);
		else if (n)
			return plumb_fail(PLUMB_E_DRIVER,
				"Unknown driver %.*s: AR_HARDWARE_DRIVER takes a comma list of native, cl, mtl, cpu, gpu, *",
				(int)(n > 64 ? 64 : n), p);
		p += width;
		if (!*p)
			break;
	}
	return *count ? PLUMB_OK : plumb_driver_parse("*", items, count);
}
