/* SPDX-License-Identifier: Apache-2.0 */
/* What porting bugs make of a value: each function is the `act` of one or more rows of the table in fault.c.
 */
#ifndef PLUMB_DIAG_FAULT_ACT_H
#define PLUMB_DIAG_FAULT_ACT_H

#include <string.h>
#include "diag/run/fault.h"

#define BIT(point) (1u << PLUMB_POINT_##point)
#define NEED(captured, point) \
	const struct plumb_captured *captured = plumb_live_earlier(live, PLUMB_POINT_##point); \
	if (!captured) \
	return plumb_fail( \
		PLUMB_E_ARGUMENT, "%s: no %s was kept", fault->kind->name, plumb_point_name(PLUMB_POINT_##point))

static inline const struct plumb_config *plumb_fault_config(const struct plumb_live *live)
{
	return plumb_model_config(live->run->model);
}
static inline bool plumb_fault_is(const struct plumb_fault *fault, const char *name)
{
	return !strcmp(fault->kind->name, name);
}

typedef enum plumb_status plumb_fault_act(const struct plumb_fault *fault, struct plumb_live *live);
/* --- fault_rope.c --- */
plumb_fault_act plumb_fault_rope;
/* --- fault_attention.c --- */
plumb_fault_act plumb_fault_attention, plumb_fault_window, plumb_fault_scores;
/* --- fault_block.c --- */
plumb_fault_act plumb_fault_bias, plumb_fault_residual, plumb_fault_eps, plumb_fault_no_norm,
	plumb_fault_norm_offset, plumb_fault_act_ffn, plumb_fault_scale;
/* The bit of the bias (enum plumb_bias) that such a fault leaves out; 0: it is none of them. */
unsigned plumb_fault_bias_bit(const struct plumb_fault_kind *kind);

#endif
