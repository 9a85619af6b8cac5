/* SPDX-License-Identifier: Apache-2.0 */
/* A context: the drivers opened from a list such as "cl,native", their threads and their memory limit.
 * An operator runs on the first driver of the list that supports it. Only one thread at a time may use a
 * context and the objects made from it; several contexts may be used by several threads at once.
 *
 * No function that takes a context may be called while another one of the same context runs: not from a
 * callback (a tap may use the tensor that it is given, and nothing else of the context), and not from a
 * signal handler.
 *
 * A child process made by fork has none of its parent's threads and devices. It may close the parent's
 * contexts and free the objects made from them, which returns the memory and does not block. It may also go
 * on with the native driver, which then has one thread; an operator of a driver with a device fails with
 * PLUMB_E_DEVICE. A child that computes should open a context of its own. A thread may fork while another one
 * is inside plumb only if the child calls exec. */
#ifndef PLUMB_CONTEXT_H
#define PLUMB_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <plumb/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum plumb_precision { PLUMB_FP32, PLUMB_FP64, PLUMB_FP16 };

/* Structures that a program fills in begin with their size, so that a later library can add fields and still
 * read the structure of an earlier program. Set `size` to sizeof the structure. A field that is zero has its
 * default, unless the field's comment says otherwise. PLUMB_E_ARGUMENT: no version had a structure of this
 * size, or a field that this version does not know is set. In C the macro beside each structure sets the
 * size: plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")). */
struct plumb_options {
	size_t size; /* sizeof(struct plumb_options) */
	/* A zero or NULL field means: from the environment, else the default. */
	const char *driver;    /* list as in AR_HARDWARE_DRIVER; NULL: the variable, else "*" */
	const char *precision; /* "FP32", "FP64", "FP16"; NULL: AR_HARDWARE_PRECISION, else FP32 */
	/* How products with quantised weights are made: "exact" in float32; "default" with activations of 16 bits
	 * and a scale per 32 of them; "fast" may use fewer bits. NULL: PLUMB_MODE, else "default". */
	const char *mode;
	/* Bytes that tensors and packed weights may take; 0: AR_HARDWARE_MEMORY_SCALE, else no limit; UINT64_MAX:
	 * no limit. */
	uint64_t memory_limit;
	const char *memory_location; /* "device", "host", "delegate"; NULL: the variable, else device */
	int threads;                 /* 1 to 256; 0: PLUMB_THREADS, else the CPUs allowed */
	/* Called with one line of text, without a newline, for each event that a user should know of though
	 * nothing failed, such as a kernel that was disabled because its results were wrong, or an operator that
	 * fell back to the next driver. The text is valid during the call. May be NULL. */
	void (*notice)(void *user, const char *line);
	void *notice_user;
	/* Called with a few words when something begins that may take seconds, such as the first compilation of
	 * an OpenCL program, and with NULL when it is done. user is notice_user. May be NULL. */
	void (*busy)(void *user, const char *what);
};
#define PLUMB_OPTIONS(...) (&(struct plumb_options){ .size = sizeof(struct plumb_options), __VA_ARGS__ })

/* Return true to cancel the call that is under way. It is a callback so that a program may look at a flag of
 * any kind that its threads or its signal handlers set, such as a C11 or a C++ atomic. It must not call a
 * function that takes a context. */
typedef bool (*plumb_cancel_fn)(void *user);

struct plumb_context;

/* Open the drivers of the list. options: NULL for the defaults; it is not used after the call. A driver that
 * is named must open, one reached through "*", "cpu" or "gpu" may fail as long as one opens. The caller
 * closes *ctx with plumb_close; it is NULL on failure. PLUMB_E_DRIVER: the text says which driver and why.
 * PLUMB_E_ARGUMENT: the text names the option or variable whose value is not valid. */
PLUMB_API enum plumb_status plumb_open(struct plumb_context **ctx, const struct plumb_options *options);
/* Close a context. Tensors and models made with it must be freed before. NULL is harmless. */
PLUMB_API void plumb_close(struct plumb_context *ctx);

/* The number of drivers that are open. Their indices are in the order of the list. */
PLUMB_API int plumb_driver_count(const struct plumb_context *ctx);
/* The name of driver `index`, such as "native" or "cl"; NULL past the end. It is valid as long as the
 * context. */
PLUMB_API const char *plumb_driver_name(const struct plumb_context *ctx, int index);
/* One line about driver `index`, such as "2 threads, avx2"; NULL past the end. It is valid as long as the
 * context. */
PLUMB_API const char *plumb_driver_note(const struct plumb_context *ctx, int index);
/* The precision that the context was opened with. */
PLUMB_API enum plumb_precision plumb_context_precision(const struct plumb_context *ctx);
/* The number of threads of the native driver, the calling one included. */
PLUMB_API int plumb_context_threads(const struct plumb_context *ctx);

/* Bytes that tensors and packed weights hold now, the most that they held since the context was opened, and
 * the limit (0: none). Mapped files do not count, since they are in the page cache. */
PLUMB_API void plumb_memory(const struct plumb_context *ctx, uint64_t *now, uint64_t *peak, uint64_t *limit);

/* Wait until all drivers have finished the operators that were started. PLUMB_E_DEVICE: a device failed. */
PLUMB_API enum plumb_status plumb_synchronize(struct plumb_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
