/* SPDX-License-Identifier: Apache-2.0 */
/* The library of porting bugs, one row each. */
#ifndef PLUMB_DIAG_FAULT_H
#define PLUMB_DIAG_FAULT_H

#include "diag/run/run.h"

enum plumb_fault_scope { PLUMB_FAULT_MODEL, PLUMB_FAULT_LAYER, PLUMB_FAULT_HEAD };
struct plumb_fault_kind {
	const char *name;      /* "k_bias" */
	const char *what;      /* "a missing K bias" */
	const char *component; /* "k_proj", "rope", "attention", "norm", "ffn", "final_norm", "cache", "layers" */
	enum plumb_fault_scope
		scope;       /* MODEL: natural in all layers at once; LAYER: in one; HEAD: after the layers */
	unsigned needs;  /* earlier points */
	unsigned points; /* where it acts */
	enum plumb_status (*act)(
		const struct plumb_fault *fault, struct plumb_live *live); /* live->v becomes the wrong value */
	double value;  /* the usual wrong parameter (base, eps); 0: none */
	bool exchange; /* for the run, the weights of `layer` and the next one are exchanged */
};
struct plumb_fault {
	const struct plumb_fault_kind *kind;
	int layer;    /* -1: every layer */
	double value; /* parameter in the place of kind->value */
};
int plumb_fault_count(void);
const struct plumb_fault_kind *plumb_fault_at(int index);
/* With its usual parameter; layer -1: every layer (layer_order: a middle one). PLUMB_E_UNSUPPORTED: a model
 * like this cannot have it, with the reason. */
enum plumb_status plumb_fault_make(struct plumb_fault *fault, const struct plumb_fault_kind *kind, int layer,
	const struct plumb_config *config);
/* Does the model's family show every point that the fault looks at or changes? PLUMB_E_UNSUPPORTED: not this
 * one. */
enum plumb_status plumb_fault_fits(const struct plumb_fault_kind *kind, const struct plumb_model *model);
/* "k_bias@5", "rope_base", "eps@2=1e-3"; PLUMB_E_ARGUMENT lists the names. */
enum plumb_status plumb_fault_parse(
	struct plumb_fault *fault, const char *text, const struct plumb_config *config);

#endif
