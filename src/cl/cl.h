/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL driver's inside: loader, device, programs, launching. An operator's file needs only
 * the launching part. */
#ifndef PLUMB_CL_PRIVATE_H
#define PLUMB_CL_PRIVATE_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdbool.h>
#include <plumb/device.h>
#include <plumb/tune.h>
#include "core/core.h"
#include "../../cl/limits.h" /* constants that kernels know, too */

/* --- loader.c: libOpenCL.so.1 is opened at run time, so that machines without it run, too --- */
struct plumb_cl_api {
#define F(name) __typeof__(name) *name;
#include "cl/device/functions.def"
};
extern struct plumb_cl_api plumb_cl; /* valid after plumb_cl_load succeeded */
enum plumb_status plumb_cl_load(void);

/* --- error.c --- */
const char *plumb_cl_error_name(cl_int code); /* "CL_OUT_OF_RESOURCES"; never NULL */
/* PLUMB_E_DEVICE or PLUMB_E_MEMORY: "what: CL_X (-5)" */
enum plumb_status plumb_cl_fail(cl_int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* --- device.c --- */
struct plumb_cl_device {
	cl_platform_id platform;
	cl_device_id id;
	cl_device_type type;
	struct plumb_device info;
};
/* All devices of all platforms, in the order the loader gives them; malloc'ed. *count may be 0. */
enum plumb_status plumb_cl_devices(struct plumb_cl_device **devices, int *count);
/* The device for a driver of this kind: PLUMB_CL_DEVICE, else discrete GPU, GPU, accelerator, CPU. */
enum plumb_status plumb_cl_choose(enum plumb_device_kind kind, struct plumb_cl_device *chosen);

/* Whether it gets the kernels for CPUs: by the user's word (PLUMB_CL_CLASS, else NULL), or for a CPU with vectors. One whose compiler makes
 * vectors of work-items, as llvmpipe's does, wants a GPU's: those with vectors of their own take it minutes each. */
bool plumb_cl_is_cpu(const struct plumb_device *device, const char *class);

/* The OpenCL C, 2 or 3, that knows the device's sub-groups; 0: it has none, or is of a time before they were in the core. */
int plumb_cl_subgroups(const struct plumb_device *device);

/* --- settings.c: the driver's variables, read once, when it opens --- */
struct plumb_cl_settings {
	const char *class;   /* PLUMB_CL_CLASS, "cpu" or "gpu"; NULL: unset */
	const char *matmul;  /* PLUMB_CL_MATMUL, a way's name or "own"; NULL: unset */
	bool profile, canary;
	uint64_t max_alloc;  /* PLUMB_CL_MAX_ALLOC; UINT64_MAX: unset */
	char *path;          /* PLUMB_CL_PATH, a copy; NULL: unset */
	char libs[1024];     /* the cache's folder; "": none */
	const char *libs_lost; /* the variable that is too long to be in its path, or NULL */
};
enum plumb_status plumb_cl_settings_read(struct plumb_cl_settings *set); /* PLUMB_E_ARGUMENT names the variable */
void plumb_cl_settings_free(struct plumb_cl_settings *set);

/* --- driver.c: what an opened driver holds --- */
struct plumb_cl_kernel {
	char *key;         /* file, kernel, options */
	cl_kernel kernel;  /* NULL: not built, or no more */
	uint64_t calls, nanoseconds; /* time only while profiling */
	double bytes;      /* of the calls whose first launch this was */
	struct plumb_cl_kernel *next;
};
struct plumb_cl_program {
	char *key; /* file, options */
	cl_program program;
	struct plumb_cl_program *next;
};
/* Ways of a matmul, in the order of plumb_tune_way. */
enum plumb_cl_way { PLUMB_CL_MT1, PLUMB_CL_MT4, PLUMB_CL_MT8, PLUMB_CL_BLOCK, PLUMB_CL_CLBLAST, PLUMB_CL_WAYS };
#define PLUMB_CL_BUCKETS 64
#define PLUMB_CL_SCRATCH 4
#define PLUMB_CL_OPTIONS 160 /* a text of options has room in */
struct plumb_cl_state {
	struct plumb_context *owner; /* hears of compilations */
	struct plumb_cl_settings set;
	struct plumb_cl_device device;
	cl_context context;
	cl_command_queue queue;
	bool cpu;           /* device class: one work-item per block of rows, no barriers */
	bool wide;          /* has vectors of sixteen floats */
	bool profile;
	uint64_t max_alloc; /* largest buffer; PLUMB_CL_MAX_ALLOC lowers it */
	cl_mem_flags place; /* of buffers, by AR_HARDWARE_MEMORY_LOCATION */
	bool delegate;      /* buffers are the host's memory */
	struct plumb_cl_program *programs;
	struct plumb_cl_kernel *kernels[PLUMB_CL_BUCKETS];
	bool canary;
	struct plumb_cl_verdict *verdicts; /* canary.c */
	int verdict_count;
	int only;           /* the way that every product or attention goes now, for measuring and for the canary; -1: none */
	int subgroups;      /* not 0: kernels with a variant for sub-groups are built so, as OpenCL C 2 or 3 */
	bool tuned;         /* the tuning file was looked for (choice.c) */
	struct plumb_tune_row *rows;
	int row_count;
	char tune_file[1100];
	bool clblast;       /* it has been at work in this context */
	bool no_clblast;    /* it has shown itself wrong, or failed, in the canary */
	struct plumb_chunk *chunks; /* that weights on a CPU are in (weight.c) */
	cl_mem rope; /* cosines and sines by position (rope.c) */
	int64_t rope_positions, rope_head_dim;
	double rope_base, rope_factor;
	cl_mem scratch[PLUMB_CL_SCRATCH]; /* between the launches of one operator (launch.c) */
	size_t scratch_bytes[PLUMB_CL_SCRATCH];
};
static inline struct plumb_cl_state *plumb_cl_state(const struct plumb_driver *driver) { return driver->state; }

/* --- source.c --- */
/* Text of a program: types.cl, then cl/<file>.cl, from PLUMB_CL_PATH when set, else embedded. malloc'ed. */
enum plumb_status plumb_cl_source(const struct plumb_cl_state *cl, const char *file, char **text);
/* --- program.c, cache.c --- */
/* A built program of cl/<file>.cl (behind types.h) with these options; built or loaded once. */
enum plumb_status plumb_cl_program(struct plumb_driver *driver, const char *file, const char *options, cl_program *program);
/* All programs and kernels, when they are to be built otherwise or no more. The records of kernels stay: see plumb_cl_kernels_free. */
void plumb_cl_programs_forget(struct plumb_cl_state *cl);
void plumb_cl_kernels_free(struct plumb_cl_state *cl); /* launch.c; the records, after the kernels */
/* Look for or keep a binary on disk; silent when that does not work. key: one text that holds everything
 * the binary depends on. */
bool plumb_cl_cache_load(const struct plumb_cl_state *cl, const char *key, unsigned char **binary, size_t *size);
/* Hold other processes back while compiling: they then find our binary, and implementations whose own cache does not
 * bear two compilers at once (PoCL 3.1: CL_BUILD_PROGRAM_FAILURE) get one. -1: no lock, which is harmless. */
int plumb_cl_cache_lock(const struct plumb_cl_state *cl);
void plumb_cl_cache_unlock(int fd);
void plumb_cl_cache_store(const struct plumb_cl_state *cl, const char *key, const unsigned char *binary, size_t size);
/* The file in the cache's folder for a key; false: there is no folder. suffix with its dot. */
bool plumb_cl_cache_path(const struct plumb_cl_state *cl, const char *key, const char *suffix, char path[1100]);
/* Put these bytes into path at once or not at all. */
struct iovec;
bool plumb_cl_cache_replace(const char *path, const struct iovec *part, int parts);
/* One text for what results on this device depend on: device, driver version, source of a file. malloc'ed. */
char *plumb_cl_cache_key(const struct plumb_cl_device *device, const char *file, const char *options, const char *source);

/* --- launch.c --- */
/* Arguments in order. Tensors bind two: the buffer and the offset of its first element (int); an absent
 * tensor binds the output's buffer and offset -1. */
struct plumb_cl_args {
	struct plumb_driver *driver;
	enum plumb_status status; /* the first failure; the launch returns it */
	int count;
	struct plumb_cl_arg { size_t size; union { cl_mem mem; cl_int i; cl_float f; } value; } arg[32];
};
void plumb_cl_tensor(struct plumb_cl_args *a, const struct plumb_tensor *t);
/* PLUMB_E_UNSUPPORTED: it ends where a kernel's int can't count. plumb_cl_tensor asks; for who passes a buffer by itself. */
enum plumb_status plumb_cl_range(const struct plumb_tensor *t);
void plumb_cl_mem(struct plumb_cl_args *a, cl_mem mem);
void plumb_cl_int(struct plumb_cl_args *a, int64_t value);
void plumb_cl_float(struct plumb_cl_args *a, double value);
void plumb_cl_local(struct plumb_cl_args *a, size_t bytes);
/* Enqueue kernel of cl/file.cl built with options ("-DX=1" or ""). local NULL: the implementation chooses.
 * global is rounded up to whole work-groups: kernels check their range. */
enum plumb_status plumb_cl_launch(struct plumb_cl_args *a, const char *file, const char *kernel, const char *options, int dims,
	const size_t *global, const size_t *local);
/* The shapes that most kernels have. Elements: binds n and a block's size behind the other arguments; one item per block on a
 * CPU, one per element on a GPU. Rows: columns x rows, one item each on a CPU, one work-group each on a GPU. */
enum plumb_status plumb_cl_launch_elements(struct plumb_cl_args *a, const char *file, const char *kernel, const char *options, int64_t n);
enum plumb_status plumb_cl_launch_rows(struct plumb_cl_args *a, const char *file, const char *kernel, const char *options, int64_t columns, int64_t rows);
/* Device memory whose content lasts until the next operator. index below PLUMB_CL_SCRATCH; the steps of a fused operator have theirs. */
enum { PLUMB_CL_NORMED = 2, PLUMB_CL_UP };
enum plumb_status plumb_cl_scratch(struct plumb_driver *driver, int index, size_t bytes, cl_mem *mem);
#define PLUMB_CL_ARGS(driver_) { .driver = (driver_) }

/* --- weight.c: weights in the layout of cl/matmul.cl --- */
struct plumb_cl_weight {
	enum plumb_type type;
	int64_t rows, k;
	int64_t piece_rows; /* rows per buffer; a multiple of 8 */
	int pieces;
	cl_mem piece[64];
	struct plumb_chunk *chunk[64]; /* that a piece is in; NULL: in the device's memory */
	size_t bytes;
	struct plumb_driver *driver;
};
enum plumb_status plumb_cl_prepare(struct plumb_driver *driver, struct plumb_tensor *w);
void plumb_cl_unprepare(struct plumb_driver *driver, void *prepared);
/* The prepared weight behind a tensor or view of whole rows; prepares it when that has not been done. *first: the
 * view's first row. */
enum plumb_status plumb_cl_weight_of(struct plumb_driver *driver, const struct plumb_tensor *w, const struct plumb_cl_weight **weight, int64_t *first);
/* "-DW_Q5_0=1 ..." */
const char *plumb_cl_weight_options(enum plumb_type type);

/* --- matmul.c --- */
/* Rows [first, end) of a weight, which are in one buffer and give the columns of y from `column` on. */
struct plumb_cl_part { const struct plumb_cl_weight *weight; cl_mem mem; int64_t first, end, column; };
bool plumb_cl_way_can(const struct plumb_cl_state *cl, enum plumb_cl_way way);
enum plumb_cl_way plumb_cl_way_fixed(const struct plumb_cl_state *cl, int64_t m); /* without tuning */
/* matmul, or matmul_add: a matrix as input 2 is added like a bias. */
enum plumb_status plumb_cl_product(struct plumb_driver *driver, const struct plumb_call *call, enum plumb_cl_way way);
void plumb_cl_product_options(const struct plumb_cl_state *cl, enum plumb_type type, enum plumb_cl_way way, char options[PLUMB_CL_OPTIONS]);
/* How work-items share eights of weight rows where each has one row of x, and rows of x where each has a block. */
int64_t plumb_cl_groups_each(const struct plumb_cl_state *cl, int64_t groups);
int64_t plumb_cl_block_rows(const struct plumb_cl_state *cl, int64_t m);

/* --- steps.c: for fused operators --- */
struct plumb_cl_temp { struct plumb_buffer buffer; struct plumb_tensor tensor; };
/* A matrix in scratch memory. */
enum plumb_status plumb_cl_temp(struct plumb_driver *driver, int index, int64_t rows, int64_t columns, struct plumb_cl_temp *t);
/* Another operator as a step, a matmul this way. Its kernels get its bytes, so whoever launches more sets driver->bytes anew. */
enum plumb_status plumb_cl_step(struct plumb_driver *driver, const struct plumb_call *call, enum plumb_cl_way way);
/* The buffer of a weight that is in one, else PLUMB_E_UNSUPPORTED, and its first eight rows' number there. */
enum plumb_status plumb_cl_whole(struct plumb_driver *driver, const struct plumb_tensor *w, cl_mem *mem, int64_t *first);
enum plumb_status plumb_cl_row_fits(struct plumb_driver *driver, int64_t k); /* in what a work-item keeps of a row that it norms */

/* --- attention.c --- */
enum plumb_cl_attention_way { PLUMB_CL_WHOLE, PLUMB_CL_PARTS }; /* all keys at once, or parts of them that are joined */
enum plumb_cl_attention_way plumb_cl_attention_way(const struct plumb_cl_state *cl, const struct plumb_call *call);

/* --- choice.c --- */
/* Of a product, alone or fused, by its first weight: PLUMB_CL_MATMUL, else what was measured, else the fixed way. */
enum plumb_status plumb_cl_choice(struct plumb_driver *driver, const struct plumb_call *call, enum plumb_cl_way *way);
void plumb_cl_choice_read(struct plumb_driver *driver); /* once per open driver; missing, stale or broken: no rows */
enum plumb_status plumb_cl_choice_write(struct plumb_driver *driver);

/* --- clblast.c --- */
const char *plumb_cl_clblast_missing(void); /* NULL: it is there; else why not, and which package has it */
const char *plumb_cl_clblast_version(void); /* "": it is not there */
void plumb_cl_clblast_forget(const struct plumb_cl_state *cl); /* what it keeps of contexts, before this one closes */
enum plumb_status plumb_cl_clblast(struct plumb_driver *driver, const struct plumb_call *call, const struct plumb_cl_part *part);

/* --- canary.c --- */
enum plumb_status plumb_cl_trust(struct plumb_driver *driver, const struct plumb_call *call);

/* --- copy.c --- */
enum plumb_status plumb_cl_copy_rate(struct plumb_driver *driver, double *rate);

/* --- memory.c --- */
enum plumb_status plumb_cl_alloc(struct plumb_driver *driver, struct plumb_buffer *buffer, void **handle);
void plumb_cl_free(struct plumb_driver *driver, void *handle);
enum plumb_status plumb_cl_upload(struct plumb_driver *driver, void *handle, const void *src, size_t bytes);
enum plumb_status plumb_cl_download(struct plumb_driver *driver, void *dst, void *handle, size_t offset, size_t bytes);
enum plumb_status plumb_cl_sync(struct plumb_driver *driver);

#define PLUMB_FUSED(name, inputs, formula)
#define PLUMB_OP(name, inputs, formula) enum plumb_status plumb_cl_##name(struct plumb_driver *driver, const struct plumb_call *call);
#include <plumb/ops.def>
enum plumb_status plumb_cl_attention(struct plumb_driver *driver, const struct plumb_call *call);
enum plumb_status plumb_cl_qkv(struct plumb_driver *driver, const struct plumb_call *call);
enum plumb_status plumb_cl_gate_up(struct plumb_driver *driver, const struct plumb_call *call);
enum plumb_status plumb_cl_matmul_add(struct plumb_driver *driver, const struct plumb_call *call);

#endif
