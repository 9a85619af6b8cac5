/* SPDX-License-Identifier: Apache-2.0 */
/* Single keys of the configuration: looked up, of the right kind, within bounds. */
#include <string.h>
#include "model/config.h"

#define MOST (INT64_C(1) << 24) /* no dimension of a small transformer is beyond 16 million */

static bool config_key_declared(const struct plumb_key_row *row, const char *name)
{
	for (; row && row->name; row++)
		if (!strcmp(row->name, name))
			return true;
	return false;
}

enum plumb_status plumb_config_look_up(struct plumb_config_reader *r, const char *name)
{
	r->m = plumb_family_key(r->family, r->file, name, r->full);
	return config_key_declared(r->family->own, name) || config_key_declared(r->family->keys, name)
		? PLUMB_OK
		: plumb_fail(PLUMB_E_INTERNAL, "the key %s is in no table", r->full);
}

/* One number for all layers, or a list of equal ones. */
static enum plumb_status config_key_one_for_all(const struct plumb_config_reader *r, int64_t *value)
{
	const struct plumb_meta *m = r->m;
	if (m->kind == PLUMB_META_INT) {
		*value = m->i;
		return PLUMB_OK;
	}
	if (m->kind != PLUMB_META_ARRAY || m->of != PLUMB_META_INT || !m->n)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is not a whole number", r->full);
	*value = plumb_meta_int_at(m, 0);
	for (uint64_t i = 1; i < m->n; i++)
		if (plumb_meta_int_at(m, i) != *value)
			return plumb_fail(PLUMB_E_UNSUPPORTED,
				"the key %s differs between layers (%lld and %lld): layers of different shapes are not "
				"computed",
				r->full, (long long)*value, (long long)plumb_meta_int_at(m, i));
	return PLUMB_OK;
}

enum plumb_status plumb_config_read_int(
	struct plumb_config_reader *r, const char *name, int64_t fallback, int64_t *value)
{
	PLUMB_TRY(plumb_config_look_up(r, name));
	*value = fallback;
	if (!r->m)
		return fallback >= 0 ? PLUMB_OK : plumb_fail(PLUMB_E_FORMAT, "the key %s is missing", r->full);
	PLUMB_TRY(config_key_one_for_all(r, value));
	if (*value < 1 || *value > MOST)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is %lld, must be from 1 to %lld", r->full,
			(long long)*value, (long long)MOST);
	return PLUMB_OK;
}

enum plumb_status plumb_config_read_float(
	struct plumb_config_reader *r, const char *name, double fallback, double low, double high, double *value)
{
	PLUMB_TRY(plumb_config_look_up(r, name));
	const struct plumb_meta *m = r->m;
	*value = fallback;
	if (!m)
		return fallback > 0 ? PLUMB_OK : plumb_fail(PLUMB_E_FORMAT, "the key %s is missing", r->full);
	if (m->kind != PLUMB_META_FLOAT && m->kind != PLUMB_META_INT)
		return plumb_fail(PLUMB_E_FORMAT, "the key %s is not a number", r->full);
	if (!(m->f >= low && m->f <= high))
		return plumb_fail(
			PLUMB_E_FORMAT, "the key %s is %g, must be from %g to %g", r->full, m->f, low, high);
	*value = m->f;
	return PLUMB_OK;
}
