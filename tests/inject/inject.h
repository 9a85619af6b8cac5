/* SPDX-License-Identifier: Apache-2.0 */
/* Failures put in on purpose: the Nth allocation (alloc.c), the Nth system call of a kind (trap.c). */
#ifndef PLUMB_INJECT_H
#define PLUMB_INJECT_H

#include <stdatomic.h>
#include <stdbool.h>

#define INJECT_MOST_KINDS 64

/* What fails, and what has been seen. It lies in a shared page where a child is watched from outside. */
struct inject_state {
	atomic_bool armed;
	long at;           /* the call that fails, from 1; 0: none, they are only counted */
	bool onward;       /* and all after it */
	bool stop;         /* abort at the failure: for a debugger */
	atomic_long calls; /* allocations seen while armed */
	atomic_long live;  /* allocated while armed and not freed; frees of older ones count as well */
	atomic_long fired; /* failures so far */
	int kind;          /* of trap.c; -1: none */
	atomic_long kind_calls[INJECT_MOST_KINDS];
};
extern struct inject_state *inject;

/* --- trap.c: system calls of this process, through seccomp --- */
struct inject_kind {
	const char *name;
	int error;
}; /* error 0: the call does half of its bytes */
/* The kinds: {name, errno} per failure. Those of one name count the same calls. */
extern const struct inject_kind inject_kinds[];
extern const int inject_kinds_count;
/* From now on the kinds' calls are counted and one may fail. False: this system has no such thing. */
bool inject_trap(void);

#endif
