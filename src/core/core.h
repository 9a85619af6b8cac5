/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of the library share: errors, types, buffers, drivers' classes, contexts and the
 * thread pool. Knows no operator's meaning, no driver, no model. */
#ifndef PLUMB_CORE_H
#define PLUMB_CORE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/context.h>
#include <plumb/env.h>
#include <plumb/profile.h>
#include <plumb/op.h>
#include <plumb/status.h>
#include <plumb/tensor.h>

/* --- status.c --- */
/* Keep the text for plumb_last_error and return status, so `return plumb_fail(...)`. */
enum plumb_status plumb_fail(enum plumb_status status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Put "context: " before the kept text and return status unchanged. */
enum plumb_status plumb_fail_in(enum plumb_status status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
#define PLUMB_TRY(call) \
	do { \
		enum plumb_status try_status = (call); \
		if (try_status) \
			return try_status; \
	} while (0)

/* --- number.c: as snprintf, vsnprintf and strtod, but never with the locale's decimal comma --- */
int plumb_vformat(char *text, size_t size, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));
int plumb_format(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Behind the text that is there. */
void plumb_append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
double plumb_number(const char *text, char **end);

/* --- type.c --- */
float plumb_f16_to_f32(uint16_t h);
uint16_t plumb_f32_to_f16(float f);
#define PLUMB_F16_ENDS \
	65520.f /* from here on a value rounds to infinity in float16; cl/f16_overflow.cl has it too */
float plumb_bf16_to_f32(uint16_t h);
uint16_t plumb_f32_to_bf16(float f);
bool plumb_type_is_float(enum plumb_type type);  /* F32, F64, F16, BF16 */
bool plumb_type_is_weight(enum plumb_type type); /* may be a matmul weight */
/* Of a block, to the scales that are floats: scale[0], and scale[1] for those with a minimum; other bytes
 * stay as they are. What fills blocks at random needs it, as any bytes else are fine. */
void plumb_type_put_scales(enum plumb_type type, void *block, const float scale[2]);
/* What the codes of 4 bits stand for, MXFP4's doubled; scales in sub-blocks of 16 and 32; 2^(e - 128), with
 * which those doubled values go. */
extern const int8_t plumb_type_iq4_values[16], plumb_type_mxfp4_values[16];
int plumb_type_q3_k_scale(const uint8_t *block, int j);
int plumb_type_iq4_xs_scale(const uint8_t *block, int j);
float plumb_type_e8m0_half(uint8_t e);
/* Bytes of n elements; false when n is not whole blocks or the product overflows. */
bool plumb_type_size(enum plumb_type type, int64_t n, size_t *bytes);

/* --- tensor.c --- */
/* Check a shape and give its bytes; *count elements. */
enum plumb_status plumb_shape_check(
	enum plumb_type type, int rank, const int64_t *dim, int64_t *count, size_t *bytes);
/* "{3, 896}" into text (at least 96 bytes), returned. */
char *plumb_shape_text(const struct plumb_tensor *t, char *text, size_t size);
/* Elements [first, first + rows * columns) as a matrix; a view like those of plumb_tensor_rows. They must be
 * inside t. */
void plumb_tensor_view(
	struct plumb_tensor *view, const struct plumb_tensor *t, int64_t first, int64_t rows, int64_t columns);
bool plumb_shape_same(const struct plumb_tensor *a, const struct plumb_tensor *b);

/* --- memory.c --- */
#define PLUMB_MAX_DRIVERS 4
struct plumb_driver;
struct plumb_buffer {
	struct plumb_context *ctx;
	size_t bytes;
	void *host;    /* 64-byte aligned when ours; NULL and fresh: zero bytes, not allocated yet */
	bool borrowed; /* host belongs to the caller and is read only */
	bool host_fresh;
	bool exact; /* a weight whose products keep float32's accuracy in every mode */
	struct plumb_copy {
		void *handle; /* the driver's memory, NULL: none */
		bool fresh;
		void *prepared; /* the driver's own layout of a weight, NULL: none */
	} copy[PLUMB_MAX_DRIVERS];
};
/* New bytes, all zero, or those at `borrowed` (NULL: none), which are never written. */
enum plumb_status plumb_buffer_new(
	struct plumb_context *ctx, struct plumb_buffer **out, size_t bytes, const void *borrowed);
void plumb_buffer_free(struct plumb_buffer *buffer);
/* Give the driver (NULL: the host) its copy. keep: with the fresh content; else the driver is
 * about to overwrite all of it, so only the memory is needed. */
enum plumb_status plumb_buffer_resident(struct plumb_buffer *buffer, struct plumb_driver *driver, bool keep);
/* The driver has written it: its copy (or the host's) is now the only fresh one. */
void plumb_buffer_written(struct plumb_buffer *buffer, struct plumb_driver *driver);
/* Allocate the host copy if there is none yet (zero bytes); nobody is at work in it when this returns. */
enum plumb_status plumb_buffer_host(struct plumb_buffer *buffer);
/* Make the host copy fresh. */
enum plumb_status plumb_buffer_to_host(struct plumb_buffer *buffer);
/* Bytes [offset, offset + n) into dst, wherever they are fresh; makes no host copy. */
enum plumb_status plumb_buffer_read(struct plumb_buffer *buffer, size_t offset, void *dst, size_t n);
/* Host bytes of a tensor. For drivers that work in host memory and for code after plumb_buffer_to_host. */
static inline void *plumb_host(const struct plumb_tensor *t) { return (char *)t->buffer->host + t->offset; }
/* Take or give back n bytes of the context's budget; PLUMB_E_LIMIT names what was asked and allowed. */
enum plumb_status plumb_budget_take(struct plumb_context *ctx, uint64_t bytes);
void plumb_budget_give(struct plumb_context *ctx, uint64_t bytes);

/* --- chunk.c --- */
#define PLUMB_HUGE_PAGE ((size_t)2 << 20)
struct plumb_chunk; /* memory that several takers share; a list of them starts as NULL */
/* Memory for a weight in a chunk of the list, perhaps a new one; NULL: there is none. *from is for
 * plumb_chunk_give, which frees a chunk when its last taker has gone. */
void *plumb_chunk_take(struct plumb_chunk **list, size_t size, struct plumb_chunk **from);
void plumb_chunk_give(struct plumb_chunk **list, struct plumb_chunk *chunk);

/* --- clock.c --- */
double plumb_seconds(void); /* monotonic, from any beginning */

/* --- fork.c --- */
/* Forks between this process and the first one that asked: what was made at another number is a parent's. */
unsigned plumb_forks(void);

/* --- pool.c --- */
struct plumb_pool;
typedef void (*plumb_pool_fn)(void *arg, int64_t index, int thread); /* thread: 0 .. threads - 1 */
enum plumb_status plumb_pool_new(struct plumb_pool **pool, int threads);
void plumb_pool_free(struct plumb_pool *pool);
/* While `thread` has no loop to share it may prefetch from `next` on; NULL: nothing. Any address will do. */
void plumb_pool_hint(struct plumb_pool *p, int thread, const void *next);
int plumb_pool_threads(const struct plumb_pool *pool);
/* Was it made before a fork that led to this process? Then its threads are not here: a loop is run by the
 * caller alone. */
bool plumb_pool_orphan(const struct plumb_pool *pool);
/* Run fn(arg, i, thread) for each i in [0, n), in any order, and wait. The caller works too. */
void plumb_pool_run(struct plumb_pool *pool, plumb_pool_fn fn, void *arg, int64_t n);

/* --- threads.c --- */
/* 1 to 256: the CPUs that this process may use. */
int plumb_cpus_allowed(void);
/* CPUs of the affinity mask, however many the system has; at least 1. get fills a mask of these bytes (a
 * cpu_set_t), or answers an errno: EINVAL where they are too few. */
int plumb_cpus_of_mask(int (*get)(size_t bytes, void *mask));
/* CPUs whose time the control groups of this process (versions 1 and 2) give; 256: no limit. root: "", or a
 * folder with proc and sys. */
int plumb_cpus_of_groups(const char *root);
/* The first line of a file under root, cut to size - 1 bytes; false: there is none. */
bool plumb_read_line(const char *root, const char *path, char *line, int size);

/* --- calls: one signature for every operator of every driver --- */
#define PLUMB_MAX_INPUTS 8
struct plumb_call {
	enum plumb_op op;
	struct plumb_tensor *out;
	const struct plumb_tensor *in[PLUMB_MAX_INPUTS]; /* NULL: absent */
	union {
		struct {
			double eps;
			enum plumb_activation activation; /* of gate_up */
		};
		double factor; /* of scale */
		struct plumb_rope rope;
		int64_t pos;
		struct plumb_attn attn;
	} s;
	int variant; /* 1 + the number of the kernel variant to take, by a count of the driver's own; 0: the
					driver chooses */
};
/* PLUMB_E_UNSUPPORTED and PLUMB_E_MEMORY mean: ask the next driver. Who may still fail when something is at
 * work that may write the output sets driver->touched before, and is not asked again, nor is another, where
 * the output is an input too. */
typedef enum plumb_status (*plumb_op_fn)(struct plumb_driver *driver, const struct plumb_call *call);

/* --- drivers --- */
struct plumb_driver_class {
	const char *name; /* as in AR_HARDWARE_DRIVER */
	/* Fill driver->state and driver->note; driver->kind is the device type asked for. */
	enum plumb_status (*open)(struct plumb_driver *driver);
	void (*close)(struct plumb_driver *driver);
	/* Device memory; all NULL: the driver works in host memory. */
	enum plumb_status (*alloc)(struct plumb_driver *driver, struct plumb_buffer *buffer, void **handle);
	void (*free)(struct plumb_driver *driver, void *handle);
	/* src NULL: zero bytes */
	enum plumb_status (*upload)(struct plumb_driver *driver, void *handle, const void *src, size_t bytes);
	enum plumb_status (*download)(
		struct plumb_driver *driver, void *dst, void *handle, size_t offset, size_t bytes);
	enum plumb_status (*sync)(struct plumb_driver *driver); /* optional */
	/* Optional: own layout of a weight, kept in buffer->copy[driver->index].prepared. */
	enum plumb_status (*prepare)(struct plumb_driver *driver, struct plumb_tensor *w);
	void (*unprepare)(struct plumb_driver *driver, void *prepared);
	/* Optional: kernel `index` of those launched; false past the end. */
	bool (*kernel_row)(const struct plumb_driver *driver, int index, struct plumb_kernel_time *row);
	/* Optional: wait for each kernel and time it, or no more. */
	enum plumb_status (*profile)(struct plumb_driver *driver, bool on);
	/* Optional: bytes read and written per second when the device copies its memory. */
	enum plumb_status (*copy_rate)(struct plumb_driver *driver, double *rate);
	/* Optional: PLUMB_E_UNSUPPORTED when the driver's kernel for this call has shown itself wrong (canary).
	 */
	enum plumb_status (*trust)(struct plumb_driver *driver, const struct plumb_call *call);
	plumb_op_fn op[PLUMB_OP_COUNT]; /* basic ones complete, fused ones may be NULL */
};
enum plumb_device_kind { PLUMB_KIND_ANY, PLUMB_KIND_CPU, PLUMB_KIND_GPU };
struct plumb_driver {
	const struct plumb_driver_class *cls;
	struct plumb_context *ctx;
	int index;                   /* place in the context's list */
	enum plumb_device_kind kind; /* asked for by "cpu" or "gpu" */
	char note[128];
	bool touched;       /* the call under way may have begun to write its output */
	bool in_host_bytes; /* its copies are the host's bytes, so it must be waited for before the host writes
						   them */
	void *state;
};
/* --- contexts: what an open one is; context.c closes it and answers about it, src/drivers opens it --- */
enum plumb_mode { PLUMB_MODE_DEFAULT, PLUMB_MODE_EXACT, PLUMB_MODE_FAST };
/* What rounding activations to integers may take of a row's norm when the mode is not exact
 * (doc/numerics.md). */
#define PLUMB_MODE_LOSS 4e-5f
/* FP16: rows in which operators made a finite value that float16 cannot hold, and the first of them. Who
 * knows layers takes it and sets rows to 0. */
struct plumb_f16_note {
	int64_t rows, row;
	bool absolute; /* row is a position of the sequence, not of the call */
	const char *op;
	double value;
};
struct plumb_op_desc;
struct plumb_context {
	/* The operators there are, by enum plumb_op; and what is done after each that a driver ran, NULL: nothing
	 * (FP16: rounding). */
	const struct plumb_op_desc *const *operators;
	enum plumb_status (*after)(struct plumb_context *ctx, const struct plumb_call *call);
	enum plumb_precision precision;
	enum plumb_mode mode;
	const char *location; /* "device", "host", "delegate" */
	int drivers;
	struct plumb_driver driver[PLUMB_MAX_DRIVERS];
	struct plumb_pool *pool;
	_Atomic uint64_t used, peak;
	uint64_t limit; /* 0: none */
	_Atomic uint64_t placed[PLUMB_OP_COUNT][PLUMB_MAX_DRIVERS];
	char reason[PLUMB_OP_COUNT][192]; /* why an operator went past the first driver */
	bool strict;                      /* then that is an error */
	struct plumb_f16_note f16;
	unsigned avoid[PLUMB_MAX_DRIVERS]; /* bits 1 << op that a driver is not asked to run, though it could
										  (PLUMB_AVOID) */
	void (*notice)(void *user, const char *line);
	void *notice_user;
	void (*busy)(void *user, const char *what);
};

/* A driver with memory of its own, in a child of the process that opened it: none of its handles may be
 * touched. */
static inline bool plumb_driver_lost(const struct plumb_driver *driver)
{
	return driver->cls->alloc && plumb_pool_orphan(driver->ctx->pool);
}
enum plumb_status plumb_fail_lost(const struct plumb_driver *driver); /* in fork.c */

/* --- notice.c --- */
/* Tell the context's notice function. */
void plumb_notice(struct plumb_context *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- env.c: every variable that is read, declared once --- */
enum plumb_env_name {
	PLUMB_ENV_DRIVER,
	PLUMB_ENV_PRECISION,
	PLUMB_ENV_MODE,
	PLUMB_ENV_LIBS,
	PLUMB_ENV_MEMORY_SCALE,
	PLUMB_ENV_MEMORY_LOCATION,
	PLUMB_ENV_THREADS,
	PLUMB_ENV_NATIVE_ISA,
	PLUMB_ENV_CL_DEVICE,
	PLUMB_ENV_CL_PATH,
	PLUMB_ENV_CL_PROFILE,
	PLUMB_ENV_CL_MAX_ALLOC,
	PLUMB_ENV_CL_CLASS,
	PLUMB_ENV_CL_MATMUL,
	PLUMB_ENV_CANARY,
	PLUMB_ENV_STRICT,
	PLUMB_ENV_AVOID,
	PLUMB_ENV_CACHE_HOME,
	PLUMB_ENV_HOME,
	PLUMB_ENV_ICD_VENDORS,
	PLUMB_ENV_VENDOR_PATH,
	PLUMB_ENV_ICD_FILENAMES,
	PLUMB_ENV_POCL_CACHE,
	PLUMB_ENV_COUNT
};
enum plumb_env_kind {   /* what a row's values are; 0 is none, so that a new row must say it */
	PLUMB_ENV_TEXT = 1, /* any text: a folder, a name */
	PLUMB_ENV_OWN,      /* who reads it has a parser of its own and refuses the rest by name: a list, an
						   instruction set of this machine */
	PLUMB_ENV_NUMBER,
	PLUMB_ENV_FLAG,
	PLUMB_ENV_WORD
};
/* NULL: unset or empty. For opening and the doctor: what runs later has its value in the context's or the
 * driver's state, as a getenv there would race the host's setenv. */
const char *plumb_env(enum plumb_env_name name);
enum plumb_env_kind plumb_env_kind(enum plumb_env_name name);
/* A value (of the environment, or an option in its place) by the row's kind: a number, 0 or 1 of a flag, the
 * index of a word. text NULL: *value stays. Else PLUMB_E_ARGUMENT, naming the variable and what it may be. */
/* A structure that a program fills in, which begins with its size, into ours of the same kind (of size
 * `ours`, of which the first version had `first` bytes): what the program's version did not have is 0. from
 * NULL: all is 0, the default. PLUMB_E_ARGUMENT: the size is of no version, or a field is set that this
 * version does not know. */
enum plumb_status plumb_options_take(const char *name, void *to, size_t ours, size_t first, const void *from);
enum plumb_status plumb_env_parse(enum plumb_env_name name, const char *text, int64_t *value);
const char *plumb_env_word(enum plumb_env_name name, int64_t index);
/* The environment's numbers, flags and words, all of them: for commands that open nothing. */
enum plumb_status plumb_env_check(void);

/* --- descriptors: the contract of an operator, in src/op --- */
struct plumb_case_tensor {
	enum plumb_type type;
	int rank;
	int64_t dim[PLUMB_MAX_RANK];
};
struct plumb_case { /* one shape for tests and benches; scalars as in a call */
	const char *name;
	struct plumb_case_tensor out, in[PLUMB_MAX_INPUTS]; /* rank 0: absent */
	struct plumb_call scalars;                          /* only .s is read */
};
struct plumb_op_desc {
	const char *name;
	bool fused;
	bool inout;       /* the output's other bytes are kept (kv_store) */
	unsigned weights; /* bit i: in[i] may be of any weight type */
	unsigned parts;   /* of a fused one, bits 1 << op: the basic ones it is made of */
	int index;        /* index of the input that holds row indices; -1: none */
	unsigned alias;   /* bit i: the output may be in[i] */
	/* How a call is cut to a few rows and columns (op/canary.c). */
	unsigned rows; /* bit i: row r of in[i] belongs to row r of the output; none: calls are not cut by rows */
	unsigned columns; /* bit i: rows of in[i] (a weight, its bias) give columns of the output */
	int per_column;   /* weights that give one column together; 0: one */
	unsigned caches;  /* bit i: in[i] has room for more positions than the call sees */
	enum plumb_status (*check)(const struct plumb_call *call);
	plumb_op_fn ref; /* float64 truth */
	/* Fused only: the same through basic operators of the context. */
	enum plumb_status (*compose)(struct plumb_context *ctx, const struct plumb_call *call);
	double (*flops)(const struct plumb_call *call);
	double (*bytes)(const struct plumb_call *call);
	/* Largest relative L2 error against the truth in float32 (doc/numerics.md). */
	double (*tolerance)(const struct plumb_call *call);
	const struct plumb_case *cases;
	int case_count;
};
/* The first input that may be of any weight type; -1: none. */
static inline int plumb_desc_weight(const struct plumb_op_desc *desc)
{
	return desc->weights ? __builtin_ctz(desc->weights) : -1;
}
extern const struct plumb_op_desc *const plumb_op_table[PLUMB_OP_COUNT];
/* Run the operator's smaller cases on this driver and, with the same random inputs, as float64 truth. *error
 * is the relative L2 error of the worst case (0 when no case suits the weight type), *tolerance what is
 * allowed there. A failure names the case. weight: of operators that take any weight type. truth: a context
 * of precision FP64. In src/op/verify.c. */
enum plumb_status plumb_op_verify(struct plumb_driver *driver, struct plumb_context *truth, int op,
	enum plumb_type weight, double *error, double *tolerance);

/* Run a few rows of this very call on the driver and on the truth. *allowed is generous, since real numbers
 * may amplify rounding: it tells a wrong kernel from a right one, not a good one from a better. In
 * src/op/canary.c. */
enum plumb_status plumb_op_canary(
	struct plumb_driver *driver, const struct plumb_call *call, double *error, double *allowed);

/* In precision FP16: round what a call has made to float16, and note what overflows. In src/op/f16.c. */
enum plumb_status plumb_op_f16(struct plumb_context *ctx, const struct plumb_call *call);

/* --- dispatch.c --- */
/* Make the tensors of a checked call resident on this driver and call its kernel; PLUMB_E_UNSUPPORTED: it has
 * none. trust: ask the canary first. Counts no placement. */
enum plumb_status plumb_dispatch_on(struct plumb_driver *driver, const struct plumb_call *call, bool trust);
enum plumb_status plumb_dispatch(struct plumb_context *ctx, const struct plumb_call *call);
/* The call failed on this driver: may it be made again, there or elsewhere? Not when it may have written what
 * it would read. */
bool plumb_call_repeatable(const struct plumb_driver *driver, const struct plumb_call *call);

#endif
