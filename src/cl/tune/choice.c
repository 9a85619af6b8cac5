/* SPDX-License-Identifier: Apache-2.0 */
/* Which way a matmul goes: what `plumb tune` measured on this device, kept as JSON beside the compiled kernels under the same
 * kind of key; without it a fixed way. Measuring is in tune.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>
#include <jansson.h>
#include "cl/cl.h"
#include "core/json.h"

#define MOST_ROWS 4096 /* of a file that makes sense */

static const char *const names[PLUMB_CL_WAYS] = { "mt1", "mt4", "mt8", "block", "clblast" };
_Static_assert(PLUMB_CL_WAYS == PLUMB_TUNE_WAYS, "tune.h");

const char *plumb_tune_way(int way) { return way >= 0 && way < PLUMB_CL_WAYS ? names[way] : NULL; }

static int way_of(const char *name)
{
	for (int i = 0; name && i < PLUMB_CL_WAYS; i++)
		if (!strcasecmp(names[i], name))
			return i;
	return -1;
}

static char *tuning_key(const struct plumb_cl_state *cl)
{
	char *text, *key = NULL;
	if (!plumb_cl_source(cl, "matmul", &text)) {
		key = plumb_cl_cache_key(&cl->device, "matmul", cl->cpu ? "tune 1 cpu" : "tune 1 gpu", text);
		free(text);
	}
	return key;
}

/* --- reading --- */

static bool whole(const json_t *o, const char *name, int64_t low, int64_t *value)
{
	const json_t *v = json_object_get(o, name);
	*value = json_integer_value(v);
	return json_is_integer(v) && *value >= low;
}

static bool read_way(const json_t *o, struct plumb_tune_result *r)
{
	const json_t *seconds = json_object_get(o, "seconds"), *wrong = json_object_get(o, "wrong");
	int64_t timings = 0;
	if (!o)
		return true; /* not measured */
	if (!json_is_number(seconds) || !(json_number_value(seconds) >= 0) || !whole(o, "timings", 0, &timings) || timings > 1000)
		return false;
	*r = (struct plumb_tune_result){ json_number_value(seconds), (int)timings, json_is_true(wrong) };
	return true;
}

static bool read_row(const json_t *o, const struct plumb_cl_state *cl, struct plumb_tune_row *row)
{
	const char *type = json_string_value(json_object_get(o, "type"));
	const json_t *ways = json_object_get(o, "ways");
	int found = PLUMB_TYPE_COUNT;
	*row = (struct plumb_tune_row){ .fixed = way_of(json_string_value(json_object_get(o, "fixed"))),
		.chosen = way_of(json_string_value(json_object_get(o, "chosen"))) };
	for (int t = 0; type && t < PLUMB_TYPE_COUNT; t++)
		if (!strcmp(plumb_type_name((enum plumb_type)t), type))
			found = t;
	row->type = (enum plumb_type)found;
	bool good = found < PLUMB_TYPE_COUNT && row->fixed >= 0 && row->chosen >= 0 && whole(o, "n", 1, &row->n) && whole(o, "k", 1, &row->k) &&
		whole(o, "m_low", 1, &row->m_low) && whole(o, "m_high", 0, &row->m_high) && whole(o, "m", 1, &row->m) && json_is_object(ways);
	for (int i = 0; good && i < PLUMB_CL_WAYS; i++)
		good = read_way(json_object_get(ways, names[i]), &row->way[i]);
	/* A CPU's kernel on a GPU would be wrong; CLBlast may just be away. */
	return good && (row->chosen == PLUMB_CL_CLBLAST || plumb_cl_way_can(cl, (enum plumb_cl_way)row->chosen));
}

static void take_rows(struct plumb_cl_state *cl, const json_t *root, const char *key)
{
	const json_t *list = json_object_get(root, "rows"), *kept = json_object_get(root, "key");
	size_t count = json_array_size(list);
	json_t *ours = plumb_json_text(key); /* as it was written */
	bool same = ours && json_equal(kept, ours);
	json_decref(ours);
	if (!same || !count || count > MOST_ROWS || !(cl->rows = calloc(count, sizeof *cl->rows)))
		return;
	for (size_t i = 0; i < count; i++)
		if (!read_row(json_array_get(list, i), cl, &cl->rows[i])) {
			free(cl->rows); /* one broken row: who knows about the others */
			cl->rows = NULL;
			return;
		}
	cl->row_count = (int)count;
}

void plumb_cl_choice_read(struct plumb_driver *driver)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	if (cl->tuned)
		return;
	cl->tuned = true;
	char *key = tuning_key(cl);
	if (key && plumb_cl_cache_path(cl, key, ".tune.json", cl->tune_file)) {
		json_t *root = json_load_file(cl->tune_file, 0, NULL);
		take_rows(cl, root, key);
		json_decref(root);
	} else {
		cl->tune_file[0] = 0;
	}
	free(key);
}

/* --- writing --- */

static json_t *row_json(const struct plumb_tune_row *r)
{
	json_t *ways = json_object();
	for (int i = 0; i < PLUMB_CL_WAYS; i++)
		if (r->way[i].timings || r->way[i].wrong)
			json_object_set_new(ways, names[i], json_pack("{s:f, s:i, s:b}", "seconds", r->way[i].seconds, "timings", r->way[i].timings, "wrong", r->way[i].wrong));
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:o}", "type", plumb_type_name(r->type), "n", (json_int_t)r->n, "k", (json_int_t)r->k,
		"m_low", (json_int_t)r->m_low, "m_high", (json_int_t)r->m_high, "m", (json_int_t)r->m, "fixed", names[r->fixed], "chosen", names[r->chosen], "ways", ways);
}

enum plumb_status plumb_cl_choice_write(struct plumb_driver *driver)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	char *key = tuning_key(cl);
	json_t *list = json_array();
	for (int i = 0; i < cl->row_count; i++)
		json_array_append_new(list, row_json(&cl->rows[i]));
	json_t *root = key ? json_pack("{s:o, s:o}", "key", plumb_json_text(key), "rows", list) : NULL;
	char *text = root ? plumb_json_write(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
	struct iovec part[] = { { text, text ? strlen(text) : 0 }, { "\n", 1 } };
	enum plumb_status s = PLUMB_OK;
	if (!text)
		s = plumb_fail(PLUMB_E_MEMORY, "no memory for a tuning file");
	else if (!*cl->tune_file)
		s = plumb_fail(PLUMB_E_IO, "there is no folder for a tuning file: set AR_HARDWARE_LIBS to one that can be written");
	else if (!plumb_cl_cache_replace(cl->tune_file, part, 2))
		s = plumb_fail(PLUMB_E_IO, "%s can't be written (AR_HARDWARE_LIBS)", cl->tune_file);
	free(text);
	json_decref(root);
	free(key);
	return s;
}

/* --- choosing --- */

/* A user's word; false: none. */
static enum plumb_status forced(const struct plumb_cl_state *cl, const char *word, enum plumb_cl_way *way)
{
	int found = way_of(word);
	if (found < 0)
		return plumb_fail(PLUMB_E_INTERNAL, "PLUMB_CL_MATMUL=%s is in the table of variables, but not among the ways", word);
	if (!plumb_cl_way_can(cl, (enum plumb_cl_way)found))
		return plumb_fail(found == PLUMB_CL_CLBLAST ? PLUMB_E_DRIVER : PLUMB_E_ARGUMENT, "PLUMB_CL_MATMUL=%s: %s", word,
			found != PLUMB_CL_CLBLAST ? "that kernel is for CPUs" : cl->no_clblast ? "it does not work on this device" : plumb_cl_clblast_missing());
	*way = (enum plumb_cl_way)found;
	return PLUMB_OK;
}

enum plumb_status plumb_cl_choice(struct plumb_driver *driver, const struct plumb_call *call, enum plumb_cl_way *way)
{
	struct plumb_cl_state *cl = plumb_cl_state(driver);
	const struct plumb_tensor *w = call->in[plumb_desc_weight(plumb_op_table[call->op])];
	int64_t m = call->in[0]->dim[0];
	const char *word = cl->only < 0 && m > 1 ? cl->set.matmul : NULL;
	*way = cl->only < 0 ? plumb_cl_way_fixed(cl, m) : (enum plumb_cl_way)cl->only;
	if (word && strcasecmp(word, "own"))
		return forced(cl, word, way);
	if (cl->only >= 0 || m == 1 || word)
		return PLUMB_OK;
	plumb_cl_choice_read(driver);
	for (int i = 0; i < cl->row_count; i++) {
		const struct plumb_tune_row *r = &cl->rows[i];
		if (r->type == w->type && r->n == w->dim[0] && r->k == w->dim[1] && m >= r->m_low && (!r->m_high || m <= r->m_high) &&
			plumb_cl_way_can(cl, (enum plumb_cl_way)r->chosen))
			*way = (enum plumb_cl_way)r->chosen;
	}
	return PLUMB_OK;
}
