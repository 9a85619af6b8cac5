/* SPDX-License-Identifier: Apache-2.0 */
/* Why OpenCL does or does not work on this machine: a check of each link of the chain from the loader to the
 * results of a kernel. */
#ifndef PLUMB_DOCTOR_H
#define PLUMB_DOCTOR_H

#include <stdbool.h>
#include <plumb/status.h>
#include <plumb/device.h>

#ifdef __cplusplus
extern "C" {
#endif

enum plumb_mark { PLUMB_MARK_OK, PLUMB_MARK_WARNING, PLUMB_MARK_PROBLEM };

/* What is wrong. The numbers are the exit codes of `plumb doctor`. */
enum plumb_verdict {
	PLUMB_HEALTHY = 0,
	PLUMB_NO_LOADER = 10,     /* no libOpenCL.so.1 */
	PLUMB_NO_ICD = 11,        /* a loader, but no OpenCL driver is registered */
	PLUMB_BROKEN_ICD = 12,    /* a registered driver cannot be read or loaded, or crashes */
	PLUMB_NO_DEVICE = 13,     /* drivers load, but none offers a device that plumb can take */
	PLUMB_WRONG_RESULTS = 14, /* an operator's kernel fails or is wrong on the chosen device */
	PLUMB_NOT_BUILT = 15      /* this build has no OpenCL driver */
};

struct plumb_finding {
	enum plumb_mark mark;
	enum plumb_verdict verdict; /* what a problem means; PLUMB_HEALTHY when mark is another one */
	const char
		*step; /* "build", "loader", "icd", "node", "platform", "device", "choice", "capability", "kernel" */
	const char *what;   /* one line of printable text */
	const char *advice; /* what to do about it; NULL: nothing */
};
/* Called once per finding. The texts last until it returns. */
typedef void (*plumb_finding_fn)(void *user, const struct plumb_finding *finding);

/* Checks the chain link by link and calls report with each finding. Vendors' code runs in forked children, so
 * that a crash or a hang of it becomes a finding: call this in a process that has one thread and has not
 * opened the cl driver. kernels: also run every operator on the device that the cl driver would take, and
 * compare with the float64 truth; it takes minutes where kernels must be compiled. *verdict: the gravest
 * problem. A status other than PLUMB_OK means that the doctor itself could not work. */
PLUMB_API enum plumb_status plumb_doctor(
	bool kernels, plumb_finding_fn report, void *user, enum plumb_verdict *verdict);

#ifdef __cplusplus
}
#endif
#endif
