/* SPDX-License-Identifier: Apache-2.0 */
/* What the host and the kernels must agree on: most of these size arrays in kernels. Both include this file,
 * and the host always gives kernels the text that it was built with, wherever PLUMB_CL_PATH has others from.
 */
#ifndef PLUMB_CL_LIMITS_H
#define PLUMB_CL_LIMITS_H

#define PLUMB_CL_GROUP 64 /* work-items of a work-group on a GPU */
/* Groups of eight weight rows of a work-item that has one row of x, on a CPU. */
#define PLUMB_CL_MOST_GROUPS 8
#define PLUMB_CL_SPAN 8192      /* elements of a row of x that such a work-item keeps sums of, or norms */
#define PLUMB_CL_BLOCK_ROWS 96  /* most rows of x of a work-item of matmul_block and gate_up_block */
#define PLUMB_CL_BLOCK_GROUPS 2 /* groups of eight weight rows of a work-item of matmul_block */
/* Rows of x that a column of weights meets at once there: 12 registers of 8 sums of the 16 there are, or 8 of
 * 16 sums of the 32 that a CPU with vectors of 16 floats has. */
#define PLUMB_CL_AT_ONCE 6
#define PLUMB_CL_AT_ONCE_WIDE 8
#define PLUMB_CL_TILE_ROWS 32     /* rows of x and */
#define PLUMB_CL_TILE_GROUPS 8    /* groups of eight weight rows of a work-group of matmul_tile */
#define PLUMB_CL_ATTENTION_ROWS 8 /* most query rows of a work-item of attention, on a CPU */
/* Elements from a buffer's start to a tensor's end: kernels count them in int, and past the end by less than
 * a block. */
#define PLUMB_CL_MOST_ELEMENTS (2147483647 - 65536)

#endif
