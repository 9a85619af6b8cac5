/* SPDX-License-Identifier: Apache-2.0 */
/* The classes of drivers, each defined in its own room (src/native/driver.c, src/op/table.c, src/cl/class.c)
 * and named by none but src/drivers/table.c and tests. */
#ifndef PLUMB_CLASSES_H
#define PLUMB_CLASSES_H

#include "core/core.h"

extern const struct plumb_driver_class plumb_native_class, plumb_ref_class, plumb_cl_class;

#endif
