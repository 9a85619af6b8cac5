/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of a family ask of a metadata key. */
#include <stdio.h>
#include <string.h>
#include "model/family.h"

bool plumb_family_text_is(const struct plumb_meta *m, const char *text)
{
	return m->kind == PLUMB_META_STRING && m->s.n == strlen(text) && !memcmp(m->s.p, text, m->s.n);
}

const struct plumb_meta *plumb_family_key(
	const struct plumb_family *family, const struct plumb_file *file, const char *name, char full[PLUMB_KEY])
{
	snprintf(full, PLUMB_KEY, "%s.%s", family->name, name);
	return plumb_file_meta_find(file, full);
}

int64_t plumb_family_whole(
	const struct plumb_family *family, const struct plumb_file *file, const char *name, int64_t fallback)
{
	char full[PLUMB_KEY];
	const struct plumb_meta *m = plumb_family_key(family, file, name, full);
	if (m && m->kind == PLUMB_META_INT)
		return m->i;
	if (!m || m->kind != PLUMB_META_ARRAY || m->of != PLUMB_META_INT || !m->n)
		return fallback;
	for (uint64_t i = 1; i < m->n; i++)
		if (plumb_meta_int_at(m, i) != plumb_meta_int_at(m, 0))
			return fallback;
	return plumb_meta_int_at(m, 0);
}

static bool family_key_neutral_number(double value, enum plumb_neutral neutral)
{
	return (value == 0 && (neutral == PLUMB_NEUTRAL_0 || neutral == PLUMB_NEUTRAL_0_OR_1)) ||
		(value == 1 && (neutral == PLUMB_NEUTRAL_1 || neutral == PLUMB_NEUTRAL_0_OR_1));
}

bool plumb_family_is_neutral(const struct plumb_meta *m, enum plumb_neutral neutral)
{
	if (m->kind == PLUMB_META_STRING || (m->kind == PLUMB_META_ARRAY && m->of == PLUMB_META_STRING))
		return false;
	for (uint64_t i = 0; m->kind == PLUMB_META_ARRAY && i < m->n; i++)
		if (!family_key_neutral_number(plumb_meta_float_at(m, i), neutral))
			return false;
	return m->kind == PLUMB_META_ARRAY ||
		family_key_neutral_number(m->kind == PLUMB_META_FLOAT ? m->f : (double)m->i, neutral);
}
