/* SPDX-License-Identifier: Apache-2.0 */
/* The library when memory runs out: the Nth allocation fails, for N from 1 to the last one (a sample of them
 * where they are many; all with PLUMB_TEST_LARGE=1). An error with a text, nothing lost, nothing left, and a
 * session that goes on with the same bits. */
#include <unistd.h>
#include "inject/inject.h"
#include "suite.h"
#include <plumb/diag.h>

struct result {
	float logits[4096];
	int64_t n;
	int32_t ids[64];
	size_t ids_n;
	char text[65536];
};

static long points;

static void sum_up(struct plumb_session *session, struct plumb_model *model, struct result *r)
{
	const float *logits;
	int64_t rows;
	r->n = plumb_model_config(model)->vocab;
	if (!plumb_session_logits(session, &logits, &rows) && r->n <= 4096)
		memcpy(r->logits, logits, sizeof *logits * (size_t)r->n);
}

static enum plumb_status words(const struct plumb_tokenizer *tok, struct result *r)
{
	const struct plumb_message message = { "user", "Hello world" };
	int32_t *ids;
	size_t n;
	char *text;
	enum plumb_status s = plumb_chat_tokenize(tok, &message, 0, 1, true, &ids, &n);
	if (s)
		return s;
	r->ids_n = n < 64 ? n : 64;
	memcpy(r->ids, ids, sizeof *ids * r->ids_n);
	free(ids);
	if ((s = plumb_chat_render(tok, &message, 0, 1, true, &text)))
		return s;
	snprintf(r->text, sizeof r->text, "%s", text);
	free(text);
	if ((s = plumb_tokenize(tok, "a few words", 11, PLUMB_SPECIALS_TEXT, &ids, &n)))
		return s;
	free(ids);
	return PLUMB_OK;
}

static enum plumb_status speak(struct plumb_session *session, struct plumb_model *model, struct result *r)
{
	const int32_t prompt[] = { 1, 2, 3, 4, 5 }, next = 6;
	struct plumb_sampler *sampler;
	int32_t id;
	enum plumb_status s = plumb_session_eval(session, prompt, 5, PLUMB_LOGITS_LAST);
	if (s || (s = plumb_session_eval(session, &next, 1, PLUMB_LOGITS_LAST)))
		return s;
	sum_up(session, model, r);
	if ((s = plumb_sampler_new(&sampler,
			 PLUMB_SAMPLING(.temperature = 1, .top_k = 5, .top_p = 1, .repeat_penalty = 1, .seed = 1))))
		return s;
	s = plumb_sample(sampler, r->logits, (int32_t)r->n, &id);
	plumb_sampler_free(sampler);
	return s;
}

/* Load, tokens, template, prompt, decode. */
static enum plumb_status whole(struct result *r)
{
	struct plumb_context *ctx = NULL;
	struct plumb_model *model = NULL;
	struct plumb_session *session = NULL;
	enum plumb_status s = plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .threads = 1));
	if (!s)
		s = plumb_model_load(&model, ctx, data_path("tiny-q4_0.gguf"), NULL, NULL);
	if (!s)
		s = words(plumb_model_tokenizer(model), r);
	if (!s)
		s = plumb_session_new(&session, model, NULL);
	if (!s)
		s = speak(session, model, r);
	plumb_session_free(session);
	plumb_model_free(model);
	plumb_close(ctx);
	return s;
}

static struct plumb_model *diagnosed;

static enum plumb_status diagnosis(struct result *r)
{
	static const int32_t tokens[] = { 1, 2, 3 };
	struct plumb_diag_options options = {
		.size = sizeof options, .tokens = tokens, .token_count = 3, .layer = -1
	};
	struct plumb_diag *diag = NULL;
	char *json = NULL;
	enum plumb_status s = plumb_diag_new(&diag, diagnosed, NULL, NULL, &options);
	static const char *const names[] = { "biography", "special" };
	for (size_t i = 0; !s && i < sizeof names / sizeof *names; i++) {
		size_t used = strlen(r->text);
		s = plumb_diag_json(diag, names[i], &json);
		if (!s)
			snprintf(r->text + used, sizeof r->text - used, "%s", json);
		free(json);
	}
	plumb_diag_free(diag);
	return s;
}

static struct plumb_reference *reference;

/* A part whose work is done already, but for what it makes of it: a median that is lost for want of memory is
 * no result (precision.c). */
static enum plumb_status precision(struct result *r)
{
	struct plumb_diag_options options = { .size = sizeof options, .layer = -1 };
	struct plumb_diag *diag;
	char *json = NULL;
	const bool armed = inject->armed;
	inject->armed = false;
	ck_good(plumb_diag_new(&diag, diagnosed, NULL, reference, &options));
	ck_good(plumb_diag_json(diag, "isolate", &json));
	free(json);
	json = NULL;
	inject->armed = armed;
	enum plumb_status s = plumb_diag_json(diag, "precision", &json);
	inject->armed = false;
	if (!s)
		snprintf(r->text, sizeof r->text, "%s", json);
	free(json);
	plumb_diag_free(diag);
	inject->live = 0; /* what it frees was allocated before it was armed */
	return s;
}

/* A reference is made of the model itself. */
static void refer(void)
{
	static const int32_t tokens[] = { 1, 2, 3 };
	struct plumb_diag_options options = {
		.size = sizeof options, .tokens = tokens, .token_count = 3, .layer = -1
	};
	struct plumb_diag *diag;
	char folder[] = "/tmp/check_inject.XXXXXX", command[64];
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_good(plumb_diag_new(&diag, diagnosed, NULL, NULL, &options));
	ck_good(plumb_diag_dump(diag, folder, false,
		1u << PLUMB_POINT_EMBEDDINGS | 1u << PLUMB_POINT_OUTPUT | 1u << PLUMB_POINT_LOGITS));
	plumb_diag_free(diag);
	ck_good(plumb_reference_open(&reference, folder, plumb_model_config(diagnosed)));
	snprintf(command, sizeof command, "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static struct plumb_session *kept;

static enum plumb_status going_on(struct result *r)
{
	enum plumb_status s = plumb_session_rewind(kept, 0);
	return s ? s : speak(kept, plumb_session_model(kept), r);
}

static enum plumb_status armed(
	enum plumb_status (*part)(struct result *r), struct result *r, long at, bool onward)
{
	memset(r, 0, sizeof *r);
	inject->calls = inject->live = inject->fired = 0;
	inject->at = at;
	inject->onward = onward;
	inject->armed = true;
	enum plumb_status s = part(r);
	inject->armed = false;
	return s;
}

/* Every point of the part; again: what it gives afterwards, without a failure, must be what it gave before.
 */
static void sweep(const char *name, enum plumb_status (*part)(struct result *r), bool own, long most)
{
	static struct result clean, r;
	ck_good(part(&clean)); /* what is made once in a process is made here */
	ck_good(armed(part, &clean, 0, false));
	const char *large = getenv("PLUMB_TEST_LARGE");
	long count = inject->calls, step = !(large && *large) && count > most ? count / most + 1 : 1, tried = 0;
	ck_assert_int_eq(inject->live, 0);
	for (int onward = 0; onward < 2; onward++)
		for (long at = 1; at <= count; at += at < most / 2 ? 1 : step, tried++) {
			enum plumb_status s = armed(part, &r, at, onward);
			ck_assert_msg(!own || inject->live == 0, "%s, allocation %ld%s: %ld not freed", name, at,
				onward ? "+" : "", (long)inject->live);
			ck_assert_msg(s == PLUMB_OK || *plumb_last_error(), "%s, allocation %ld: no text", name, at);
			ck_assert_msg(s == PLUMB_OK || s == PLUMB_E_MEMORY, "%s, allocation %ld: %s (%s)", name, at,
				plumb_strerror(s), plumb_last_error());
			ck_assert_msg(s != PLUMB_OK || !memcmp(&r, &clean, sizeof r),
				"%s, allocation %ld: another result with success", name, at);
			if (at % 8 == 0 || !own) {
				ck_good(armed(part, &r, 0, false));
				ck_assert_msg(!memcmp(&r, &clean, sizeof r), "%s, after allocation %ld failed: not as before",
					name, at);
			}
		}
	points += tried;
	printf("%s: %ld of 2 x %ld points, all survived\n", name, tried, count);
}

START_TEST(load_and_run)
{
	sweep("load, tokens, template, prompt, decode", whole, true, 400);
}
END_TEST

START_TEST(session_as_before)
{
	struct plumb_context *ctx;
	struct plumb_model *model;
	ck_good(plumb_open(&ctx, PLUMB_OPTIONS(.driver = "native", .threads = 1)));
	ck_good(plumb_model_load(&model, ctx, data_path("tiny-q4_0.gguf"), NULL, NULL));
	ck_good(plumb_session_new(&kept, model, NULL));
	sweep("a session", going_on, false, 400);
	diagnosed = model;
	sweep("a diagnosis", diagnosis, false, 100);
	refer();
	sweep("precision", precision, false, 100);
	plumb_reference_free(reference);
	plumb_session_free(kept);
	plumb_model_free(model);
	plumb_close(ctx);
}
END_TEST

int main(void)
{
#if !defined(__GLIBC__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	puts("SKIP: no malloc to replace");
	return 77;
#endif
	Suite *suite = suite_create("inject");
	TCase *t = tcase_create("memory");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, load_and_run);
	tcase_add_test(t, session_as_before);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
