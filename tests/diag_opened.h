/* SPDX-License-Identifier: Apache-2.0 */
/* A diagnosis with the reference that it is of. */
#ifndef PLUMB_DIAG_OPENED_H
#define PLUMB_DIAG_OPENED_H

#include "diag_part.h"

struct opened {
	struct plumb_reference *reference;
	struct plumb_diag *diag;
};

static inline void close_diag(struct opened *o)
{
	plumb_diag_free(o->diag);
	plumb_reference_free(o->reference);
}

#endif
