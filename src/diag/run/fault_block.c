/* SPDX-License-Identifier: Apache-2.0 */
/* Porting bugs of what surrounds attention: biases, norms, the residual stream, activations, scales. */
#include <math.h>
#include <stdlib.h>
#include "diag/run/fault_act.h"

/* --- biases --- */

static const struct bias {
	const char *fault;
	enum plumb_role role;
	unsigned bit;
} biases[] = {
	{ "q_bias", PLUMB_ROLE_Q_BIAS, PLUMB_BIAS_Q },
	{ "k_bias", PLUMB_ROLE_K_BIAS, PLUMB_BIAS_K },
	{ "v_bias", PLUMB_ROLE_V_BIAS, PLUMB_BIAS_V },
	{ "o_bias", PLUMB_ROLE_ATTN_OUT_BIAS, PLUMB_BIAS_ATTN_OUT },
	{ "gate_bias", PLUMB_ROLE_FFN_GATE_BIAS, PLUMB_BIAS_FFN_GATE },
	{ "up_bias", PLUMB_ROLE_FFN_UP_BIAS, PLUMB_BIAS_FFN_UP },
	{ "down_bias", PLUMB_ROLE_FFN_DOWN_BIAS, PLUMB_BIAS_FFN_DOWN },
	{ "logit_bias", PLUMB_ROLE_OUTPUT_BIAS, PLUMB_BIAS_OUTPUT },
};

static const struct bias *fault_block_bias(const struct plumb_fault_kind *kind)
{
	for (size_t i = 0; i < sizeof biases / sizeof *biases; i++)
		if (!strcmp(biases[i].fault, kind->name))
			return &biases[i];
	return NULL;
}

unsigned plumb_fault_bias_bit(const struct plumb_fault_kind *kind)
{
	const struct bias *b = fault_block_bias(kind);
	return b ? b->bit : 0;
}

enum plumb_status plumb_fault_bias(const struct plumb_fault *fault, struct plumb_live *live)
{
	char name[PLUMB_TENSOR_NAME];
	const enum plumb_role role = fault_block_bias(fault->kind)->role;
	const struct plumb_file_tensor *t = plumb_model_tensor(live->run->model, role, live->layer);
	const char *part = plumb_role_part(live->run->model, role);
	if (!t || t->rank != 1 || t->dim[0] != live->width)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "%s: the file has no %s of %lld values", fault->kind->name,
			part ? plumb_tensor_name(live->layer, part, name) : "such bias", (long long)live->width);
	float *bias = malloc(sizeof *bias * (size_t)live->width);
	if (!bias)
		return plumb_fail(
			PLUMB_E_MEMORY, "%s: no memory for %lld values", fault->kind->name, (long long)live->width);
	enum plumb_status s = plumb_weight_row(t, 0, bias);
	for (int64_t i = 0; !s && i < live->rows * live->width; i++)
		live->v[i] = (float)((double)live->v[i] - (double)bias[i % live->width]);
	free(bias);
	live->changed = true;
	return s;
}

/* --- the residual stream --- */

enum plumb_status plumb_fault_residual(const struct plumb_fault *fault, struct plumb_live *live)
{
	NEED(norm, INPUT_NORM);
	const struct plumb_made *made = plumb_model_made(live->run->model, PLUMB_POINT_ATTN_RESIDUAL);
	const struct plumb_captured *out = plumb_live_earlier(live, (enum plumb_point)made->input);
	if (!out)
		return plumb_fail(
			PLUMB_E_ARGUMENT, "%s: no %s was kept", fault->kind->name, plumb_point_name(made->input));
	const float scale = (float)plumb_fault_config(live)->residual_scale;
	for (int64_t i = 0; i < live->rows * live->width; i++)
		live->v[i] = norm->v[i] + scale * out->v[i];
	live->changed = true;
	return PLUMB_OK;
}

/* --- norms --- */

/* What a norm is taken of, at the first row of what is seen: the final norm sees the last rows only, of the
 * last layer's output, which is kept as the next one's input would be. */
static enum plumb_status fault_block_input(
	const struct plumb_fault *fault, const struct plumb_live *live, const float **x)
{
	const int point = plumb_model_made(live->run->model, (int)live->point)->input;
	const struct plumb_captured *in = plumb_live_earlier(
		live, point == PLUMB_POINT_OUTPUT ? PLUMB_POINT_EMBEDDINGS : (enum plumb_point)point);
	if (!in || in->width != live->width || live->first < in->first ||
		live->first + live->rows > in->first + in->rows)
		return plumb_fail(PLUMB_E_ARGUMENT, "%s: the input of %s was not kept", fault->kind->name,
			plumb_point_name((int)live->point));
	*x = in->v + (live->first - in->first) * in->width;
	return PLUMB_OK;
}

/* How many values a norm takes together: of heads, each by itself. */
static int64_t fault_block_group(const struct plumb_live *live)
{
	const struct plumb_config *c = plumb_fault_config(live);
	const bool heads = live->point == PLUMB_POINT_Q_NORM || live->point == PLUMB_POINT_K_NORM;
	return heads && c->norms & PLUMB_NORM_HEAD ? c->head_dim : live->width;
}

enum plumb_status plumb_fault_eps(const struct plumb_fault *fault, struct plumb_live *live)
{
	const float *x;
	const int64_t group = fault_block_group(live);
	if (live->layer < 0 && fault->layer >= 0)
		return PLUMB_OK; /* of one layer only, so not of the final norm */
	PLUMB_TRY(fault_block_input(fault, live, &x));
	for (int64_t i = 0; i < live->rows * live->width; i += group) {
		double sum = 0;
		for (int64_t j = 0; j < group; j++)
			sum += (double)x[i + j] * x[i + j];
		double mean = sum / (double)group,
			   by = sqrt((mean + plumb_fault_config(live)->norm_eps) / (mean + fault->value));
		for (int64_t j = 0; j < group; j++)
			live->v[i + j] = (float)(live->v[i + j] * by);
	}
	live->changed = true;
	return PLUMB_OK;
}

enum plumb_status plumb_fault_no_norm(const struct plumb_fault *fault, struct plumb_live *live)
{
	const float *x;
	PLUMB_TRY(fault_block_input(fault, live, &x));
	memcpy(live->v, x, sizeof *x * (size_t)(live->rows * live->width));
	live->changed = true;
	return PLUMB_OK;
}

/* The checkpoint's weights are deviations from 1, and the bug takes them for the weights. */
enum plumb_status plumb_fault_norm_offset(const struct plumb_fault *fault, struct plumb_live *live)
{
	const enum plumb_role role = plumb_model_made(live->run->model, (int)live->point)->weight;
	const struct plumb_file_tensor *t = plumb_model_tensor(live->run->model, role, live->layer);
	const int64_t n = t && t->rank == 1 ? t->dim[0] : 0;
	if (live->layer < 0 && fault->layer >= 0)
		return PLUMB_OK; /* of one layer only, so not of the final norm */
	if (!n || live->width % n)
		return plumb_fail(PLUMB_E_UNSUPPORTED, "%s: the file has no weight for %s", fault->kind->name,
			plumb_point_name((int)live->point));
	float *w = malloc(sizeof *w * (size_t)n);
	if (!w)
		return plumb_fail(PLUMB_E_MEMORY, "%s: no memory for %lld values", fault->kind->name, (long long)n);
	enum plumb_status s = plumb_weight_row(t, 0, w);
	for (int64_t i = 0; !s && i < live->rows * live->width; i++) {
		const double right = (double)w[i % n] + plumb_fault_config(live)->norm_offset;
		live->v[i] = right != 0 ? (float)(live->v[i] / right * (right - 1)) : live->v[i];
	}
	free(w);
	live->changed = true;
	return s;
}

/* --- FFN --- */

static double fault_block_silu(double x) { return x / (1 + exp(-x)); }
static double fault_block_gelu(double x) { return 0.5 * x * (1 + erf(x / sqrt(2))); }
static double fault_block_gelu_tanh(double x)
{
	return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

enum plumb_status plumb_fault_act_ffn(const struct plumb_fault *fault, struct plumb_live *live)
{
	const bool order = plumb_fault_is(fault, "swiglu_order"),
			   gelu = plumb_fault_config(live)->activation == PLUMB_GELU_TANH;
	NEED(gate, FFN_GATE);
	NEED(up, FFN_UP);
	for (int64_t i = 0; i < live->rows * live->width; i++) {
		double g = gate->v[i], u = up->v[i];
		if (order)
			live->v[i] = (float)((gelu ? fault_block_gelu_tanh(u) : fault_block_silu(u)) * g);
		else
			live->v[i] = (float)((gelu ? fault_block_silu(g) : fault_block_gelu(g)) * u);
	}
	live->changed = true;
	return PLUMB_OK;
}

/* --- scales --- */

/* What a block adds to the residual stream was not scaled: x + y in place of x + s y. */
static enum plumb_status fault_block_add(const struct plumb_fault *fault, struct plumb_live *live)
{
	const struct plumb_made *made = plumb_model_made(live->run->model, (int)live->point);
	const struct plumb_captured *out = plumb_live_earlier(live, (enum plumb_point)made->input);
	if (!out)
		return plumb_fail(
			PLUMB_E_ARGUMENT, "%s: no %s was kept", fault->kind->name, plumb_point_name(made->input));
	const double more = 1 - plumb_fault_config(live)->residual_scale;
	for (int64_t i = 0; i < live->rows * live->width; i++)
		live->v[i] = (float)((double)live->v[i] + more * (double)out->v[i]);
	live->changed = true;
	return PLUMB_OK;
}

enum plumb_status plumb_fault_scale(const struct plumb_fault *fault, struct plumb_live *live)
{
	const struct plumb_config *c = plumb_fault_config(live);
	if (plumb_fault_is(fault, "residual_scale"))
		return fault_block_add(fault, live);
	const double by = 1 / (live->point == PLUMB_POINT_LOGITS ? c->logit_scale : c->embedding_scale);
	for (int64_t i = 0; i < live->rows * live->width; i++)
		live->v[i] = (float)(live->v[i] * by);
	live->changed = true;
	return PLUMB_OK;
}
