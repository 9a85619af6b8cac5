/* SPDX-License-Identifier: Apache-2.0 */
/* Result codes and the text of the last error. Every function of plumb that can
 * fail returns enum plumb_status; the text says what was wrong, with which file,
 * tensor or value. The library itself never prints, exits or aborts. */
#ifndef PLUMB_STATUS_H
#define PLUMB_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what the shared library exports; the export list is made from it. */
#define PLUMB_API

enum plumb_status {
	PLUMB_OK = 0,
	PLUMB_E_ARGUMENT = -1,    /* a value the caller passed makes no sense */
	PLUMB_E_MEMORY = -2,      /* the system gave no memory */
	PLUMB_E_IO = -3,          /* open, read, write or map failed (text has errno's) */
	PLUMB_E_FORMAT = -4,      /* bytes of a file break the rules of its format */
	PLUMB_E_SHAPE = -5,       /* tensor dimensions do not fit the operator or model */
	PLUMB_E_TYPE = -6,        /* tensor type not allowed here */
	PLUMB_E_UNSUPPORTED = -7, /* well formed, but not something this build can do */
	PLUMB_E_DRIVER = -8, /* unknown driver, a named driver does not open, or no driver can run an operator */
	PLUMB_E_DEVICE = -9, /* a device failed while working */
	PLUMB_E_LIMIT = -10, /* past the context window or the memory limit */
	PLUMB_E_CANCELLED = -11, /* the caller asked for the call to stop */
	PLUMB_E_INTERNAL = -12,  /* a bug of plumb */
	PLUMB_E_NONFINITE = -13  /* a computed value is NaN or infinite where it must not be */
};

/* A fixed English name of the code ("out of memory"); never NULL. */
PLUMB_API const char *plumb_strerror(enum plumb_status status);

/* Text of the last failure in the calling thread; "" before the first. Valid until
 * the thread's next failing call. */
PLUMB_API const char *plumb_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
