/* SPDX-License-Identifier: Apache-2.0 */
/* What a test asks of tests/inject/opencl.c, by dlsym. */
#ifndef INJECT_OPENCL_H
#define INJECT_OPENCL_H

/* Count anew, and from now on let call n (1: the first) of function `kind` fail with this code; on: and all
 * calls after it. kind -1: none. */
void inject_arm(int kind, long n, int code, int on);
const char *inject_name(int kind); /* NULL: past the last */
long inject_calls(int kind);       /* since the last inject_arm */
long inject_hits(void);            /* calls that failed so */
long inject_live(void); /* contexts, queues, buffers, programs and kernels that were made and not released */

#endif
