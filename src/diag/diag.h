/* SPDX-License-Identifier: Apache-2.0 */
/* The top of the diagnosis: everything above single checks. */
#ifndef PLUMB_DIAG_PRIVATE_H
#define PLUMB_DIAG_PRIVATE_H

#include "diag/check/check.h"

/* Result of a check by its name; borrowed. PLUMB_E_ARGUMENT: there is none of that name. In diag.c. */
enum plumb_status plumb_diag_result(struct plumb_diag *d, const char *name, json_t **result);
/* Every check that has something to say, and one verdict. In report.c. */
extern const struct plumb_check plumb_diag_report;

#endif
