/* SPDX-License-Identifier: Apache-2.0 */
/* A diagnosis with the reference that it is of, and what its parts say. */
#ifndef PLUMB_DIAG_OPENED_H
#define PLUMB_DIAG_OPENED_H

#include "suite.h"
#include "diag/diag.h"

struct opened { struct plumb_reference *reference; struct plumb_diag *diag; };

static inline void close_diag(struct opened *o)
{
	plumb_diag_free(o->diag);
	plumb_reference_free(o->reference);
}

static inline json_t *part(struct opened *o, const char *name)
{
	json_t *p;
	ck_good(plumb_diag_part(o->diag, name, &p));
	return p;
}

static inline const char *text(const json_t *o, const char *key)
{
	const char *t = json_string_value(json_object_get(o, key));
	return t ? t : "";
}

#endif
