/* SPDX-License-Identifier: Apache-2.0 */
/* The operators of the cl driver, and what those of products share. */
#ifndef PLUMB_CL_OP_H
#define PLUMB_CL_OP_H

#include "cl/driver/kernel.h"
#include "cl/driver/weight.h"
#include "cl/tune/tune.h"
#include "op/op.h"

/* --- one file per operator, each a plumb_op_fn (core/core.h) --- */
#define PLUMB_FUSED(name, inputs, formula)
#define PLUMB_OP(name, inputs, formula) \
	enum plumb_status plumb_cl_##name(struct plumb_driver *driver, const struct plumb_call *call);
#include <plumb/ops.def>
enum plumb_status plumb_cl_attention(struct plumb_driver *driver, const struct plumb_call *call);
enum plumb_status plumb_cl_qkv(struct plumb_driver *driver, const struct plumb_call *call);
enum plumb_status plumb_cl_gate_up(struct plumb_driver *driver, const struct plumb_call *call);
enum plumb_status plumb_cl_matmul_add(struct plumb_driver *driver, const struct plumb_call *call);

/* --- matmul.c --- */
/* matmul by this variant, or matmul_add, whose input 2 is a matrix that is added like a bias. */
enum plumb_status plumb_cl_matmul_by(
	struct plumb_driver *driver, const struct plumb_call *call, struct plumb_cl_choice choice);

/* --- clblast.c --- */
/* The columns of y that a slice of the weight gives, through CLBlast. */
enum plumb_status plumb_cl_clblast(
	struct plumb_driver *driver, const struct plumb_call *call, const struct plumb_cl_slice *slice);

/* --- rope.c --- */
void plumb_cl_rope_forget(struct plumb_cl_state *cl);

/* --- attention.c --- */
/* The window as a kernel takes it: more than there are positions where there is none. */
int64_t plumb_cl_window(const struct plumb_attn *a);

/* --- fused.c --- */
struct plumb_cl_fused_matrix {
	struct plumb_buffer buffer;
	struct plumb_tensor tensor;
};
/* A float32 matrix in scratch memory `index`. */
enum plumb_status plumb_cl_fused_matrix(
	struct plumb_driver *driver, int index, int64_t rows, int64_t columns, struct plumb_cl_fused_matrix *m);
/* Runs a basic operator as a part of a fused one; a matmul by this variant. */
enum plumb_status plumb_cl_fused_run(
	struct plumb_driver *driver, const struct plumb_call *call, struct plumb_cl_choice choice);
/* PLUMB_E_UNSUPPORTED: a row of k elements is longer than a work-item on a CPU has room for, which norms it
 * for itself. */
enum plumb_status plumb_cl_fused_row(struct plumb_driver *driver, int64_t k);

#endif
