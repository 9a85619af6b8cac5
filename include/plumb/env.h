/* SPDX-License-Identifier: Apache-2.0 */
/* The environment variables that plumb reads. They are read when a context is opened, and the options of
 * plumb_open() take precedence over them. */
#ifndef PLUMB_ENV_H
#define PLUMB_ENV_H

#include <stdbool.h>
#include <plumb/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The environment variables that plumb reads, one row each. */
struct plumb_env {
	const char *name;
	const char *meaning;
	const char *fallback; /* what holds when it is unset, in words */
	const char *value;    /* from the environment; NULL: unset. An empty value counts as unset */
};
/* Row `index`; false past the end. */
PLUMB_API bool plumb_env_row(int index, struct plumb_env *row);

#ifdef __cplusplus
}
#endif
#endif
