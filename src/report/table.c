/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and cells of the tables that diag declares, for the terminal and for the page. */
#include <math.h>
#include <string.h>
#include "report/report.h"

size_t plumb_table_rows(
	const struct plumb_table *table, const json_t *result, bool brief, plumb_table_fn see, void *user)
{
	const json_t *outer = plumb_field(result, table->rows);
	size_t count = 0;
	for (size_t i = 0; i < json_array_size(outer); i++) {
		const json_t *one = json_array_get(outer, i),
					 *inner = table->inner ? plumb_field(one, table->inner) : NULL;
		for (size_t j = 0, n = table->inner ? json_array_size(inner) : 1; j < n; j++) {
			const json_t *row = table->inner ? json_array_get(inner, j) : one;
			if ((table->of && !table->of(row)) || (brief && table->brief && !table->brief(row)))
				continue;
			if (see)
				see(user, table, one, row);
			count++;
		}
	}
	return count;
}

bool plumb_table_right(const struct plumb_column *column)
{
	return column->kind != PLUMB_CELL_TEXT && column->kind != PLUMB_CELL_FLAG;
}

/* A list of numbers is a shape, one of texts reads with semicolons. */
static void table_put_value(struct plumb_string *s, const json_t *value)
{
	if (json_is_string(value))
		plumb_string_put(s, *json_string_value(value) ? json_string_value(value) : "-");
	else if (json_is_number(value))
		plumb_string_format(s, "%.6g", json_number_value(value));
	else if (json_array_size(value))
		for (size_t i = 0; i < json_array_size(value); i++) {
			const json_t *one = json_array_get(value, i);
			plumb_string_put(s, !i ? "" : json_is_number(one) ? " x " : "; ");
			table_put_value(s, one);
		}
	else
		plumb_string_put(s, json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
}

void plumb_table_cell(
	struct plumb_string *s, const struct plumb_column *column, const json_t *outer, const json_t *row)
{
	const char *path = column->path;
	const json_t *value = *path == '^' ? plumb_field(outer, path + 1) : plumb_field(row, path);
	double x = json_is_number(value) ? json_number_value(value) : (double)NAN;
	if (column->kind == PLUMB_CELL_TEXT || column->kind == PLUMB_CELL_FLAG)
		table_put_value(s, value);
	else if (isnan(x)) /* a measure that is null was not finite; elsewhere null is nothing */
		plumb_string_put(s, json_is_null(value) && strchr(path, '.') ? "not finite" : "-");
	else if (column->kind == PLUMB_CELL_WHOLE)
		x < 0 ? plumb_string_put(s, "-") : plumb_string_format(s, "%.0f", x);
	else if (column->kind == PLUMB_CELL_SMALL)
		x == 0 ? plumb_string_put(s, "0") : plumb_string_format(s, "%.1e", x);
	else if (column->kind == PLUMB_CELL_FINE)
		plumb_string_format(s, "%.8g", x);
	else if (column->kind == PLUMB_CELL_TIMES)
		plumb_string_format(s, x >= 100 ? "%.0fx" : x >= 10 ? "%.1fx" : "%.2fx", x);
	else if (column->kind == PLUMB_CELL_SCORE)
		plumb_string_format(s, "%.2f", x);
	else if (column->kind == PLUMB_CELL_SHARE)
		plumb_string_format(s, "%.0f%%", 100 * x);
	else
		plumb_string_format(s, "%.4g", x);
}
