/* SPDX-License-Identifier: Apache-2.0 */
/* Bisect and PLUMB_AVOID, on a driver that is the native one with kernels broken on purpose, everywhere or in
 * one layer: what is found, in how many runs, and that the printed line really repairs. */
#include <jansson.h>
#include "suite.h"
#include "core/classes.h"
#include "diag/diag.h"
#include "drivers/drivers.h"

static struct plumb_driver_class broken;
static struct plumb_context *right_ctx, *bad_ctx;
static struct plumb_model *right, *bad;
static const int32_t prompt[] = { 3, 147, 9, 234, 98, 197, 183, 112, 58, 97, 258 };
#define N ((int64_t)(sizeof prompt / sizeof *prompt))

static void open_pair(void)
{
	broken = plumb_native_class;
	broken.name = "broken";
	ck_good(plumb_open(&right_ctx, PLUMB_OPTIONS(.driver = "native")));
	ck_good(plumb_open(&bad_ctx, PLUMB_OPTIONS(.driver = "native")));
	bad_ctx->driver[0].cls = &broken;
	ck_good(plumb_model_load(&right, right_ctx, data_path("tiny-f32.gguf"), NULL, NULL));
	ck_good(plumb_model_load(&bad, bad_ctx, data_path("tiny-f32.gguf"), NULL, NULL));
}

static void close_pair(void)
{
	plumb_model_free(right);
	plumb_model_free(bad);
	plumb_close(right_ctx);
	plumb_close(bad_ctx);
}

/* Right, then all values by 1.1. */
static enum plumb_status spoil(struct plumb_driver *driver, const struct plumb_call *call)
{
	PLUMB_TRY(plumb_native_class.op[call->op](driver, call));
	float *v = plumb_host(call->out);
	for (int64_t i = 0; i < plumb_tensor_count(call->out); i++)
		v[i] *= 1.1f;
	return PLUMB_OK;
}

static const char *only_weights[3]; /* matmul by these tensors alone is wrong */

static enum plumb_status spoil_one(struct plumb_driver *driver, const struct plumb_call *call)
{
	for (int i = 0; i < 3 && only_weights[i]; i++)
		if (plumb_host(call->in[1]) == plumb_file_find(plumb_model_file(bad), only_weights[i])->data)
			return spoil(driver, call);
	return plumb_native_class.op[call->op](driver, call);
}

static json_t *bisect(void)
{
	char *text;
	json_error_t error;
	ck_good(plumb_diag_bisect(right, bad, prompt, N, NULL, &text));
	json_t *result = json_loads(text, 0, &error);
	ck_assert_msg(result != NULL, "%s", error.text);
	free(text);
	return result;
}

static const char *field(const json_t *result, const char *name)
{
	return json_string_value(json_object_get(result, name));
}

/* "swiglu:0,swiglu:2,embed:-" */
static void set_text(const json_t *result, char *text, size_t size)
{
	size_t i;
	json_t *unit;
	*text = 0;
	json_array_foreach(json_object_get(result, "set"), i, unit) {
		const json_t *layer = json_object_get(unit, "layer");
		size_t used = strlen(text);
		if (json_is_null(layer))
			snprintf(text + used, size - used, "%s%s:-", i ? "," : "", field(unit, "operator"));
		else
			snprintf(text + used, size - used, "%s%s:%d", i ? "," : "", field(unit, "operator"),
				(int)json_integer_value(layer));
	}
}

static const struct {
	int op[2];
	const char *weights[3], *set, *environment;
	int most_runs;
} breaks[] = {
	{ { PLUMB_OP_swiglu, -1 }, { NULL }, "swiglu:0,swiglu:1,swiglu:2",
		"AR_HARDWARE_DRIVER=broken,native PLUMB_AVOID=broken:swiglu", 14 },
	{ { PLUMB_OP_rope, PLUMB_OP_swiglu }, { NULL }, "rope:0,rope:1,rope:2,swiglu:0,swiglu:1,swiglu:2",
		"AR_HARDWARE_DRIVER=broken,native PLUMB_AVOID=broken:rope,broken:swiglu", 20 },
	{ { PLUMB_OP_embed, -1 }, { NULL }, "embed:-",
		"AR_HARDWARE_DRIVER=broken,native PLUMB_AVOID=broken:embed", 12 },
	{ { PLUMB_OP_attention, -1 }, { NULL }, "attention:0,attention:1,attention:2",
		"AR_HARDWARE_DRIVER=broken,native PLUMB_AVOID=broken:attention", 14 },
	{ { PLUMB_OP_kv_store, -1 }, { NULL }, "kv_store:0,kv_store:1,kv_store:2",
		"AR_HARDWARE_DRIVER=broken,native PLUMB_AVOID=broken:kv_store", 14 },
	{ { PLUMB_OP_matmul, -1 }, { "blk.1.ffn_down.weight" }, "matmul:1",
		"AR_HARDWARE_DRIVER=broken,native PLUMB_AVOID=broken:matmul", 16 },
	{ { PLUMB_OP_matmul, -1 }, { "blk.0.ffn_up.weight", "blk.2.attn_output.weight" }, "matmul:0,matmul:2",
		"AR_HARDWARE_DRIVER=broken,native PLUMB_AVOID=broken:matmul", 18 },
	/* neighbours in the order of the search */
	{ { PLUMB_OP_rope, PLUMB_OP_kv_store }, { NULL }, "rope:0,rope:1,rope:2,kv_store:0,kv_store:1,kv_store:2",
		"AR_HARDWARE_DRIVER=broken,native PLUMB_AVOID=broken:rope,broken:kv_store", 20 },
	{ { PLUMB_OP_matmul, -1 }, { "blk.1.ffn_up.weight", "blk.2.attn_output.weight" }, "matmul:1,matmul:2",
		"AR_HARDWARE_DRIVER=broken,native PLUMB_AVOID=broken:matmul", 18 },
	{ { PLUMB_OP_matmul, PLUMB_OP_add }, { "token_embd.weight" }, "matmul:-,add:0,add:1,add:2",
		"AR_HARDWARE_DRIVER=broken,native PLUMB_AVOID=broken:matmul,broken:add", 20 },
};

START_TEST(finds_what_is_broken)
{
	char set[256];
	open_pair();
	for (int i = 0; i < 2 && breaks[_i].op[i] >= 0; i++)
		broken.op[breaks[_i].op[i]] = breaks[_i].op[i] == PLUMB_OP_matmul ? spoil_one : spoil;
	memcpy(only_weights, breaks[_i].weights, sizeof only_weights);
	json_t *result = bisect();
	int runs = (int)json_integer_value(json_object_get(result, "runs"));
	set_text(result, set, sizeof set);
	fprintf(stderr, "  %d runs: %s\n", runs, field(result, "text"));
	ck_assert_str_eq(set, breaks[_i].set);
	ck_assert_str_eq(field(result, "environment"), breaks[_i].environment);
	ck_assert(json_is_true(json_object_get(result, "repaired")));
	ck_assert_msg(runs <= breaks[_i].most_runs, "%d runs", runs);
	for (int i = 0; i < bad_ctx->drivers; i++)
		ck_assert_uint_eq(bad_ctx->avoid[i], 0); /* left as it was */
	json_decref(result);
	close_pair();
}
END_TEST

START_TEST(nothing_is_broken)
{
	open_pair();
	json_t *result = bisect();
	ck_assert(strstr(field(result, "text"), "Nothing to repair") &&
		!json_array_size(json_object_get(result, "set")));
	ck_assert_int_eq(json_integer_value(json_object_get(result, "runs")), 1);
	json_decref(result);
	close_pair();
}
END_TEST

START_TEST(not_in_the_kernels)
{
	/* Other weights: layers exchanged in the bad model. */
	open_pair();
	ck_good(plumb_model_exchange(bad, 0, 2));
	json_t *result = bisect();
	ck_assert_msg(strstr(field(result, "text"), "not in the kernels") != NULL, "%s", field(result, "text"));
	ck_assert(json_is_false(json_object_get(result, "repaired")));
	json_decref(result);
	close_pair();
}
END_TEST

static bool stop(void *user, const char *what, double done, double total)
{
	ck_assert(*what && done < total);
	return ++*(int *)user < 4;
}

START_TEST(errors)
{
	char *text;
	int calls = 0;
	open_pair();
	ck_bad(plumb_diag_bisect(right, right, prompt, N, NULL, &text), PLUMB_E_ARGUMENT, "compares two drivers");
	ck_bad(plumb_diag_bisect(right, bad, prompt, 0, NULL, &text), PLUMB_E_ARGUMENT, "tokens");
	broken.op[PLUMB_OP_rope] = spoil;
	ck_bad(plumb_diag_bisect(
			   right, bad, prompt, N, &(const struct plumb_bisect_options){ .tolerance = 1 }, &text),
		PLUMB_E_ARGUMENT, "size is 0");
	ck_bad(plumb_diag_bisect(
			   right, bad, prompt, N, PLUMB_BISECT_OPTIONS(.progress = stop, .user = &calls), &text),
		PLUMB_E_CANCELLED, "stopped");
	ck_assert(!text && calls == 4 && bad_ctx->avoid[0] == 0);
	close_pair();
}
END_TEST

/* --- PLUMB_AVOID --- */

START_TEST(avoided_operators_go_to_the_next)
{
	struct plumb_session *session;
	setenv("PLUMB_AVOID", " native:rope, Native:SwiGLU ,cl:add,", 1);
	setenv("PLUMB_STRICT", "1", 1); /* what the user asked for is no failure */
	open_pair();
	ck_assert_uint_eq(bad_ctx->avoid[0],
		1u << PLUMB_OP_rope | 1u << PLUMB_OP_swiglu | 1u << PLUMB_OP_gate_up); /* made with swiglu */
	ck_good(plumb_driver_add(bad_ctx, "native"));
	broken.op[PLUMB_OP_rope] = broken.op[PLUMB_OP_swiglu] = spoil; /* never asked */
	ck_good(plumb_session_new(&session, bad, NULL));
	ck_good(plumb_session_eval(session, prompt, N, PLUMB_LOGITS_LAST));
	ck_assert(
		plumb_placement(bad_ctx, PLUMB_OP_rope, 0) == 0 && plumb_placement(bad_ctx, PLUMB_OP_rope, 1) == 6);
	ck_assert(
		plumb_placement(bad_ctx, PLUMB_OP_add, 0) == 6 && plumb_placement(bad_ctx, PLUMB_OP_add, 1) == 0);
	ck_assert_str_eq(plumb_placement_reason(bad_ctx, PLUMB_OP_rope), "broken: PLUMB_AVOID");
	plumb_session_free(session);
	ck_good(plumb_session_new(&session, right, NULL)); /* there is no next one there */
	ck_bad(plumb_session_eval(session, prompt, N, PLUMB_LOGITS_LAST), PLUMB_E_DRIVER,
		"rope: no driver of the list takes it (native: PLUMB_AVOID)");
	plumb_session_free(session);
	close_pair();
}
END_TEST

START_TEST(fused_avoided_everywhere_is_composed)
{
	struct plumb_session *session;
	setenv("PLUMB_AVOID", "native:attention", 1);
	open_pair();
	ck_good(plumb_session_new(&session, right, NULL));
	ck_good(plumb_session_eval(session, prompt, N, PLUMB_LOGITS_LAST));
	ck_assert(plumb_placement(right_ctx, PLUMB_OP_attention, 0) == 0 &&
		plumb_placement(right_ctx, PLUMB_OP_attn_scores, 0) > 0);
	plumb_session_free(session);
	close_pair();
}
END_TEST

static const struct {
	const char *text, *words;
} wrong[] = {
	{ "cl", "must be a comma list of driver:operator" },
	{ "opencl:rope", "there are cl, native, mtl" },
	{ "cl:ropes", "there are embed, matmul" },
	{ "cl:", "there are embed" },
	{ ":rope", "no such driver" },
	{ "cl:rope,cl:x", "\"cl:x\"" },
};

START_TEST(avoid_errors)
{
	struct plumb_context *ctx;
	setenv("PLUMB_AVOID", wrong[_i].text, 1);
	ck_bad(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native")), PLUMB_E_ARGUMENT, wrong[_i].words);
	ck_assert_ptr_null(ctx);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diag_bisect");
	TCase *tc = tcase_create("bisect");
	tcase_add_loop_test(tc, finds_what_is_broken, 0, (int)(sizeof breaks / sizeof *breaks));
	tcase_add_test(tc, nothing_is_broken);
	tcase_add_test(tc, not_in_the_kernels);
	tcase_add_test(tc, errors);
	tcase_add_test(tc, avoided_operators_go_to_the_next);
	tcase_add_test(tc, fused_avoided_everywhere_is_composed);
	tcase_add_loop_test(tc, avoid_errors, 0, (int)(sizeof wrong / sizeof *wrong));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
