/* SPDX-License-Identifier: Apache-2.0 */
/* Which checks have a section in a report's text and page. */
#include <string.h>
#include "report/report.h"

const json_t *plumb_report_section(const json_t *report, const struct plumb_check_row *row)
{
	const json_t *result = row->title && row->turn ? plumb_field(report, row->check->name) : NULL;
	return *plumb_field_text(result, "text") || *plumb_field_text(result, "failed") ? result : NULL;
}

bool plumb_report_said(const json_t *report, const struct plumb_check_row *row)
{
	const json_t *said = plumb_field(report, "verdict.said");
	for (size_t i = 0; i < json_array_size(said); i++) {
		const char *name = json_string_value(json_array_get(said, i));
		if (name && !strcmp(name, row->check->name))
			return true;
	}
	return false;
}
