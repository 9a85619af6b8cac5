/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `plumb bench` share: the request, and a rig, which is one loaded model with its sessions.
 * Rigs that are measured together take turns within each round, so that what else the machine does hits all
 * alike. */
#ifndef PLUMB_CLI_BENCH_H
#define PLUMB_CLI_BENCH_H

#include "cli/cli.h"

#define BENCH_MOST_ROUNDS 1000
#define BENCH_MOST_SEQUENCES 64
#define BENCH_MOST_RIGS 3

struct bench_request {
	struct cli_common common;
	struct plumb_session_options session;
	const char *model;
	long prefill, decode, depth, rounds,
		sequences; /* prefill -1: 512, or less where the context is shorter */
	bool modes;
};

struct bench_rates {
	double low, median, high;
}; /* tokens/s */
struct bench_rig {
	struct plumb_context *ctx;
	struct plumb_model *model;
	struct plumb_session *sessions[BENCH_MOST_SEQUENCES];
	double load; /* seconds */
	struct bench_rates prefill, decode;
	double memory;                 /* bytes/s read in the same rounds, as a median; 0: not known */
	uint64_t resident;             /* most bytes of the process before its memory was measured */
	struct cli_kernels kernels[2]; /* prefill's and decoding's, of one round; none: not timed */
};

/* --- bench_measure.c --- */
/* Load the model in this mode (NULL: the request's); an exit code. */
int bench_open(const struct bench_request *r, const char *mode, struct bench_rig *rig);
void bench_close(struct bench_rig *rig);
/* Check the request against the model's context, then fill the rates of all rigs; an exit code. */
int bench_measure(struct bench_request *r, struct bench_rig *rigs, int count);
/* Bytes per second of weights that decoding read: one pass serves all sequences. */
double bench_weights(const struct bench_request *r, const struct bench_rig *rig);
/* The same tokens each time, spread over the vocabulary. */
void bench_tokens(int32_t *ids, int64_t n, int64_t vocab);

/* The lines and values that both tables begin with. */
void bench_print_head(const struct bench_request *r, const struct bench_rig *rig);
json_t *bench_json_head(const struct bench_request *r, const struct bench_rig *rig);
json_t *bench_json_rates(const struct bench_rates *r, long tokens);

/* --- bench_kernels.c --- */
/* Of the round in which kernels were timed; NULL, or nothing: there was none. copy: bytes/s of a plain copy,
 * 0: not known. */
json_t *bench_kernels_json(const struct bench_rig *rig, double copy);
void bench_kernels_print(const struct bench_request *r, struct bench_rig *rig, double copy);

/* --- bench_modes.c --- */
/* Measure and print the modes beside each other; an exit code. */
int bench_modes(struct bench_request *r);

#endif
