/* SPDX-License-Identifier: Apache-2.0 */
/* The version of this library, from the header that it was compiled with. */
#include <plumb/version.h>

#define TEXT(x) #x
#define DOTTED(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

int plumb_version(void) { return PLUMB_VERSION; }

const char *plumb_version_text(void)
{
	return DOTTED(PLUMB_VERSION_MAJOR, PLUMB_VERSION_MINOR, PLUMB_VERSION_PATCH);
}
