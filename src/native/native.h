/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the native driver share: its state, how they split work over the
 * context's pool, and the operators. The micro-kernels are in simd/simd.h. */
#ifndef PLUMB_NATIVE_H
#define PLUMB_NATIVE_H

#include <stdatomic.h>
#include "core/core.h"
#include "native/simd/simd.h"

/* Groups that are read one after the other. */
struct plumb_stretch {
	const uint8_t *bytes;
	size_t group;
	int64_t groups;
};

/* A weight in the layout of simd/packed.h, as a buffer's `prepared`. */
struct plumb_packed {
	enum plumb_type type;
	int64_t rows, k, groups; /* groups: even */
	size_t group, size;      /* bytes of a group, of all */
	uint8_t *bytes;
	struct plumb_chunk *chunk; /* that bytes are in */
	struct plumb_stretch
		next; /* the weight that came next the last time; it may be gone: for prefetching only */
};

struct plumb_native {
	struct plumb_simd simd;
	size_t cache;        /* bytes of a second-level cache: decides how work is cut, never a result */
	float *scratch;      /* `each` floats per thread, then one that all share; grown on demand */
	size_t each, shared; /* floats */
	struct plumb_chunk *chunks;
	struct plumb_packed *last; /* multiplied by few rows */
	struct plumb_native_taken {
		_Alignas(64) _Atomic int64_t next;
	} * taken; /* per thread: the next unclaimed row group of its share of a weight */
};

static inline const struct plumb_simd *plumb_native_simd(const struct plumb_driver *driver)
{
	return &((const struct plumb_native *)driver->state)->simd;
}

/* Work on items [first, end) as thread `thread`. */
typedef void (*plumb_native_fn)(void *arg, int64_t first, int64_t end, int thread);
/* Call fn over [0, n) in ranges of `grain` items on the pool; inline when one range holds all.
 * Which thread takes which range is chance: no result may depend on it, nor on the grain. */
void plumb_native_split(struct plumb_driver *driver, int64_t n, int64_t grain, plumb_native_fn fn, void *arg);
/* Items per range so that a range does about `PLUMB_NATIVE_GRAIN` element steps. */
int64_t plumb_native_grain(int64_t elements_per_item);
#define PLUMB_NATIVE_GRAIN 8192

/* Make every thread's scratch at least `each` floats long, and the shared one `shared`, before
 * work is split. */
enum plumb_status plumb_native_reserve(struct plumb_driver *driver, size_t each, size_t shared);
void plumb_native_scratch_free(struct plumb_driver *driver);
/* 64-byte aligned; contents are undefined. */
float *plumb_native_scratch(const struct plumb_driver *driver, int thread);
float *plumb_native_shared(const struct plumb_driver *driver);

/* PLUMB_E_UNSUPPORTED unless the call's activations are F32. */
enum plumb_status plumb_native_f32(const struct plumb_call *call);
enum plumb_status plumb_native_cache(const struct plumb_tensor *cache); /* F32 or F16 */

/* --- packed.c --- */
enum plumb_status plumb_native_prepare(struct plumb_driver *driver, struct plumb_tensor *w);
void plumb_native_unprepare(struct plumb_driver *driver, void *prepared);
/* The packed form of a weight, made when it is first needed; NULL: it has none (type, mode, a view, no
 * memory). */
struct plumb_packed *plumb_native_packed(struct plumb_driver *driver, const struct plumb_tensor *w);

/* --- matmul_small_batch.c --- */
/* No thread prefetches a weight while it waits, until the next product of few rows. */
void plumb_native_forget_next(struct plumb_driver *driver);

/* --- rmsnorm.c --- */
void plumb_native_norm(const struct plumb_simd *simd, float *y, const float *x, const float *w, double eps,
	int64_t d); /* one row */

#define PLUMB_OP(name, inputs, formula) \
	enum plumb_status plumb_native_##name(struct plumb_driver *driver, const struct plumb_call *call);
#include <plumb/ops.def>

#endif
