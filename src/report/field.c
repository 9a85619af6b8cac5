/* SPDX-License-Identifier: Apache-2.0 */
/* Values out of a result's JSON, by their path. */
#include <math.h>
#include <string.h>
#include "report/report.h"

const json_t *plumb_field(const json_t *root, const char *path)
{
	for (;;) {
		size_t n = strcspn(path, ".");
		char key[64];
		if (n >= sizeof key)
			return NULL;
		memcpy(key, path, n);
		key[n] = 0;
		root = json_object_get(root, key);
		if (!root || !path[n])
			return root;
		path += n + 1;
	}
}

double plumb_field_number(const json_t *root, const char *path)
{
	const json_t *value = plumb_field(root, path);
	return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *plumb_field_text(const json_t *root, const char *path)
{
	const char *text = json_string_value(plumb_field(root, path));
	return text ? text : "";
}

const char *plumb_element_text(const json_t *array, size_t i)
{
	const char *text = json_string_value(json_array_get(array, i));
	return text ? text : "";
}

bool plumb_field_true(const json_t *root, const char *path) { return json_is_true(plumb_field(root, path)); }

int plumb_layer_count(const json_t *layers)
{
	double most = -1;
	for (size_t i = 0; i < json_array_size(layers); i++)
		most = fmax(most, plumb_field_number(json_array_get(layers, i), "layer"));
	return most < 4096 ? (int)most + 1 : 0;
}
