/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between the layers of one model, for check_cl. */
#ifndef PLUMB_TESTS_CL_LAYERS_H
#define PLUMB_TESTS_CL_LAYERS_H

#include <check.h>
#include "core/core.h"

/* Tests on this context, which must have cl alone. */
TCase *cl_layers(struct plumb_context *ctx);

#endif
