/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUMB_CL_CANARY_H
#define PLUMB_CL_CANARY_H

#include "core/core.h"

/* Before the first real use of a kernel: compares a slice of the call with the float64 truth.
 * PLUMB_E_UNSUPPORTED: the kernel is wrong or fails on this device. A function of the driver class
 * (core/core.h). */
enum plumb_status plumb_cl_canary(struct plumb_driver *driver, const struct plumb_call *call);

#endif
