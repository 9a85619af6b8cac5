/* SPDX-License-Identifier: Apache-2.0 */
/* The precision that a reference was computed or stored in. */
#ifndef PLUMB_DIAG_STORED_H
#define PLUMB_DIAG_STORED_H

#include "diag/reference/capture.h"

struct plumb_reference;
enum plumb_stored { PLUMB_STORED_FP32, PLUMB_STORED_BF16, PLUMB_STORED_FP16 };
/* From the bits of all values of the reference. */
enum plumb_stored plumb_reference_stored(const struct plumb_reference *reference);
float plumb_round_to(enum plumb_stored stored, float x);
enum plumb_type plumb_stored_type(enum plumb_stored stored);
const char *plumb_stored_name(enum plumb_stored stored); /* "bf16" */
double plumb_least_floor(enum plumb_stored stored); /* relative: no value of such a reference is better */

#endif
