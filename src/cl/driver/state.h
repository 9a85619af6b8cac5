/* SPDX-License-Identifier: Apache-2.0 */
/* What an open cl driver holds: its settings, its device, queue and buffers, and what other rooms keep in it.
 */
#ifndef PLUMB_CL_STATE_H
#define PLUMB_CL_STATE_H

#include <plumb/tune.h>
#include "cl/device/device.h"
#include "../../../cl/limits.h" /* the constants that kernels know, too */

/* --- settings.c: the driver's environment variables, read once, when it opens --- */
struct plumb_cl_settings {
	const char *class;  /* PLUMB_CL_CLASS, "cpu" or "gpu"; NULL: unset */
	const char *matmul; /* PLUMB_CL_MATMUL, the name of a variant or "own"; NULL: unset */
	bool profile, canary;
	uint64_t max_alloc;    /* PLUMB_CL_MAX_ALLOC in bytes; UINT64_MAX: unset */
	char *path;            /* PLUMB_CL_PATH, a copy; NULL: unset */
	char libs[1024];       /* the folder of the cache; "": there is none */
	const char *libs_lost; /* the variable that is too long to be part of that folder's path; NULL: none */
};
/* PLUMB_E_ARGUMENT names the variable whose value is not understood. */
enum plumb_status plumb_cl_settings_read(struct plumb_cl_settings *set);
void plumb_cl_settings_free(struct plumb_cl_settings *set);

struct plumb_cl_kernel;  /* driver/kernel.h */
struct plumb_cl_program; /* driver/kernel.h */
struct plumb_cl_verdict; /* canary.c */

#define PLUMB_CL_BUCKETS 64 /* of the hash table of kernels */
/* Device memory between the launches of one operator. The first two are any operator's; a fused operator,
 * which runs others, has the rest to itself. */
enum {
	PLUMB_CL_SCRATCH_A,
	PLUMB_CL_SCRATCH_B,
	PLUMB_CL_SCRATCH_NORMED,
	PLUMB_CL_SCRATCH_UP,
	PLUMB_CL_SCRATCHES
};

/* Cosines and sines by position of one way to rotate (op/rope.c). */
#define PLUMB_CL_ROPES 4
struct plumb_cl_rope {
	cl_mem table; /* NULL: this place is free */
	int64_t positions, rotated;
	double base, factor, scale;
	float *freqs; /* a copy; NULL: none */
	uint64_t used;
};

struct plumb_cl_state {
	struct plumb_context *owner; /* its busy callback is called for compilations */
	struct plumb_cl_settings set;
	struct plumb_cl_device device;
	cl_context context;
	cl_command_queue queue;
	bool cpu;     /* the class of kernels: a CPU's have one work-item per block of rows and no barriers */
	bool wide;    /* the device has vectors of sixteen floats */
	bool profile; /* each launch is waited for and timed */
	bool canary;
	int subgroups;      /* plumb_cl_subgroups, or 0 once a kernel that uses them was wrong */
	uint64_t max_alloc; /* bytes of the largest buffer: the device's limit or PLUMB_CL_MAX_ALLOC */
	cl_mem_flags place; /* of buffers, by AR_HARDWARE_MEMORY_LOCATION */
	bool delegate;      /* buffers are the host's own memory */
	struct plumb_cl_program *programs;
	struct plumb_cl_kernel *kernels[PLUMB_CL_BUCKETS];
	cl_mem scratch[PLUMB_CL_SCRATCHES];
	size_t scratch_bytes[PLUMB_CL_SCRATCHES];
	struct plumb_chunk *chunks; /* memory that the weights on a CPU lie in (weight.c) */
	struct plumb_cl_rope rope[PLUMB_CL_ROPES];
	uint64_t rope_uses;
	struct {       /* what was measured on this device (tune/file.c) */
		bool read; /* the file was looked for */
		struct plumb_tune_row *rows;
		int count;
		char file[1100]; /* its path, also when there is none yet; "": there is no folder */
	} tuning;
	struct plumb_cl_verdict *verdicts; /* canary.c */
	int verdict_count;
	bool clblast;    /* CLBlast has worked in this context */
	bool no_clblast; /* it was wrong, or failed, in the canary */
};
static inline struct plumb_cl_state *plumb_cl_state(const struct plumb_driver *driver)
{
	return driver->state;
}

/* --- memory.c: buffers on the device; these are functions of the driver class (core/core.h) --- */
enum plumb_status plumb_cl_alloc(struct plumb_driver *driver, struct plumb_buffer *buffer, void **handle);
void plumb_cl_free(struct plumb_driver *driver, void *handle);
enum plumb_status plumb_cl_upload(struct plumb_driver *driver, void *handle, const void *src, size_t bytes);
enum plumb_status plumb_cl_download(
	struct plumb_driver *driver, void *dst, void *handle, size_t offset, size_t bytes);
enum plumb_status plumb_cl_sync(struct plumb_driver *driver);
/* Device memory of at least these bytes, PLUMB_CL_SCRATCH_x, whose content lasts until the next operator. The
 * state owns it. */
enum plumb_status plumb_cl_scratch(struct plumb_driver *driver, int index, size_t bytes, cl_mem *mem);

/* --- copy.c --- */
/* Bytes read and written per second when the device copies its own memory. */
enum plumb_status plumb_cl_copy_rate(struct plumb_driver *driver, double *rate);

#endif
