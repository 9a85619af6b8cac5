/* SPDX-License-Identifier: Apache-2.0 */
/* matmul_add on OpenCL: matmul's kernels, whose bias may be a matrix. */
#include "cl/op/op.h"

enum plumb_status plumb_cl_matmul_add(struct plumb_driver *driver, const struct plumb_call *call)
{
	return plumb_cl_matmul(driver, call);
}
