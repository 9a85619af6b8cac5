/* SPDX-License-Identifier: Apache-2.0 */
/* Operators' cases with random data and their float64 truth, for the tests of drivers: which contexts must
 * meet them is the business of check_op.c and check_cl.c. */
#ifndef OP_CASES_H
#define OP_CASES_H

#include "op/op.h"

/* One shape with data: the truth is made once, then every context must meet it. */
struct problem {
	enum plumb_op op;
	const struct plumb_op_desc *desc;
	const struct plumb_case *shape;
	enum plumb_type weight;
	uint64_t seed;
	struct plumb_context *ctx;          /* of what follows */
	struct plumb_case_args args, truth; /* args: what inputs must still be after a call */
	void *in_bytes[PLUMB_MAX_INPUTS];   /* what calls read: aligned as malloc does, no better */
	int64_t count;
	char text[256]; /* for messages */
};

/* From PLUMB_TEST_SEED, or always the same; messages name it. */
void start_random(unsigned stream);
/* Call fn with every case and weight type of an operator. PLUMB_TEST_SMALL=1 leaves out what is large, and
 * all but one shape for each number of rows that kernels tell apart and each weight type; 2 leaves out most
 * weight types, too. Returns how many there were. */
int each_problem(enum plumb_op op, void (*fn)(void *user, const struct problem *p), void *user);
/* Run it plainly, with the output in place of each input that allows it, and composed if fused. The plain
 * output's bytes are those at *first, unless that is NULL: then it is set, and the caller frees it. Guard
 * bands and inputs must stay as they are. */
void check_context(struct plumb_context *ctx, const struct problem *p, void **first);
/* In a context of precision FP16: every value of the output is a half, and a basic operator's is within its
 * own bound and one rounding of the truth; a fused one is composed. */
void check_half(struct plumb_context *ctx, const struct problem *p);
/* Drivers leave float64 to others. */
void check_refuses_f64(struct plumb_context *ctx, const struct problem *p);
/* Fails with the kept error text unless s is PLUMB_OK. */
void need(enum plumb_status s, const char *text);

#endif
