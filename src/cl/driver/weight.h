/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in the driver's own layout, which cl/weights.cl reads: groups of eight rows side by side. */
#ifndef PLUMB_CL_WEIGHT_H
#define PLUMB_CL_WEIGHT_H

#include "cl/driver/state.h"

#define PLUMB_CL_WEIGHT_BUFFERS 64

/* --- pack.c --- */
struct plumb_cl_pack {
	enum plumb_type type;
	const uint8_t *from; /* rows as a file holds them, ... */
	size_t row;          /* ... each of so many bytes */
	int64_t rows, k;
	uint8_t *to; /* plumb_cl_pack_groups(rows) * plumb_cl_pack_bytes(type, k) bytes */
};
int64_t plumb_cl_pack_groups(int64_t rows); /* row groups; the last one may have rows of zeros */
size_t plumb_cl_pack_bytes(enum plumb_type type, int64_t k); /* of a row group */
/* Lays the rows out, by all threads of the pool. */
void plumb_cl_pack(const struct plumb_cl_pack *pack, struct plumb_pool *pool);
/* The build options that tell a kernel this layout: "-DBITS=5 ...". */
const char *plumb_cl_pack_options(enum plumb_type type);

/* --- weight.c --- */
/* A weight of {rows, k} on the device. It is in several buffers where it is larger than the largest that the
 * device has. */
struct plumb_cl_weight {
	enum plumb_type type;
	int64_t rows, k;
	int64_t slice_rows; /* rows in each buffer but the last; a multiple of 8 */
	int slices;
	cl_mem buffer[PLUMB_CL_WEIGHT_BUFFERS];
	struct plumb_chunk
		*chunk[PLUMB_CL_WEIGHT_BUFFERS]; /* the host memory that a buffer is in; NULL: the device's own */
	size_t bytes;
};
/* Rows [first, end) of a weight. They are in one buffer, and give the columns of y from `column` on. */
struct plumb_cl_slice {
	const struct plumb_cl_weight *weight;
	cl_mem buffer;
	int64_t first, end, column;
};

/* Functions of the driver class (core/core.h). The weight is kept in buffer->copy[driver->index].prepared. */
enum plumb_status plumb_cl_prepare(struct plumb_driver *driver, struct plumb_tensor *w);
void plumb_cl_unprepare(struct plumb_driver *driver, void *prepared);
/* The weight behind a tensor or a view of whole rows, prepared now if it was not. *first is the view's first
 * row. PLUMB_E_UNSUPPORTED: the view begins inside a row group, or reads the buffer as another shape or type.
 */
enum plumb_status plumb_cl_weight_of(struct plumb_driver *driver, const struct plumb_tensor *w,
	const struct plumb_cl_weight **weight, int64_t *first);
/* The same for kernels that take one buffer: *group is the number of the first row group in it.
 * PLUMB_E_UNSUPPORTED: the rows are in several. */
enum plumb_status plumb_cl_weight_whole(
	struct plumb_driver *driver, const struct plumb_tensor *w, cl_mem *mem, int64_t *group);

#endif
