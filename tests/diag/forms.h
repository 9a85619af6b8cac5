/* SPDX-License-Identifier: Apache-2.0 */
/* The porting bugs in models of other forms than the small ones in tests/data. */
#ifndef PLUMB_DIAG_FORMS_H
#define PLUMB_DIAG_FORMS_H

#include <check.h>

void add_diag_forms(Suite *suite);

#endif
