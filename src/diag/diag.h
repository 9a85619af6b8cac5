/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the diagnosis share: captures (the values of one run or of a reference), watched runs, faults
 * and the results, which are JSON. Reaches the model only through its public header: evaluation and tap. */
#ifndef PLUMB_DIAG_PRIVATE_H
#define PLUMB_DIAG_PRIVATE_H

#include <jansson.h>
#include <plumb/diag.h>
#include <plumb/model.h>
#include "core/core.h"
#include "core/json.h"

/* --- capture.c: values by (layer, capture point), in float32 --- */
/* Rows are positions of the prompt, `first` that of row 0; only scores and softmax differ: {heads * n, n}, first 0. */
struct plumb_plane {
	float *v; /* rows * width; NULL: absent */
	int64_t rows, width, first;
};
struct plumb_capture {
	int layers;
	struct plumb_plane *plane; /* (layers + 1) * PLUMB_POINT_COUNT, layer -1 first */
	bool borrowed;             /* the values are another capture's, which outlives this one */
};
enum plumb_status plumb_capture_new(struct plumb_capture *c, int layers);
void plumb_capture_free(struct plumb_capture *c); /* harmless on a zeroed one */
/* The same planes, which may be given other positions; the values stay those of `from`. */
enum plumb_status plumb_capture_borrow(struct plumb_capture *c, const struct plumb_capture *from);
/* NULL when nothing is there (or layer or point is outside). */
struct plumb_plane *plumb_capture_at(const struct plumb_capture *c, int layer, int point);
/* Room for a plane that is kept there, replacing what was; values are not set. */
enum plumb_status plumb_capture_put(struct plumb_capture *c, int layer, int point, int64_t rows, int64_t width, int64_t first,
	struct plumb_plane **plane);
/* The rows that both have, as two pointers and a number of values; false when there are none or the widths differ. */
bool plumb_plane_common(const struct plumb_plane *a, const struct plumb_plane *b, const float **va, const float **vb, int64_t *n);
bool plumb_point_in_layer(int point); /* false: embeddings, final_norm, logits, whose layer is -1 */
/* Points in the order of evaluation: first_layer's first point ... ; a loop `for (p = -1; plumb_point_next(c, &layer, &p);)` visits
 * all that c holds, in order of evaluation; start with layer = -1, p = -1. */
bool plumb_capture_next(const struct plumb_capture *c, int *layer, int *point);

/* --- run.c: one evaluation, watched and changed by stages --- */
/* What a stage sees: the value at a point, on the host. */
struct plumb_run;
struct plumb_fault;
struct plumb_live {
	const struct plumb_run *run;
	int layer;
	enum plumb_point point;
	float *v;            /* may be changed; then set changed */
	int64_t rows, width, first;
	bool changed;
};
struct plumb_stage {
	unsigned points; /* bits 1 << enum plumb_point that it wants to see */
	enum plumb_status (*see)(void *user, struct plumb_live *live);
	void *user;
};
#define PLUMB_MAX_STAGES 8
struct plumb_run {
	struct plumb_model *model;
	const int32_t *tokens;
	int64_t n;
	int last_layer;   /* stop after this layer's output; -1: all, with logits */
	bool all_logits;  /* of every position, else of the last */
	unsigned points;  /* also to be captured, before later stages change them but after the fault */
	const struct plumb_fault *fault; /* NULL: none */
	struct plumb_stage stage[PLUMB_MAX_STAGES]; /* run in order at each point, after fault and capture */
	int stages;
	struct plumb_capture *out; /* captured points go there (made anew); NULL: nowhere */
	/* while running */
	struct plumb_plane earlier[PLUMB_POINT_COUNT]; /* of this layer; embeddings: the layer's input. For faults and stages that need them */
	unsigned keep;    /* points whose values `earlier` keeps; stages may set it before the run */
};
/* One session, one pass. Every position from 0. PLUMB_E_LIMIT when n is beyond what one pass may hold. */
enum plumb_status plumb_run_watched(struct plumb_run *run);
/* The same, but who looks inside a fused operator changes what runs: it gives way to basic ones. So all other points come from a run as
 * it is without anybody looking, and those inside from a second one. A fault inside needs the basic operators. */
enum plumb_status plumb_run_as_used(struct plumb_run *run);
/* A stage that overwrites what it sees with the rows that `from` (a struct plumb_capture) has of it: isolation. */
enum plumb_status plumb_stage_feed(void *from, struct plumb_live *live);
/* Value of an earlier point of this layer as the model went on with it; PLUMB_POINT_EMBEDDINGS is the layer's input. Its bit must be in run->keep. */
const struct plumb_plane *plumb_live_earlier(const struct plumb_live *live, enum plumb_point point);

/* --- fault.c: the library of porting bugs, one row each --- */
enum plumb_fault_scope { PLUMB_FAULT_MODEL, PLUMB_FAULT_LAYER, PLUMB_FAULT_HEAD };
struct plumb_fault_kind {
	const char *name;     /* "k_bias" */
	const char *what;     /* "a missing K bias" */
	const char *component; /* "k_proj", "rope", "attention", "norm", "ffn", "final_norm", "cache", "layers" */
	enum plumb_fault_scope scope; /* MODEL: natural in all layers at once; LAYER: in one; HEAD: after the layers */
	unsigned needs;       /* earlier points */
	unsigned points;      /* where it acts */
	enum plumb_status (*act)(const struct plumb_fault *fault, struct plumb_live *live); /* live->v becomes the wrong value */
	double value;         /* the usual wrong parameter (base, eps); 0: none */
	bool exchange;        /* for the run, the weights of `layer` and the next one are exchanged */
};
struct plumb_fault {
	const struct plumb_fault_kind *kind;
	int layer;            /* -1: every layer */
	double value;         /* parameter in the place of kind->value */
};
int plumb_fault_count(void);
const struct plumb_fault_kind *plumb_fault_at(int index);
/* With its usual parameter; layer -1: every layer (layer_order: a middle one). PLUMB_E_UNSUPPORTED: a model like this cannot have it, with the reason. */
enum plumb_status plumb_fault_make(struct plumb_fault *fault, const struct plumb_fault_kind *kind, int layer, const struct plumb_config *config);
/* "k_bias@5", "rope_base", "eps@2=1e-3"; PLUMB_E_ARGUMENT lists the names. */
enum plumb_status plumb_fault_parse(struct plumb_fault *fault, const char *text, const struct plumb_config *config);

/* --- reference.c --- */
/* A folder of the seed's .bin files or a safetensors file (or a folder with one) of named points. What is wrong with it is kept as
 * problems; opening fails only when nothing usable is left. Once open it is never changed: what a diagnosis finds out about it is the
 * diagnosis' own, so that any number of them may share it. */
struct plumb_reference {
	char path[1024];
	const char *format;          /* "bin", "safetensors" */
	struct plumb_capture raw;    /* as read: after_layer_i is taken for the output of layer i */
	int32_t *tokens;             /* NULL: not told */
	int64_t token_count, position; /* position of a single row, -1: not told (then the last) */
	char dtype[32], convention[64], model_hash[72]; /* of the manifest; "" not told */
	json_t *problems;            /* [{"file","problem","consequence"}] */
	json_t *files;               /* what was read: [{"name","layer","point","storage"}]; storage "" is the expected one */
	int strangers;               /* values that are as wide as another model's */
};
/* One more {"file", "problem", "consequence"}. */
enum plumb_status plumb_problem(json_t *problems, const char *file, const char *consequence, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* For the readers: the same in the reference's own list. */
enum plumb_status plumb_reference_problem(struct plumb_reference *reference, const char *file, const char *consequence,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/* "layer 5 cannot be compared; the others can" into text, returned. */
const char *plumb_reference_loss(int layer, int point, char *text, size_t size);
/* What is at a point when it is read as float32 values and found good: kept in raw. A NaN or infinity becomes a problem. */
enum plumb_status plumb_reference_keep(struct plumb_reference *reference, const char *name, int layer, int point, const float *values,
	int64_t rows, int64_t width, const char *storage);
/* Point and layer that a file or tensor name stands for; false: none. The layer may be outside the model. */
bool plumb_reference_name(const char *name, size_t n, int *layer, int *point);
/* Values of one position at a point; 0 for scores and softmax. */
int64_t plumb_point_width(const struct plumb_config *config, int point);
/* reference_bin.c: one file of the seed's layout. reference_tensors.c: a safetensors file, with its metadata. */
enum plumb_status plumb_reference_read_bin(struct plumb_reference *reference, const char *path, const char *name, int layer, int point,
	const struct plumb_config *config);
enum plumb_status plumb_reference_read_tensors(struct plumb_reference *reference, const char *path, const struct plumb_config *config);
/* reference_told.c: reference.json or meta.json of the folder, where there is one; tokens, position ... of JSON. */
enum plumb_status plumb_reference_read_manifest(struct plumb_reference *reference, const char *folder, const struct plumb_config *config);
enum plumb_status plumb_reference_told(struct plumb_reference *reference, const char *file, const json_t *told, const struct plumb_config *config);
/* Give the rows of planes their positions in a prompt of n tokens (the last ones, unless the position of the last was told: not -1). */
void plumb_reference_place(struct plumb_capture *planes, int64_t position, int64_t n);
/* Positions of the prompt that it was made with, as far as it shows: n, or more when it tells or holds more. */
int64_t plumb_reference_length(const struct plumb_reference *reference, int64_t n);

/* Tokens from the reference's embeddings: the nearest row of the embedding matrix for each of its rows. The caller frees them. */
enum plumb_status plumb_reference_find_tokens(const struct plumb_reference *reference, const struct plumb_file *file,
	const struct plumb_config *config, int32_t **tokens, int64_t *count);
/* The nearest row of the embedding matrix for each of `rows` rows: its index (-1: none is near) and its relative distance. In
 * reference_tokens.c. PLUMB_E_FORMAT: the file has no such matrix. */
enum plumb_status plumb_embedding_nearest(const struct plumb_file *file, const struct plumb_config *config, const float *rows, int64_t n,
	int32_t *token, double *distance);
/* problems: its own, and what a diagnosis added. */
json_t *plumb_reference_json(const struct plumb_reference *reference, json_t *problems);

/* --- the diagnosis: what all parts work on --- */
struct plumb_errors;
struct plumb_diag {
	struct plumb_model *port, *trusted; /* trusted: the driver `native` in float32, no fault; may be the port itself */
	const struct plumb_config *config;
	const struct plumb_reference *reference; /* NULL: none */
	json_t *problems;                   /* the reference's, and what was found out here */
	struct plumb_capture given, fixed;  /* its values: as read, each row at its position; after convention.c, each at the point it really is of */
	struct plumb_diag_options options;
	struct plumb_fault fault;           /* put into the port on purpose; kind NULL: none */
	const struct plumb_fault *broken;   /* &fault, or NULL when there is none: for plumb_run.fault */
	int32_t *tokens;
	int64_t n;
	int layers;                         /* that are evaluated */
	/* Made when first asked for (plumb_diag_ours ...), kept. */
	struct plumb_capture ours, truth, plain, twin; /* port's run; trusted run; the same through basic operators; rounded as the reference is */
	json_t *cache;                      /* finished parts by name */
	bool other_prompt;                  /* the reference tells other tokens than the user */
	bool lost;                          /* a row of the part under way could not be kept */
	struct plumb_errors *errors;        /* plumb_diag_errors */
};
/* All points of the port's run, of the trusted run, of the twin. */
enum plumb_status plumb_diag_ours(struct plumb_diag *d, const struct plumb_capture **c);
enum plumb_status plumb_diag_truth(struct plumb_diag *d, const struct plumb_capture **c);
/* The trusted run through basic operators alone: a run with a fault inside attention differs from it by the fault, bit for bit. */
enum plumb_status plumb_diag_plain(struct plumb_diag *d, const struct plumb_capture **c);
/* In twin.c: a run in which every point is rounded as a run in the reference's precision would (and linear outputs carry the error of
 * rounded weights): how far a right port is from such a reference, and where. */
enum plumb_status plumb_diag_twin(struct plumb_diag *d, const struct plumb_capture **c);
/* The reference with conventions undone (convention.c runs when needed). */
enum plumb_status plumb_diag_fixed(struct plumb_diag *d, const struct plumb_capture **c);
/* A run of the port or of the trusted model over the diagnosis' tokens with these fields preset; add stages, then plumb_run_watched. */
struct plumb_run plumb_diag_run(struct plumb_diag *d, bool trusted);
/* Tell the user's progress function; PLUMB_E_CANCELLED when the user wants to stop. */
enum plumb_status plumb_diag_progress(struct plumb_diag *d, const char *what, double done, double total);
/* Finished part by name, computed at most once; borrowed. */
enum plumb_status plumb_diag_part(struct plumb_diag *d, const char *name, json_t **part);

/* What makes some layers special, in one paragraph: {text, facts}. In special.c. */
enum plumb_status plumb_diag_special(struct plumb_diag *d, json_t **result);

/* --- measure.c --- */
json_t *plumb_measure_json(const struct plumb_measure *m);

/* --- json.c --- */
json_t *plumb_json_number(double x); /* null when not finite */
json_t *plumb_json_format(const char *format, ...) __attribute__((format(printf, 1, 2))); /* a string; NULL: no memory */
/* Append or set, taking the reference of value; when that fails (value NULL, too) the part under way fails with PLUMB_E_MEMORY. */
void plumb_diag_add(struct plumb_diag *d, json_t *list, json_t *value);
void plumb_diag_put(struct plumb_diag *d, json_t *object, const char *key, json_t *value);

/* --- convention.c, convention_fit.c, convention_text.c --- */
#define PLUMB_MOST_GUESSES 16
/* One reading of a file: what it may really hold. */
struct plumb_guess {
	int shift;            /* layers away from the name's */
	bool normed;          /* by the model's final norm */
	int64_t first;        /* position of its first row */
	double scale, error;  /* error: relative L2 against the trusted run, massive channels bounded; INFINITY: not judged */
};
struct plumb_file_case {
	const char *name, *storage;
	int layer, point;
	struct plumb_plane *plane;
	int64_t told;         /* position of the first row, as told */
	struct plumb_guess guess[PLUMB_MOST_GUESSES], winner, runner_up;
	int guesses;
	double raw_error;
	int real_layer, real_point; /* where it went in d->fixed; real_point -1: nowhere */
};
struct plumb_judge {
	const struct plumb_capture *truth;
	float *weight, *normed; /* of the final norm (NULL: not found); work space */
	int64_t room;
	double eps;
	int layers;
	struct plumb_file_case *file;
	int files;
	int shift;            /* of the whole set */
	int64_t move;         /* positions, of the whole set */
};
/* Fill the file's guesses: the readings that the trusted run can be compared with. */
enum plumb_status plumb_convention_consider(struct plumb_judge *judge, struct plumb_file_case *file);
/* The part's JSON: winners, the set's name, and whether it is of this model and these tokens. */
enum plumb_status plumb_convention_report(struct plumb_judge *judge, struct plumb_diag *d, json_t **result);
/* "fnv1a64:0123456789abcdef" over the tensors' names and the first and last bytes of their data (doc/diagnosis.md): tells files of
 * weights apart at no cost, and proves nothing against intent. In dump.c. */
void plumb_model_fingerprint(const struct plumb_file *file, char text[32]);

/* --- precision.c --- */
enum plumb_stored { PLUMB_STORED_FP32, PLUMB_STORED_BF16, PLUMB_STORED_FP16 };
/* From the bits of all values of the reference. */
enum plumb_stored plumb_reference_stored(const struct plumb_reference *reference);
/* What a comparison can tell: the reference's precision, or FP16 where that is finer and the port runs in it. */
enum plumb_stored plumb_diag_stored(const struct plumb_diag *d, enum plumb_stored reference);
float plumb_round_to(enum plumb_stored stored, float x);
enum plumb_type plumb_stored_type(enum plumb_stored stored);
const char *plumb_stored_name(enum plumb_stored stored); /* "bf16" */
double plumb_least_floor(enum plumb_stored stored); /* relative: no value of such a reference is better */

/* --- twin.c --- */
/* A watched run that is rounded at `points` as a run in that precision would be. run->out gets what was left at run->points. */
enum plumb_status plumb_run_blurred(struct plumb_run *run, enum plumb_stored stored, unsigned points, uint64_t seed);
/* Values that were right and then rounded to that precision when written. */
void plumb_blur_stored(float *v, int64_t n, enum plumb_stored stored, uint64_t seed);
/* Twin number `index` (0: that of plumb_diag_twin): the same errors drawn anew. */
enum plumb_status plumb_twin_run(struct plumb_diag *d, int index, unsigned kept, struct plumb_capture *out);

/* --- gap.c: two tensors, and how far apart they are beside what rounding explains --- */
/* Two ways to weigh a difference. rel: L2 over all values, which a massive channel or row owns; even: each value by its own size and
 * its row's median size, so that a massive channel is one channel among others. */
struct plumb_gap {
	bool have;        /* both have values there */
	bool normed;      /* output of the last layer, seen through the final norm: the reference has it only so */
	struct plumb_measure m;
	double rel, even; /* of ours - reference; values that the reference has not (NaN) left out */
	double floor, floor_even; /* the same of a right port: the twin's */
	double floor_abs; /* mean absolute difference of the twin */
	double excess;    /* the larger of rel / floor and even / floor_even; beyond the limit it is no rounding */
	bool ok;
	bool unsure;      /* not ok, yet it proves nothing: what it was fed with is not what the reference's run had */
	bool cancels;     /* beyond the limit, yet nothing after it in the layer is: ok */
};
/* Median of the sizes of the finite values that are not 0; room for n. */
double plumb_median_size(const float *v, int64_t n, float *room);
/* Measure the rows that both have; scores: of attention, where both -inf and -1e38 mean masked. */
enum plumb_status plumb_gap_measure(struct plumb_gap *gap, const struct plumb_plane *ours, const struct plumb_plane *reference, bool scores, enum plumb_type ulp);
/* Raise the floor to what the twin shows there. */
enum plumb_status plumb_gap_floor(struct plumb_gap *gap, const struct plumb_plane *truth, const struct plumb_plane *twin, bool scores);
void plumb_gap_judge(struct plumb_gap *gap, double least_floor, double limit);

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
	double limit;      /* of the excess */
	bool inner;        /* the reference has points inside layers; else there is no COMPONENT */
	bool hybrid;       /* rows that the reference has not are the trusted run's */
	int sure;          /* the last layer whose isolation can show that it is wrong; hybrid only, else the last of all */
	unsigned cancels;  /* points that differ in some layer and cancel there */
	struct plumb_gap *gap[PLUMB_GAP_KINDS]; /* (layers + 1) * PLUMB_POINT_COUNT each */
};
enum plumb_status plumb_diag_errors(struct plumb_diag *d, const struct plumb_errors **errors);
void plumb_errors_free(struct plumb_errors *errors);
/* NULL when there is nothing to compare, or what was compared proves nothing (unsure). */
const struct plumb_gap *plumb_gap_at(const struct plumb_errors *e, enum plumb_gap_kind kind, int layer, int point);
/* The same with those that prove nothing: for their numbers, not to judge. */
const struct plumb_gap *plumb_gap_any(const struct plumb_errors *e, enum plumb_gap_kind kind, int layer, int point);
/* "reference", "hybrid" (some rows) or "ours": what the layer was fed with in isolation. */
const char *plumb_isolation_input(const struct plumb_diag *d, int layer);
json_t *plumb_gap_json(const struct plumb_gap *gap); /* {measure, floor, excess, ok}; null for NULL */

/* --- cancel.c --- */
/* Mark what differs inside a layer though what is made of it does not: such gaps are ok. */
enum plumb_status plumb_errors_cancel(struct plumb_diag *d, struct plumb_errors *errors);
/* "q_rope, k_rope of 3 layers differ ..., and that is harmless: ..."; "" when nothing does. */
enum plumb_status plumb_cancel_tell(struct plumb_diag *d, const struct plumb_errors *errors, char *text, size_t size);

/* --- known.c --- */
/* Relative size of what rounding to the tensor's type did to its values: of these rows, or (NULL) of some. 0: F32. */
enum plumb_status plumb_weight_step(const struct plumb_file_tensor *t, const int32_t *rows, int64_t count, double *step);
/* Does every layer that was judged differ, and none by more than rounding its weights to their types explains? */
enum plumb_status plumb_known_rounded(struct plumb_diag *d, const struct plumb_errors *e, bool *explained, enum plumb_type *type);
/* Entries of the file that are not used and may matter: how many, and "the tensor blk.2.attn_q_norm.weight and 2 more". */
int plumb_known_unused(const struct plumb_diag *d, char *text, size_t size);

/* --- fingerprint.c --- */
#define PLUMB_NO_CULPRIT (-2)
/* The first layer that alone, fed with the reference's input, is beyond the limit: -1 the embeddings, `layers` of the configuration what
 * comes after the layers, PLUMB_NO_CULPRIT none. *bad: how many layers are. */
enum plumb_status plumb_culprit(struct plumb_diag *d, int *layer, int *bad);

/* --- answer.c --- */
/* The next token as ours and the reference have it: {kl, top_ours, top_reference, margin_ours, margin_reference, agree, k, max_abs, text}; null when
 * the reference has no logits of a position that was evaluated. */
enum plumb_status plumb_diag_answer(struct plumb_diag *d, json_t **answer);

/* --- weights.c --- */
/* A layer's tensor by what follows "blk.N." in its name ("ffn_down.weight"), or with layer -1 by its name; NULL: absent.
 * "output.weight" of a tied model is the embedding. */
const struct plumb_file_tensor *plumb_weight_find(const struct plumb_diag *d, int layer, const char *role);
/* Row `row` of a matrix (row 0 of a vector) as float32. */
enum plumb_status plumb_weight_row(const struct plumb_file_tensor *t, int64_t row, float *v);

/* --- accumulate.c --- */
/* The operator that makes the value of a point ("matmul"), the role of its weight and bias ("attn_q.weight", NULL: none), and the point of
 * its input. */
struct plumb_maker { const char *op, *weight, *bias; int input; };
const struct plumb_maker *plumb_maker_of(int point);
/* How large a sum inside an operator can get, whatever the order of its terms: of |terms|, the worst element. */
struct plumb_sum { int layer, point; double worst; int64_t terms; }; /* worst NaN: no finite input */
/* For every product, norm and score of a capture, in order of evaluation; the caller frees *sums. */
enum plumb_status plumb_sums_of(struct plumb_diag *d, const struct plumb_capture *c, struct plumb_sum **sums, int *count);

/* --- narrow.c --- */
/* Of the values at a point; masked scores are left out. */
struct plumb_range {
	int layer, point;
	double min, max, rms;   /* of finite values; NaN: none */
	double top;             /* scores: the largest |maximum| of a row with two keys or more; else NaN */
	int64_t nan, inf, denormal;
	int64_t bad;            /* index of the first NaN or infinity, -1: none */
};
/* Can the operators run in fp16 (or bf16)? [{operator, point, keep, why, layers}], from one run in float32. */
json_t *plumb_narrow_plan(struct plumb_diag *d, const struct plumb_capture *c, const struct plumb_range *range, int ranges,
	const struct plumb_sum *sum, int sums, bool bf16);
/* Bits of room below the type's largest value; NaN when size is. */
double plumb_narrow_bits(double size, bool bf16);

/* --- deed.c --- */
/* What a layer does to one element of the residual stream, and the neuron or head that does most of it. */
struct plumb_deed {
	int layer;
	double before, after;        /* x[channel] before and after the layer */
	double attention, ffn;       /* what the two branches add; NaN: not captured */
	bool by_ffn;                 /* the branch that moves it more in the direction it went */
	int64_t neuron, head;        /* with the largest contribution of the branch's sign; -1: not known */
	double share, value, weight; /* of the branch's sum; the neuron's activation and down_proj weight */
	int64_t rank_row, rank_column; /* 1: the largest |weight| of its row (the channel), of its column (the neuron) */
};
/* before, after: by the caller. row: of the capture c of a run of the trusted model. */
enum plumb_status plumb_deed_find(struct plumb_diag *d, const struct plumb_capture *c, int layer, int64_t row, int64_t channel, double before,
	double after, struct plumb_deed *deed);

/* --- moments.c --- */
struct plumb_moments {
	int64_t n, nan, inf, zero_rows; /* n: finite values */
	int64_t bad;                    /* index of the first NaN or infinity, -1: none */
	double mean, m2, m3, m4;        /* sums of powers of the distance from the mean */
	double max;                     /* largest |w| */
	int64_t at;                     /* its index */
};
/* Of all values of a tensor, on the pool; the same bits at any number of threads. I32: no values. */
enum plumb_status plumb_moments_of(struct plumb_moments *m, const struct plumb_file_tensor *t, struct plumb_pool *pool);
double plumb_moments_std(const struct plumb_moments *m);      /* NaN without values */
double plumb_moments_kurtosis(const struct plumb_moments *m); /* excess; NaN without values or spread */
/* For qsort; no NaN among the values. */
int plumb_ascending_float(const void *a, const void *b);
int plumb_ascending_double(const void *a, const void *b);

/* --- parts: one row each in diag.c; each makes its JSON (doc/diagnosis.md) --- */
struct plumb_diag_row {
	const char *name;     /* `plumb diag NAME` */
	const char *question; /* that it answers, in plain words */
	bool reference;       /* needs one */
	enum plumb_status (*run)(struct plumb_diag *d, json_t **result);
};
extern const struct plumb_diag_row plumb_diag_weights, plumb_diag_isolate, plumb_diag_components, plumb_diag_diverge, plumb_diag_trace,
	plumb_diag_stability, plumb_diag_growth, plumb_diag_convention, plumb_diag_precision, plumb_diag_biography, plumb_diag_blindspots,
	plumb_diag_fingerprint, plumb_diag_verdict, plumb_diag_report;
extern const struct plumb_diag_row *const plumb_diag_table[];
extern const int plumb_diag_rows;

#endif
