/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers there are. A new one is a row here and a class in a room of its own. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include <string.h>
#include <strings.h>
#include "core/classes.h"
#include "drivers/drivers.h"

#ifdef PLUMB_HAVE_OPENCL
#define CL_CLASS &plumb_cl_class
#else
#define CL_CLASS NULL
#endif

const struct plumb_driver_row plumb_driver_table[] = {
	{ "cl", CL_CLASS, "not built in: this build has no OpenCL driver", true, true, NULL },
	{ "native", &plumb_native_class, NULL, true, false, &plumb_ref_class }, /* the double-precision truth */
	{ "mtl", NULL, "Metal is not available on this system", false, false, NULL },
};
const int plumb_driver_rows = sizeof plumb_driver_table / sizeof *plumb_driver_table;

const struct plumb_driver_row *plumb_driver_find(const char *name, size_t n)
{
	for (int i = 0; i < plumb_driver_rows; i++)
		if (strlen(plumb_driver_table[i].name) == n && !strncasecmp(plumb_driver_table[i].name, name, n))
			return &plumb_driver_table[i];
	return NULL;
}
