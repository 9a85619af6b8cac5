/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor, a program of its own: it walks from the OpenCL loader to a kernel's numbers and says at each
 * step what works. Vendors' code runs in forked children, since it may crash, exit or hang. */
#ifndef PLUMB_CL_DOCTOR_H
#define PLUMB_CL_DOCTOR_H

#include <stdio.h>
#include <plumb/doctor.h>
#include "core/core.h"

#define PLUMB_DOCTOR_FACTS 64
struct plumb_doctor {
	plumb_finding_fn report;
	void *user;
	enum plumb_verdict verdict; /* the gravest problem so far */
	FILE *pipe;                 /* in a child: to the parent, for findings and facts */
	bool in_child;
	int facts; /* what children found out for later steps; more than PLUMB_DOCTOR_FACTS are dropped */
	struct plumb_fact {
		char key[16], text[128];
	} fact[PLUMB_DOCTOR_FACTS];
};

/* --- finding.c --- */
/* Reports a finding. verdict is that of a problem; advice says what to do, NULL: nothing. Bytes that cannot
 * be printed become
 * "?". */
void plumb_doctor_say(struct plumb_doctor *d, enum plumb_mark mark, enum plumb_verdict verdict,
	const char *step, const char *advice, const char *format, ...) __attribute__((format(printf, 6, 7)));
#define PLUMB_SAY_OK(d, step, ...) plumb_doctor_say(d, PLUMB_MARK_OK, PLUMB_HEALTHY, step, NULL, __VA_ARGS__)
#define PLUMB_SAY_WARNING(d, step, advice, ...) \
	plumb_doctor_say(d, PLUMB_MARK_WARNING, PLUMB_HEALTHY, step, advice, __VA_ARGS__)
#define PLUMB_SAY_PROBLEM(d, verdict, step, advice, ...) \
	plumb_doctor_say(d, PLUMB_MARK_PROBLEM, verdict, step, advice, __VA_ARGS__)
/* Keeps a fact for later steps. Keys: "loader" and "khronos" (loader.c), "named", "loads" and "offers"
 * (icd.c), "platform" and "chosen" (platform.c). */
void plumb_doctor_note(struct plumb_doctor *d, const char *key, const char *text);
/* The text of fact `index` of this key; NULL: there are fewer. */
const char *plumb_doctor_fact(const struct plumb_doctor *d, const char *key, int index);
bool plumb_doctor_knows(const struct plumb_doctor *d, const char *key, const char *text);

/* --- child.c --- */
typedef void (*plumb_doctor_fn)(struct plumb_doctor *d, const void *arg);
/* Runs fn in a child whose findings and facts arrive here. False when it did not come to its end: how then
 * says why, such as "crashes: Segmentation fault". seconds is the longest silence that is waited for. */
bool plumb_doctor_child(
	struct plumb_doctor *d, plumb_doctor_fn fn, const void *arg, int seconds, char how[128]);

/* --- the steps, in their order --- */
void plumb_doctor_loader(struct plumb_doctor *d);
/* icd.c: which drivers are registered, and whether their libraries load. */
void plumb_doctor_icds(struct plumb_doctor *d);
void plumb_doctor_nodes(struct plumb_doctor *d);
void plumb_doctor_platforms(struct plumb_doctor *d);
void plumb_doctor_kernels(struct plumb_doctor *d);

/* --- pocl.c --- */
/* True when PoCL is among the drivers that load but cannot write its cache, so that it offers no device. It
 * is said, too. */
bool plumb_doctor_pocl_stopped(struct plumb_doctor *d);

/* --- wanted.c --- */
/* The kind of device on which AR_HARDWARE_DRIVER allows the cl driver; PLUMB_KIND_ANY where it allows both.
 */
enum plumb_device_kind plumb_doctor_wanted(void);

#endif
