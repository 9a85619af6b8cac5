/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of a diagnosis, and what some of them ask of others. */
#ifndef PLUMB_DIAG_CHECK_H
#define PLUMB_DIAG_CHECK_H

#include "core/string.h"
#include "diag/context.h"
#include "diag/check/convention.h"
#include "diag/check/growth.h"
#include "diag/check/massive.h"
#include "diag/check/texts.h"

/* The reference with conventions undone (convention.c runs when needed). */
enum plumb_status plumb_diag_fixed(struct plumb_diag *d, const struct plumb_capture **c);

/* --- errors.c: the gaps of all points that the reference has, computed once --- */
enum plumb_gap_kind {
	PLUMB_ACCUMULATED, /* our run as it is */
	PLUMB_ISOLATED,    /* each layer fed with the reference's input */
	PLUMB_COMPONENT,   /* each point fed with the reference's earlier points */
	PLUMB_GAP_KINDS
};
struct plumb_errors {
	int layers;
	enum plumb_stored reference, stored; /* the reference's precision; what the comparison can tell */
	double limit;                        /* of the excess */
	bool inner;  /* the reference has points inside layers; else there is no COMPONENT */
	bool hybrid; /* rows that the reference has not are the trusted run's */
	int sure; /* the last layer whose isolation can show that it is wrong: hybrid only, else the last one */
	unsigned cancels;                       /* points that differ in some layer and cancel there */
	struct plumb_gap *gap[PLUMB_GAP_KINDS]; /* (layers + 1) * PLUMB_POINT_COUNT each */
};
enum plumb_status plumb_diag_errors(struct plumb_diag *d, const struct plumb_errors **errors);

/* --- gaps.c: what is in them --- */
void plumb_errors_free(struct plumb_errors *errors);
/* NULL when there is nothing to compare, or what was compared proves nothing (unsure). */
const struct plumb_gap *plumb_gap_at(
	const struct plumb_errors *e, enum plumb_gap_kind kind, int layer, int point);
/* The same with those that prove nothing: for their numbers, not to judge. */
const struct plumb_gap *plumb_gap_any(
	const struct plumb_errors *e, enum plumb_gap_kind kind, int layer, int point);
/* The next point, in order of evaluation, whose accumulated gap is known; of the first `layers` layers. Begin
 * with layer and point -1. */
const struct plumb_gap *plumb_gap_next(const struct plumb_errors *errors, int layers, int *layer, int *point);
/* What the layer was fed with in isolation: nothing but our own, some rows of the reference's (the others are
 * the trusted run's), or all. */
enum plumb_input { PLUMB_INPUT_OURS, PLUMB_INPUT_HYBRID, PLUMB_INPUT_REFERENCE };
enum plumb_input plumb_isolation_input(const struct plumb_diag *d, int layer);

/* --- cancel.c --- */
/* Mark what differs inside a layer though what is made of it does not: such gaps are ok. */
enum plumb_status plumb_errors_cancel(struct plumb_diag *d, struct plumb_errors *errors);
/* "q_rope, k_rope of 3 layers differ ..., and that is harmless: ..."; "" when nothing does. */
enum plumb_status plumb_cancel_describe(
	struct plumb_diag *d, const struct plumb_errors *errors, char *text, size_t size);

/* --- known.c --- */
/* Does every layer that was judged differ, and none by more than rounding its weights to their types
 * explains? */
enum plumb_status plumb_known_rounded(
	struct plumb_diag *d, const struct plumb_errors *e, bool *explained, enum plumb_type *type);
/* Entries of the file that are not used and may matter: how many, and the first by name with "and 2 more". */
int plumb_known_unused(const struct plumb_diag *d, char *text, size_t size);

/* --- fingerprint.c --- */
#define PLUMB_NONE_WRONG (-2)
/* The first layer that alone, fed with the reference's input, is beyond the limit: -1 the embeddings,
 * `layers` of the configuration what comes after the layers, PLUMB_NONE_WRONG none. *bad: how many layers
 * are. */
enum plumb_status plumb_first_wrong(struct plumb_diag *d, int *layer, int *bad);

/* --- answer.c --- */
/* The next token as ours and the reference have it. have: the reference has logits of a position that was
 * evaluated. */
struct plumb_answer {
	bool have;
	struct plumb_logits_measure m;
	char text[512];
};
enum plumb_status plumb_answer_find(struct plumb_diag *d, struct plumb_answer *answer);
/* {kl, top_ours, top_reference, margin_ours, margin_reference, agree, k, max_abs, text}, or null */
json_t *plumb_answer_json(const struct plumb_answer *answer);

/* --- ranges.c --- */
/* Of the values at a point. */
struct plumb_range {
	int layer, point;
	double min, max, rms; /* of finite values; NaN: none */
	double mean;          /* 0: none */
	double top;           /* scores: the largest |maximum| of a row with two keys or more; else NaN */
	int64_t nan, inf, denormal;
	int64_t bad; /* index of the first NaN or infinity, -1: none */
};
/* masked: with the scores of keys that a query does not see. */
struct plumb_range plumb_range_of(int layer, int point, const struct plumb_captured *p, bool masked);
/* Standard deviation of all finite values, of a range with masked scores: a pass of its own. 0: none. */
double plumb_range_std(const struct plumb_range *range, const struct plumb_captured *p);
/* For every point of a capture, in order of evaluation, without those; the caller frees *range. */
enum plumb_status plumb_ranges_of(const struct plumb_capture *c, struct plumb_range **range, int *ranges);

/* --- sums.c --- */
/* How large a sum inside an operator can get, whatever the order of its terms: of |terms|, the worst element.
 */
struct plumb_sum {
	int layer, point;
	double worst;
	int64_t terms;
}; /* worst NaN: no finite input */
/* For every product, norm and score of a capture, in order of evaluation; the caller frees *sums. */
enum plumb_status plumb_sums_of(
	struct plumb_diag *d, const struct plumb_capture *c, struct plumb_sum **sums, int *count);

/* --- narrow.c --- */
/* What is known of the values of one run in float32. */
struct plumb_values {
	const struct plumb_capture *c;
	struct plumb_range *range; /* without masked scores */
	struct plumb_sum *sum;
	int ranges, sums;
};
/* Can the operators run in fp16 (or bf16)? One row for each that the run has. */
struct plumb_plan {
	struct plumb_plan_row {
		const struct plumb_format {
			const char *name;
			double largest, smallest; /* finite; normal */
			int bits;                 /* of the significand */
		} * f;
		int point;
		enum plumb_op op; /* that makes it */
		bool stay;        /* in float32 */
		char why[256];
		int *layer, layers; /* those that decide it */
	} row[PLUMB_POINT_COUNT];
	int rows;
	int *layer; /* of all rows; the caller frees it, also after an error */
};
enum plumb_status plumb_narrow_plan(
	struct plumb_diag *d, const struct plumb_values *v, bool bf16, struct plumb_plan *plan);
/* Bits of room below the type's largest value; NaN when size is. */
double plumb_narrow_bits(double size, bool bf16);

/* --- results of checks that others read, too --- */
struct plumb_precision_result {
	enum plumb_stored stored, compared; /* the reference's precision; what the comparison can tell */
	bool widened, late; /* stored as float32; computed more precisely and rounded at the end */
	struct plumb_floor {
		int layer;
		double rel, isolated;
	} * floor; /* per layer output: as it accumulates, of the layer alone */
	int floors;
	double alone, ulp, limit; /* medians over these */
	char text[768];
};
struct plumb_cause {
	const struct plumb_fault_kind *kind;
	int layer;
	double score, size;
};
struct plumb_fingerprint_result {
	struct plumb_cause *cause; /* the likeliest first */
	int causes;
	bool port; /* what is explained: how the port differs from the trusted run, else how the reference does */
	int layer, bad; /* as plumb_first_wrong tells them */
	char text[512];
};
struct plumb_weights_tensor {
	const struct plumb_file_tensor *file;
	char name[128], role[96];
	int layer;  /* -1: outside the layers */
	bool leads; /* first of its role among the layers */
	struct plumb_moments m;
	char unusual[320]; /* what is wrong with it or unlike the other layers'; "": nothing */
	double score;      /* how loud to say so, 1e12 at most */
};
struct plumb_weights_result {
	struct plumb_weights_tensor *tensor;
	int64_t tensors;
	int layers;
	struct plumb_texts *unusual; /* of each layer */
	struct plumb_texts missing, extra;
	bool has_qk_norm;
	struct plumb_string text;
};
struct plumb_verdict_result {
	enum plumb_judgement code;
	int layer, point;  /* layer as plumb_first_wrong tells it; point -1: not known */
	int bad;           /* layers that are wrong by themselves */
	const char *cause; /* name of a fault; NULL: none is likely */
	char text[1024];
	struct plumb_texts sentences;
	const struct plumb_check *said[3]; /* checks whose whole text is among the sentences */
	int says;
	struct plumb_answer answer;
};
#define PLUMB_RESULT(name) \
	extern const struct plumb_check plumb_check_##name; \
	static inline enum plumb_status plumb_diag_##name( \
		struct plumb_diag *d, const struct plumb_##name##_result **result) \
	{ \
		const void *found; \
		enum plumb_status s = plumb_check_result(d, &plumb_check_##name, &found); \
		*result = found; \
		return s; \
	}
PLUMB_RESULT(convention)
PLUMB_RESULT(precision)
PLUMB_RESULT(growth)
PLUMB_RESULT(fingerprint)
PLUMB_RESULT(verdict)
PLUMB_RESULT(weights)
PLUMB_RESULT(biography)

extern const struct plumb_check plumb_check_weights, plumb_check_isolate, plumb_check_components,
	plumb_check_diverge, plumb_check_trace, plumb_check_stability, plumb_check_growth, plumb_check_convention,
	plumb_check_precision, plumb_check_biography, plumb_check_blindspots, plumb_check_fingerprint,
	plumb_check_special, plumb_check_verdict;

#endif
