/* SPDX-License-Identifier: Apache-2.0 */
/* What the doctor's files share: saying what was found, and running vendors' code in a child. */
#ifndef PLUMB_CL_DOCTOR_H
#define PLUMB_CL_DOCTOR_H

#include <stdio.h>
#include <plumb/doctor.h>
#include "core/core.h"

#define PLUMB_DOCTOR_FACTS 64
struct plumb_doctor {
	plumb_finding_fn report;
	void *user;
	enum plumb_verdict verdict;
	FILE *pipe; /* in a child: what it says goes to the parent here */
	bool in_child;
	int facts;  /* what children found out for later steps */
	struct plumb_fact { char key[16], text[128]; } fact[PLUMB_DOCTOR_FACTS];
};

/* --- doctor.c --- */
/* Report a finding; advice NULL: none. Unprintable bytes become "?". */
void plumb_doctor_say(struct plumb_doctor *d, enum plumb_mark mark, enum plumb_verdict verdict, const char *step, const char *advice,
	const char *format, ...) __attribute__((format(printf, 6, 7)));
#define PLUMB_SAY_OK(d, step, ...) plumb_doctor_say(d, PLUMB_MARK_OK, PLUMB_HEALTHY, step, NULL, __VA_ARGS__)
#define PLUMB_SAY_WARNING(d, step, advice, ...) plumb_doctor_say(d, PLUMB_MARK_WARNING, PLUMB_HEALTHY, step, advice, __VA_ARGS__)
/* Keep a fact for later steps. */
void plumb_doctor_note(struct plumb_doctor *d, const char *key, const char *text);
/* Fact `index` of this key; NULL past the last. */
const char *plumb_doctor_fact(const struct plumb_doctor *d, const char *key, int index);

/* --- child.c --- */
/* Run fn in a child whose findings and facts arrive here. False when it did not come to its end: how then says why
 * ("crashes: Segmentation fault"). seconds: longest silence. */
typedef void (*plumb_doctor_fn)(struct plumb_doctor *d, const void *arg);
bool plumb_doctor_child(struct plumb_doctor *d, plumb_doctor_fn fn, const void *arg, int seconds, char how[128]);

/* --- icd.c --- */
/* Which drivers are registered, and whether their libraries load. Facts: "offers" (a platform's name), "loads". */
void plumb_doctor_icds(struct plumb_doctor *d);

/* --- wanted.c --- */
/* The kind of device on which AR_HARDWARE_DRIVER allows the cl driver; PLUMB_KIND_ANY where it allows both. */
enum plumb_device_kind plumb_doctor_wanted(void);

/* --- pocl.c --- */
/* Is PoCL among the drivers that load, and can it not write its cache? Then a warning says so: it offers no device. */
bool plumb_doctor_pocl_stopped(struct plumb_doctor *d);

#endif
