/* SPDX-License-Identifier: Apache-2.0 */
/* A sanitizer asks whether an access is right, which it is with every number of threads or rows alike and
 * takes many times as long: tests of time or of equal bits do less there. */
#ifndef PLUMB_TESTS_SANITIZED_H
#define PLUMB_TESTS_SANITIZED_H

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

#endif
