/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the configuration: single keys, and what families and layers differ in. */
#ifndef PLUMB_MODEL_CONFIG_H
#define PLUMB_MODEL_CONFIG_H

#include "model/family.h"
#include "model/model.h"

/* --- config_key.c --- */
struct plumb_config_reader {
	const struct plumb_file *file;
	const struct plumb_family *family;
	char full[PLUMB_KEY];
	const struct plumb_meta *m; /* of the key asked for last; NULL: absent */
};
/* Look up a key, which the family's table must declare as read. */
enum plumb_status plumb_config_look_up(struct plumb_config_reader *r, const char *name);
/* A whole number from 1 on. fallback < 0: the key must be there. */
enum plumb_status plumb_config_read_int(
	struct plumb_config_reader *r, const char *name, int64_t fallback, int64_t *value);
/* A number from low to high. fallback <= 0: the key must be there. */
enum plumb_status plumb_config_read_float(
	struct plumb_config_reader *r, const char *name, double fallback, double low, double high, double *value);

/* --- config_layers.c --- */
/* What activations are multiplied by, and the norms. Heads must be read before. */
enum plumb_status plumb_config_read_scales(struct plumb_config_reader *r, struct plumb_config *c);
/* RoPE and its scaling, and which layers have it, and windows. */
enum plumb_status plumb_config_read_rope(struct plumb_config_reader *r, struct plumb_config *c);
enum plumb_status plumb_config_read_layers(struct plumb_config_reader *r, struct plumb_config *c);

#endif
