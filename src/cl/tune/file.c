/* SPDX-License-Identifier: Apache-2.0 */
/* The tuning file: what `plumb tune` measured on this device, kept as JSON beside the compiled kernels under
 * the same kind of key. */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <jansson.h>
#include "cl/driver/kernel.h"
#include "cl/tune/tune.h"
#include "core/json.h"

#define MOST_ROWS 4096 /* of a file that makes sense */

static char *file_key(const struct plumb_cl_state *cl)
{
	char *text, *key = NULL;
	if (!plumb_cl_source(cl, "matmul", &text)) {
		key = plumb_cl_cache_key(&cl->device, "matmul", cl->cpu ? "tune 1 cpu" : "tune 1 gpu", text);
		free(text);
	}
	return key;
}

/* --- reading --- */

static bool file_whole(const json_t *o, const char *name, int64_t low, int64_t *value)
{
	const json_t *v = json_object_get(o, name);
	*value = json_integer_value(v);
	return json_is_integer(v) && *value >= low;
}

static bool file_read_variant(const json_t *o, struct plumb_tune_result *r)
{
	const json_t *seconds = json_object_get(o, "seconds"), *wrong = json_object_get(o, "wrong");
	int64_t timings = 0;
	if (!o)
		return true; /* not measured */
	if (!json_is_number(seconds) || !(json_number_value(seconds) >= 0) ||
		!file_whole(o, "timings", 0, &timings) || timings > 1000)
		return false;
	*r = (struct plumb_tune_result){ json_number_value(seconds), (int)timings, json_is_true(wrong) };
	return true;
}

static bool file_read_row(const json_t *o, const struct plumb_cl_state *cl, struct plumb_tune_row *row)
{
	const char *type = json_string_value(json_object_get(o, "type"));
	const json_t *variants = json_object_get(o, "ways");
	int found = PLUMB_TYPE_COUNT;
	*row = (struct plumb_tune_row){ .fixed = plumb_cl_variant_named(
										json_string_value(json_object_get(o, "fixed"))),
		.chosen = plumb_cl_variant_named(json_string_value(json_object_get(o, "chosen"))) };
	for (int t = 0; type && t < PLUMB_TYPE_COUNT; t++)
		if (!strcmp(plumb_type_name((enum plumb_type)t), type))
			found = t;
	row->type = (enum plumb_type)found;
	bool good = found < PLUMB_TYPE_COUNT && row->fixed >= 0 && row->chosen >= 0 &&
		file_whole(o, "n", 1, &row->n) && file_whole(o, "k", 1, &row->k) &&
		file_whole(o, "m_low", 1, &row->m_low) && file_whole(o, "m_high", 0, &row->m_high) &&
		file_whole(o, "m", 1, &row->m) && json_is_object(variants);
	for (int i = 0; good && i < PLUMB_CL_VARIANTS; i++)
		good = file_read_variant(json_object_get(variants, plumb_tune_variant(i)), &row->variant[i]);
	/* A CPU's kernel on a GPU would be wrong; CLBlast may just be away. */
	return good &&
		(row->chosen == PLUMB_CL_CLBLAST || plumb_cl_variant_can(cl, (enum plumb_cl_variant)row->chosen));
}

static void file_take_rows(struct plumb_cl_state *cl, const json_t *root, const char *key)
{
	const json_t *list = json_object_get(root, "rows"), *kept = json_object_get(root, "key");
	size_t count = json_array_size(list);
	json_t *ours = plumb_json_text(key); /* as it was written */
	bool same = ours && json_equal(kept, ours);
	json_decref(ours);
	if (!same || !count || count > MOST_ROWS || !(cl->tuning.rows = calloc(count, sizeof *cl->tuning.rows)))
		return;
	for (size_t i = 0; i < count; i++)
		if (!file_read_row(json_array_get(list, i), cl, &cl->tuning.rows[i])) {
			free(cl->tuning.rows); /* one broken row: who knows about the others */
			cl->tuning.rows = NULL;
			return;
		}
	cl->tuning.count = (int)count;
}

void plumb_cl_file_read(struct plumb_driver *driver)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	if (cl->tuning.read)
		return;
	cl->tuning.read = true;
	char *key = file_key(cl);
	if (key && plumb_cl_cache_path(cl, key, ".tune.json", cl->tuning.file)) {
		json_t *root = json_load_file(cl->tuning.file, 0, NULL);
		file_take_rows(cl, root, key);
		json_decref(root);
	} else {
		cl->tuning.file[0] = 0;
	}
	free(key);
}

/* --- writing --- */

/* NULL: no memory. */
static json_t *file_row_json(const struct plumb_tune_row *r)
{
	json_t *variants = json_object();
	bool lost = false;
	for (int i = 0; i < PLUMB_CL_VARIANTS; i++)
		if (r->variant[i].timings || r->variant[i].wrong)
			lost |= json_object_set_new(variants, plumb_tune_variant(i),
						json_pack("{s:f, s:i, s:b}", "seconds", r->variant[i].seconds, "timings",
							r->variant[i].timings, "wrong", r->variant[i].wrong)) != 0;
	json_t *row = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:o}", "type", plumb_type_name(r->type),
		"n", (json_int_t)r->n, "k", (json_int_t)r->k, "m_low", (json_int_t)r->m_low, "m_high",
		(json_int_t)r->m_high, "m", (json_int_t)r->m, "fixed", plumb_tune_variant(r->fixed), "chosen",
		plumb_tune_variant(r->chosen), "ways", variants);
	if (lost) {
		json_decref(row);
		return NULL;
	}
	return row;
}

/* The whole file; NULL: no memory, for a part of it would be read as all of it. */
static char *file_text(const struct plumb_cl_state *cl)
{
	char *key = file_key(cl), *text = NULL;
	json_t *list = json_array();
	bool lost = !key;
	for (int i = 0; i < cl->tuning.count; i++)
		lost |= json_array_append_new(list, file_row_json(&cl->tuning.rows[i])) != 0;
	json_t *root = json_pack("{s:o, s:o}", "key", plumb_json_text(key ? key : ""), "rows", list);
	if (root && !lost)
		text = plumb_json_write(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
	json_decref(root);
	free(key);
	return text;
}

enum plumb_status plumb_cl_file_write(struct plumb_driver *driver)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	char *text = file_text(cl);
	struct iovec pieces[] = { { text, text ? strlen(text) : 0 }, { "\n", 1 } };
	enum plumb_status s = PLUMB_OK;
	if (!text)
		s = plumb_fail(PLUMB_E_MEMORY, "no memory for a tuning file");
	else if (!*cl->tuning.file)
		s = plumb_fail(PLUMB_E_IO,
			"there is no folder for a tuning file: set AR_HARDWARE_LIBS to one that can be written");
	else if (!plumb_cl_cache_replace(cl->tuning.file, pieces, 2))
		s = plumb_fail(PLUMB_E_IO, "%s can't be written (AR_HARDWARE_LIBS)", cl->tuning.file);
	free(text);
	return s;
}
