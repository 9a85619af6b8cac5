/* SPDX-License-Identifier: Apache-2.0 */
/* What a file holds and plumb does not use, for plumb info: keys and tensors, with the reason. */
#include "cli/cli.h"
#include <string.h>

/* Entry i of a file, its keys first, then its tensors; false past the end. */
struct entry {
	struct plumb_span name;
	bool is_key;
	enum plumb_use use;
	const char *why;
};

static bool unused_entry_at(const struct plumb_file *file, int64_t i, struct entry *e)
{
	const struct plumb_meta *m = plumb_file_meta(file, i);
	const struct plumb_file_tensor *t = plumb_file_tensor(file, i - plumb_file_metas(file));
	e->why = "";
	if (m)
		*e = (struct entry){ m->key, true, plumb_model_key_use(file, m, &e->why), e->why };
	else if (t)
		*e = (struct entry){ t->name, false, plumb_model_tensor_use(file, t, &e->why), e->why };
	return m || t;
}

/* A safetensors file is a list of tensors: nobody has said what they are for. */
static bool unused_has_meaning(const struct plumb_file *file)
{
	return !strncmp(plumb_file_format(file), "GGUF", 4);
}

void cli_unused_print(const struct plumb_file *file)
{
	struct entry e;
	int64_t harmless = 0;
	for (int64_t i = 0; unused_has_meaning(file) && unused_entry_at(file, i, &e); i++) {
		harmless += e.use == PLUMB_USE_HARMLESS;
		if (e.use != PLUMB_USE_IGNORED && e.use != PLUMB_USE_REFUSED)
			continue;
		printf("%-12s %s ", e.use == PLUMB_USE_REFUSED ? "refused" : "not used", e.is_key ? "key" : "tensor");
		cli_put_escaped(e.name, 200);
		printf(": %s\n", e.why);
	}
	if (harmless)
		printf("%-12s %lld keys and tensors on which no result depends; --json lists them\n", "not used",
			(long long)harmless);
}

json_t *cli_unused_json(const struct plumb_file *file)
{
	static const char *const uses[] = {
		[PLUMB_USE_HARMLESS] = "harmless", [PLUMB_USE_IGNORED] = "ignored", [PLUMB_USE_REFUSED] = "refused"
	};
	struct entry e;
	json_t *list = json_array();
	for (int64_t i = 0; unused_has_meaning(file) && unused_entry_at(file, i, &e); i++)
		if (e.use != PLUMB_USE_READ)
			json_array_append_new(list,
				json_pack("{s:o, s:s, s:s, s:o}", "name", cli_json_span(e.name), "what",
					e.is_key ? "key" : "tensor", "use", uses[e.use], "why", cli_json_text(e.why)));
	return list;
}
