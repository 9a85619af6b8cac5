/* SPDX-License-Identifier: Apache-2.0 */
/* The version of plumb, by the rules of Semantic Versioning 2.0.0. While the major number is 0 a new minor
 * number may change the interface; NEWS says how. A new patch number never does. */
#ifndef PLUMB_VERSION_H
#define PLUMB_VERSION_H

#include <plumb/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of these headers, which a program was compiled with. */
#define PLUMB_VERSION_MAJOR 0
#define PLUMB_VERSION_MINOR 2
#define PLUMB_VERSION_PATCH 0
/* Comparable with the macro below: `#if PLUMB_VERSION >= PLUMB_VERSION_NUMBER(0, 2, 0)`. */
#define PLUMB_VERSION PLUMB_VERSION_NUMBER(PLUMB_VERSION_MAJOR, PLUMB_VERSION_MINOR, PLUMB_VERSION_PATCH)
#define PLUMB_VERSION_NUMBER(major, minor, patch) ((major)*10000 + (minor)*100 + (patch))

/* The version of the library that runs, as PLUMB_VERSION. It differs from the headers' where a shared library
 * was replaced after the program was compiled. Never fails. */
PLUMB_API int plumb_version(void);

/* The same as text, "0.2.0". A constant; never NULL. */
PLUMB_API const char *plumb_version_text(void);

#ifdef __cplusplus
}
#endif
#endif
