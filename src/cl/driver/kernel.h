/* SPDX-License-Identifier: Apache-2.0 */
/* From the text of a kernel to its launch. The file of a simple operator needs this header only. */
#ifndef PLUMB_CL_KERNEL_H
#define PLUMB_CL_KERNEL_H

#include "cl/driver/state.h"

/* A kernel that was launched. The record outlives the kernel: a user may hold its key (plumb_kernel_row). */
struct plumb_cl_kernel {
	char *key;                   /* "file kernel options" */
	cl_kernel kernel;            /* NULL: not built, or released */
	uint64_t calls, nanoseconds; /* time is counted only while profiling */
	double
		bytes; /* that the calls which began with this kernel read and wrote, by their operators' contracts */
	struct plumb_cl_kernel *next;
};
struct plumb_cl_program {
	char *key; /* "file options" */
	cl_program program;
	struct plumb_cl_program *next;
};

/* --- source.c --- */
/* The text of a program: types.cl, then cl/<file>.cl, with what they include in the place of the #include
 * lines; from the folder PLUMB_CL_PATH when that is set, else embedded in the library. *text is malloc'ed. */
enum plumb_status plumb_cl_source(const struct plumb_cl_state *cl, const char *file, char **text);

/* --- cache.c: binaries on disk. Nothing here is an error: without a cache, programs are built --- */
/* A text that holds all that results on this device depend on: device, driver version, options, two hashes of
 * the source. malloc'ed; NULL: no memory. */
char *plumb_cl_cache_key(
	const struct plumb_cl_device *device, const char *file, const char *options, const char *source);
/* The path of the file for this key. suffix begins with its dot. False: there is no folder. */
bool plumb_cl_cache_path(
	const struct plumb_cl_state *cl, const char *key, const char *suffix, char path[1100]);
/* The binary that is kept under this key; *binary is malloc'ed. False: there is none, or its file is broken.
 */
bool plumb_cl_cache_load(
	const struct plumb_cl_state *cl, const char *key, unsigned char **binary, size_t *size);
void plumb_cl_cache_store(
	const struct plumb_cl_state *cl, const char *key, const unsigned char *binary, size_t size);
/* Writes these pieces of memory into the file `path` as a whole, or leaves it as it was. */
struct iovec;
bool plumb_cl_cache_replace(const char *path, const struct iovec *pieces, int count);
/* Holds other processes back while this one compiles: they then find its binary, and implementations whose
 * own cache does not bear two compilers at once (PoCL 3.1: CL_BUILD_PROGRAM_FAILURE) get one. Returns what
 * unlock takes; -1, no lock, is harmless. */
int plumb_cl_cache_lock(const struct plumb_cl_state *cl);
void plumb_cl_cache_unlock(int fd);

/* --- program.c --- */
/* The program of cl/<file>.cl with these options, built or loaded once per driver. The state owns it. */
enum plumb_status plumb_cl_program(
	struct plumb_driver *driver, const char *file, const char *options, cl_program *program);
/* Releases all programs and kernels: they are to be built otherwise, or the driver closes. The records of
 * kernels stay. */
void plumb_cl_programs_forget(struct plumb_cl_state *cl);

/* --- launch.c --- */
/* The arguments of a kernel, in order. */
struct plumb_cl_args {
	struct plumb_driver *driver;
	double bytes;             /* of memory traffic that the kernel's record counts for this launch */
	enum plumb_status status; /* the first failure; the launch returns it */
	int count;
	struct plumb_cl_arg {
		size_t size;
		union {
			cl_mem mem;
			cl_int i;
			cl_float f;
		} value;
	} arg[32];
};
/* For the first launch of a call, which is counted with all bytes that the operator's contract says it moves
 * ... */
#define PLUMB_CL_FIRST_ARGS(driver_, call_) \
	{ \
		.driver = (driver_), .bytes = plumb_op_table[(call_)->op]->bytes(call_) \
	}
/* ... and for further ones, which work on what the first left in scratch memory, or on the rest of those
 * bytes. */
#define PLUMB_CL_ARGS(driver_) \
	{ \
		.driver = (driver_) \
	}
/* Binds two arguments: the buffer, and the offset of the tensor's first element in elements (int). t NULL, an
 * absent tensor, binds the output's buffer and the offset -1. */
void plumb_cl_tensor(struct plumb_cl_args *a, const struct plumb_tensor *t);
void plumb_cl_mem(struct plumb_cl_args *a, cl_mem mem);
void plumb_cl_int(struct plumb_cl_args *a, int64_t value); /* a failure where 32 bits do not hold it */
void plumb_cl_float(struct plumb_cl_args *a, double value);
/* PLUMB_E_UNSUPPORTED: the tensor ends where a kernel's int cannot count. plumb_cl_tensor asks this itself;
 * it is for callers that pass a tensor's buffer by plumb_cl_mem. */
enum plumb_status plumb_cl_range(const struct plumb_tensor *t);
/* Enqueues a kernel of cl/<file>.cl built with options ("-DX=1" or ""), and does not wait for it, except
 * while profiling. local NULL: the implementation chooses. global is rounded up to whole work-groups: kernels
 * check their range. */
enum plumb_status plumb_cl_launch(struct plumb_cl_args *a, const char *file, const char *kernel,
	const char *options, int dims, const size_t *global, const size_t *local);
/* The two shapes that most kernels have. For n elements: binds n and the size of a block behind the other
 * arguments; one work-item per block on a CPU, per element on a GPU. */
enum plumb_status plumb_cl_launch_elements(
	struct plumb_cl_args *a, const char *file, const char *kernel, const char *options, int64_t n);
/* For columns x rows: one work-item each on a CPU, one work-group each on a GPU. */
enum plumb_status plumb_cl_launch_rows(struct plumb_cl_args *a, const char *file, const char *kernel,
	const char *options, int64_t columns, int64_t rows);
/* Kernel `index` of those that were launched (a function of the driver class). False: there are fewer. */
bool plumb_cl_launch_row(const struct plumb_driver *driver, int index, struct plumb_kernel_time *row);
/* Frees the records of kernels, which must have been released. */
void plumb_cl_launch_forget(struct plumb_cl_state *cl);

#endif
