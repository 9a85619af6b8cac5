/* SPDX-License-Identifier: Apache-2.0 */
/* What every kernel file shares: the device class, sums over vectors and work-groups, loads of cached keys
 * and values. The host puts this text in front of each kernel file. Weights are unpacked elsewhere. */
#include "limits.h"
#ifndef PLUMB_CPU
/* 1: a CPU, one work-item per block with float8 vectors; 0: a GPU, work-groups of GROUP */
#define PLUMB_CPU 0
#endif
#ifndef PLUMB_SUBGROUPS
#define PLUMB_SUBGROUPS 0 /* 1: the device has sub-groups, and the text is built as OpenCL C 2.0 or 3.0 */
#endif
#define GROUP PLUMB_CL_GROUP

/* Always inline: unoptimised, clang passes vectors by pointers that Oclgrind's check of uninitialised values
 * dies of. */
#define INLINE __attribute__((always_inline)) static

INLINE float sum8(float8 v)
{
	return ((v.s0 + v.s4) + (v.s2 + v.s6)) + ((v.s1 + v.s5) + (v.s3 + v.s7));
}

INLINE float max8(float8 v)
{
	return fmax(fmax(fmax(v.s0, v.s4), fmax(v.s2, v.s6)), fmax(fmax(v.s1, v.s5), fmax(v.s3, v.s7)));
}

/* A cache of keys or values is float32, or with KV_F16 float16; the core of OpenCL 1.2 can load both. */
#ifdef KV_F16
#define KV half
#define kv_load(p, i) vload_half(i, p)
#define kv_load8(p, i) vload_half8(0, (p) + (i))
#else
#define KV float
#define kv_load(p, i) (p)[i]
#define kv_load8(p, i) vload8(0, (p) + (i))
#endif

#if !PLUMB_CPU
/* v over a work-group of GROUP items, through scratch[GROUP]; all items get the result, and all must call.
 * Sub-groups need two barriers or none instead of eight; a file asks by naming PLUMB_SUBGROUPS, the device
 * and its compiler must know them. */
#if PLUMB_SUBGROUPS && (defined(cl_khr_subgroups) || defined(__opencl_c_subgroups))
#define SUB_GROUPS 1
#ifdef cl_khr_subgroups
#pragma OPENCL EXTENSION cl_khr_subgroups : enable
#endif
#define REDUCE(scratch, v, combine, sub_group_reduce) \
	v = sub_group_reduce(v); \
	if (get_num_sub_groups() > 1) { \
		barrier(CLK_LOCAL_MEM_FENCE); /* scratch may still be read from the last call */ \
		if (!get_sub_group_local_id()) \
			scratch[get_sub_group_id()] = v; \
		barrier(CLK_LOCAL_MEM_FENCE); \
		v = scratch[0]; \
		for (int s = 1; s < (int)get_num_sub_groups(); s++) \
			v = combine(v, scratch[s]); \
	}
#else
#define SUB_GROUPS 0
#define REDUCE(scratch, v, combine, sub_group_reduce) \
	int i = get_local_id(0); \
	barrier(CLK_LOCAL_MEM_FENCE); \
	scratch[i] = v; \
	for (int step = GROUP / 2; step; step >>= 1) { \
		barrier(CLK_LOCAL_MEM_FENCE); \
		if (i < step) \
			scratch[i] = combine(scratch[i], scratch[i + step]); \
	} \
	barrier(CLK_LOCAL_MEM_FENCE); \
	v = scratch[0];
#endif
#define PLUS(a, b) ((a) + (b))

static float group_sum(__local float *scratch, float v)
{
	REDUCE(scratch, v, PLUS, sub_group_reduce_add)
	return v;
}

static float group_max(__local float *scratch, float v)
{
	REDUCE(scratch, v, fmax, sub_group_reduce_max)
	return v;
}
#endif
