/* SPDX-License-Identifier: Apache-2.0 */
/* Result codes and the text of the last error, one per thread. Prints nothing. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "core/core.h"

static _Thread_local char last_error[1024];

static const char *const names[] = {
	"success",
	"bad argument",
	"out of memory",
	"input/output error",
	"broken file",
	"wrong shape",
	"wrong type",
	"not supported",
	"driver not available",
	"device error",
	"limit reached",
	"cancelled",
	"internal error",
	"values that are not finite",
};

const char *plumb_strerror(enum plumb_status status)
{
	int i = -(int)status;
	return i >= 0 && i < (int)(sizeof names / sizeof *names) ? names[i] : "unknown status";
}

const char *plumb_last_error(void) { return last_error; }

enum plumb_status plumb_fail(enum plumb_status status, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	plumb_vformat(last_error, sizeof last_error, format, args);
	va_end(args);
	return status;
}

enum plumb_status plumb_fail_in(enum plumb_status status, const char *format, ...)
{
	char old[sizeof last_error];
	memcpy(old, last_error, sizeof old);
	va_list args;
	va_start(args, format);
	int n = plumb_vformat(last_error, sizeof last_error, format, args);
	va_end(args);
	if (n < 0 || (size_t)n + 3 > sizeof last_error)
		return status;
	size_t room = sizeof last_error - (size_t)n - 3, length = strnlen(old, room);
	memcpy(last_error + n, ": ", 2);
	memcpy(last_error + n + 2, old, length);
	last_error[(size_t)n + 2 + length] = 0;
	return status;
}
