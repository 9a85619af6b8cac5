/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the context's user what is worth knowing though nothing failed: one line each. */
#include <stdarg.h>
#include <string.h>
#include "core/core.h"

void plumb_notice(struct plumb_context *ctx, const char *format, ...)
{
	char line[512];
	va_list args;
	if (!ctx->notice)
		return;
	va_start(args, format);
	plumb_vformat(line, sizeof line, format, args);
	va_end(args);
	for (char *p = line; (p = strchr(p, '\n')); p++)
		*p = p[1] ? ' ' : 0;
	ctx->notice(ctx->notice_user, line);
}
