/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel variants of products and of attention, and which one a call takes: by what was measured on this
 * device, else by a fixed rule. */
#ifndef PLUMB_CL_TUNE_H
#define PLUMB_CL_TUNE_H

#include "cl/driver/state.h"

#define PLUMB_CL_OPTIONS 160 /* bytes of a text of build options */

/* --- variant.c --- */
/* Of a product, in the order of plumb_tune_variant. */
enum plumb_cl_variant {
	PLUMB_CL_MT1,
	PLUMB_CL_MT4,
	PLUMB_CL_MT8,
	PLUMB_CL_BLOCK,
	PLUMB_CL_CLBLAST,
	PLUMB_CL_VARIANTS
};
/* Of attention: a work-group takes all keys of its query, or the keys are split among several, whose results
 * are joined. */
enum plumb_cl_attention_variant { PLUMB_CL_WHOLE, PLUMB_CL_SPLIT };

int plumb_cl_variant_named(const char *name); /* an enum plumb_cl_variant; -1: none, or name is NULL */
bool plumb_cl_variant_can(
	const struct plumb_cl_state *cl, enum plumb_cl_variant variant); /* does this device have it? */
/* The variant for m rows of x where nothing was measured. */
enum plumb_cl_variant plumb_cl_variant_fixed(const struct plumb_cl_state *cl, int64_t m);
int plumb_cl_variant_tile(
	enum plumb_cl_variant variant); /* rows of x that a work-item has at once; 0: CLBlast's matter */
void plumb_cl_variant_options(const struct plumb_cl_state *cl, enum plumb_type type,
	enum plumb_cl_variant variant, char options[PLUMB_CL_OPTIONS]);
/* Work per work-item on a CPU: row groups of the weight where it has one row of x, and rows of x where it has
 * a block. */
int64_t plumb_cl_variant_groups(const struct plumb_cl_state *cl, int64_t groups);
int64_t plumb_cl_variant_rows(const struct plumb_cl_state *cl, int64_t m);
/* How many work-groups share the keys of a query: more where few queries would leave a large GPU idle. */
int64_t plumb_cl_variant_splits(const struct plumb_call *call);

/* --- file.c: the tuning file, JSON beside the compiled kernels --- */
/* Reads it into cl->tuning, once per open driver. A file that is missing, broken, or of another device,
 * driver version or kernel gives no rows. Its format has the name "ways" for variants, as plumb 0.1 wrote it.
 */
void plumb_cl_file_read(struct plumb_driver *driver);
/* PLUMB_E_IO: there is no folder, or it cannot be written. */
enum plumb_status plumb_cl_file_write(struct plumb_driver *driver);

/* --- choice.c --- */
struct plumb_cl_choice {
	enum plumb_cl_variant variant;
	bool measured; /* by the tuning file, so that another one may take its place when it fails */
};
/* Of a product, alone or fused, by its first weight: call->variant, else PLUMB_CL_MATMUL, else what was
 * measured, else the fixed variant. PLUMB_E_ARGUMENT, PLUMB_E_DRIVER: this device does not have what
 * PLUMB_CL_MATMUL names. */
enum plumb_status plumb_cl_choice_product(
	struct plumb_driver *driver, const struct plumb_call *call, struct plumb_cl_choice *choice);
enum plumb_cl_attention_variant plumb_cl_choice_attention(
	const struct plumb_cl_state *cl, const struct plumb_call *call);

#endif
