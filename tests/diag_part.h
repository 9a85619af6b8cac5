/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a diagnosis say. */
#ifndef PLUMB_TESTS_DIAG_PART_H
#define PLUMB_TESTS_DIAG_PART_H

#include "suite.h"
#include "diag/diag.h"

static inline json_t *part(struct plumb_diag *diag, const char *name)
{
	json_t *p;
	ck_good(plumb_diag_result(diag, name, &p));
	return p;
}

/* "" where there is no text of that name. */
static inline const char *word(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

#endif
