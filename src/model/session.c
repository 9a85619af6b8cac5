/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: the memory of one sequence, passes of a batch each, logits. */
#include <stdlib.h>
#include <string.h>
#include "model/model.h"

#define DEFAULT_BATCH 512
#define FIRST_CAPACITY 128

static enum plumb_status session_allocate(struct plumb_session *s)
{
	struct plumb_context *ctx = s->model->ctx;
	const struct plumb_config *c = &s->model->config;
	int64_t qk = (c->heads + c->kv_heads) * c->head_dim, v = c->kv_heads * c->value_dim;
	const struct {
		struct plumb_tensor *t;
		int64_t width;
	} rows[] = {
		{ &s->x, c->hidden },
		{ &s->norm, c->hidden },
		{ &s->out, c->hidden },
		{ &s->qkv, qk + v },
		{ &s->mix, c->heads * c->value_dim },
		{ &s->gate, c->ffn },
		{ &s->up, c->ffn },
	};
	PLUMB_TRY(plumb_tensor_new(ctx, &s->ids, PLUMB_I32, 1, &s->batch));
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		PLUMB_TRY(plumb_tensor_new(ctx, rows[i].t, s->act, 2, (int64_t[]){ s->batch, rows[i].width }));
	s->kcache = calloc((size_t)c->layers, sizeof *s->kcache);
	s->vcache = calloc((size_t)c->layers, sizeof *s->vcache);
	return s->kcache && s->vcache
		? PLUMB_OK
		: plumb_fail(PLUMB_E_MEMORY, "no memory for the caches of %lld layers", (long long)c->layers);
}

enum plumb_status plumb_session_new(
	struct plumb_session **out, struct plumb_model *model, const struct plumb_session_options *options)
{
	struct plumb_session_options taken, *o = &taken;
	bool fp64 = model->ctx->precision == PLUMB_FP64, fp16 = model->ctx->precision == PLUMB_FP16;
	*out = NULL;
	PLUMB_TRY(plumb_options_take("plumb_session_options", o, sizeof taken, sizeof taken, options));
	if (o->context < 0 || o->context > model->config.context)
		return plumb_fail(PLUMB_E_ARGUMENT, "a context of %lld is not within the model's %lld",
			(long long)o->context, (long long)model->config.context);
	if (o->batch < 0)
		return plumb_fail(PLUMB_E_ARGUMENT, "a batch of %lld is negative", (long long)o->batch);
	if (o->kv_type != PLUMB_F32 && o->kv_type != PLUMB_F16)
		return plumb_fail(
			PLUMB_E_TYPE, "a KV cache of %s is not supported, take f32 or f16", plumb_type_name(o->kv_type));
	struct plumb_session *s = calloc(1, sizeof *s);
	if (!s)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a session");
	s->model = model;
	s->cancel = o->cancel;
	s->cancel_user = o->cancel_user;
	s->context = o->context ? o->context : model->config.context;
	s->batch = o->batch ? o->batch : DEFAULT_BATCH;
	if (s->batch > s->context)
		s->batch = s->context;
	s->act = fp64 ? PLUMB_F64 : PLUMB_F32;
	s->kv_type = fp64 ? PLUMB_F64 : fp16 ? PLUMB_F16 : o->kv_type;
	enum plumb_status status = session_allocate(s);
	if (status) {
		plumb_session_free(s);
		return plumb_fail_in(status, "session");
	}
	*out = s;
	return PLUMB_OK;
}

void plumb_session_free(struct plumb_session *s)
{
	if (!s)
		return;
	struct plumb_tensor *own[] = { &s->ids, &s->x, &s->norm, &s->out, &s->qkv, &s->mix, &s->gate, &s->up,
		&s->logits };
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		plumb_tensor_free(own[i]);
	for (int64_t i = 0; i < s->model->config.layers; i++) {
		if (s->kcache)
			plumb_tensor_free(&s->kcache[i]);
		if (s->vcache)
			plumb_tensor_free(&s->vcache[i]);
	}
	free(s->kcache);
	free(s->vcache);
	free(s->logits_f32);
	free(s);
}

/* A larger cache with the held rows of the old one. */
static enum plumb_status session_grow_one(
	struct plumb_session *s, struct plumb_tensor *cache, int64_t capacity, int64_t head)
{
	struct plumb_tensor larger;
	const int64_t shape[] = { capacity, s->model->config.kv_heads * head };
	enum plumb_status status = plumb_tensor_new(s->model->ctx, &larger, s->kv_type, 2, shape);
	if (status)
		return plumb_fail_in(status, "KV cache for %lld positions", (long long)capacity);
	if (cache->buffer && s->position) {
		struct plumb_tensor held;
		status = plumb_tensor_rows(&held, &larger, 0, s->position);
		if (!status)
			status = plumb_buffer_to_host(cache->buffer);
		if (!status)
			status = plumb_tensor_write(&held, plumb_host(cache), plumb_tensor_bytes(&held));
		if (status) {
			plumb_tensor_free(&larger);
			return status;
		}
	}
	plumb_tensor_free(cache);
	*cache = larger;
	return PLUMB_OK;
}

static enum plumb_status session_reserve(struct plumb_session *s, int64_t need)
{
	int64_t capacity = s->capacity ? s->capacity : FIRST_CAPACITY;
	while (capacity < need)
		capacity *= 2;
	if (capacity > s->context)
		capacity = s->context;
	const struct plumb_config *c = &s->model->config;
	for (int64_t i = 0; i < c->layers; i++) {
		if (!s->kcache[i].buffer || s->kcache[i].dim[0] < capacity)
			PLUMB_TRY(session_grow_one(s, &s->kcache[i], capacity, c->head_dim));
		if (!s->vcache[i].buffer || s->vcache[i].dim[0] < capacity)
			PLUMB_TRY(session_grow_one(s, &s->vcache[i], capacity, c->value_dim));
	}
	s->capacity = capacity;
	return PLUMB_OK;
}

static enum plumb_status session_room_for_logits(struct plumb_session *s, int64_t rows)
{
	if (s->logits.buffer && s->logits.dim[0] >= rows)
		return PLUMB_OK;
	plumb_tensor_free(&s->logits);
	return plumb_tensor_new(
		s->model->ctx, &s->logits, s->act, 2, (int64_t[]){ rows, s->model->config.vocab });
}

static enum plumb_status session_check_tokens(
	const struct plumb_session *s, const int32_t *tokens, int64_t n, enum plumb_logits want)
{
	if (n < 1)
		return plumb_fail(PLUMB_E_ARGUMENT, "no tokens to evaluate");
	for (int64_t i = 0; i < n; i++)
		if (tokens[i] < 0 || tokens[i] >= s->model->config.vocab)
			return plumb_fail(PLUMB_E_ARGUMENT, "token %d at %lld is outside the vocabulary of %lld",
				tokens[i], (long long)i, (long long)s->model->config.vocab);
	if (n > s->context - s->position)
		return plumb_fail(PLUMB_E_LIMIT, "%lld tokens after %lld held do not fit the context of %lld",
			(long long)n, (long long)s->position, (long long)s->context);
	if (want == PLUMB_LOGITS_ALL && n > s->batch)
		return plumb_fail(PLUMB_E_ARGUMENT, "logits of all %lld tokens asked, a pass takes %lld",
			(long long)n, (long long)s->batch);
	return PLUMB_OK;
}

/* A pass. What overflowed in it is said whether it came to its end or not. */
static enum plumb_status session_forward(const struct plumb_segment *segment, int segments, int64_t rows)
{
	segment->session->first_row = 0;
	enum plumb_status status = plumb_transformer_forward(segment, segments, rows);
	plumb_overflow_settle(segment, segments);
	return status;
}

enum plumb_status plumb_session_eval(
	struct plumb_session *s, const int32_t *tokens, int64_t n, enum plumb_logits want)
{
	int64_t before = s->position, last = want == PLUMB_LOGITS_ALL ? n : want == PLUMB_LOGITS_LAST ? 1 : 0;
	PLUMB_TRY(session_check_tokens(s, tokens, n, want));
	s->logits_rows = 0;
	s->logits_copied = false;
	enum plumb_status status = session_reserve(s, s->position + n);
	if (!status && last)
		status = session_room_for_logits(s, last);
	for (int64_t done = 0, rows; !status && done < n; done += rows) {
		struct plumb_tensor ids;
		rows = n - done < s->batch ? n - done : s->batch;
		status = plumb_tensor_rows(&ids, &s->ids, 0, rows);
		if (!status)
			status = plumb_tensor_write(&ids, tokens + done, sizeof *tokens * (size_t)rows);
		if (!status)
			status = session_forward(&(struct plumb_segment){ s, 0, rows }, 1, done + rows == n ? last : 0);
		if (!status)
			s->position += rows;
	}
	if (status) {
		s->position = before;
		return status;
	}
	s->logits_rows = last;
	return PLUMB_OK;
}

/* Keep a float32 copy of logits with the session. */
static enum plumb_status session_copy_logits(struct plumb_session *s, const struct plumb_tensor *logits)
{
	int64_t n = plumb_tensor_count(logits);
	if (n > s->logits_room) {
		free(s->logits_f32);
		s->logits_room = 0;
		if (!(s->logits_f32 = malloc(sizeof(float) * (size_t)n)))
			return plumb_fail(PLUMB_E_MEMORY, "no memory for %lld logits", (long long)n);
		s->logits_room = n;
	}
	PLUMB_TRY(plumb_tensor_read_f32(logits, s->logits_f32, n));
	s->logits_copied = true;
	return PLUMB_OK;
}

enum plumb_status plumb_session_logits(struct plumb_session *s, const float **logits, int64_t *rows)
{
	*logits = NULL;
	*rows = s->logits_rows;
	if (!s->logits_rows)
		return plumb_fail(PLUMB_E_ARGUMENT, "the last evaluation made no logits");
	if (!s->logits_copied && s->logits.type == PLUMB_F32) {
		PLUMB_TRY(plumb_buffer_to_host(s->logits.buffer));
		*logits = plumb_host(&s->logits);
		return PLUMB_OK;
	}
	if (!s->logits_copied)
		PLUMB_TRY(session_copy_logits(s, &s->logits));
	*logits = s->logits_f32;
	return PLUMB_OK;
}

static enum plumb_status session_check_step(
	struct plumb_session *const *sessions, const int32_t *tokens, int64_t count)
{
	if (count < 1 || count > sessions[0]->batch)
		return plumb_fail(PLUMB_E_ARGUMENT, "a shared step takes from 1 to %lld sessions, not %lld",
			count < 1 ? 1LL : (long long)sessions[0]->batch, (long long)count);
	for (int64_t i = 0; i < count; i++) {
		if (sessions[i]->model != sessions[0]->model)
			return plumb_fail(PLUMB_E_ARGUMENT, "session %lld is of another model", (long long)i);
		if (sessions[i]->tap)
			return plumb_fail(
				PLUMB_E_ARGUMENT, "session %lld has a tap: it takes no shared step", (long long)i);
		for (int64_t j = 0; j < i; j++)
			if (sessions[j] == sessions[i])
				return plumb_fail(
					PLUMB_E_ARGUMENT, "sessions %lld and %lld are the same", (long long)j, (long long)i);
		PLUMB_TRY(session_check_tokens(sessions[i], &tokens[i], 1, PLUMB_LOGITS_LAST));
	}
	return PLUMB_OK;
}

static enum plumb_status session_step(struct plumb_session *const *sessions, const int32_t *tokens,
	int64_t count, struct plumb_segment *segment)
{
	struct plumb_session *lead = sessions[0];
	struct plumb_tensor ids, row;
	for (int64_t i = 0; i < count; i++) {
		sessions[i]->logits_rows = 0;
		segment[i] = (struct plumb_segment){ sessions[i], i, 1 };
		PLUMB_TRY(session_reserve(sessions[i], sessions[i]->position + 1));
	}
	PLUMB_TRY(session_room_for_logits(lead, count));
	PLUMB_TRY(plumb_tensor_rows(&ids, &lead->ids, 0, count));
	PLUMB_TRY(plumb_tensor_write(&ids, tokens, sizeof *tokens * (size_t)count));
	PLUMB_TRY(session_forward(segment, (int)count, count));
	for (int64_t i = 0; i < count; i++) {
		PLUMB_TRY(plumb_tensor_rows(&row, &lead->logits, i, 1));
		PLUMB_TRY(session_copy_logits(sessions[i], &row));
	}
	for (int64_t i = 0; i < count; i++) {
		sessions[i]->position++;
		sessions[i]->logits_rows = 1;
	}
	return PLUMB_OK;
}

enum plumb_status plumb_sessions_step(
	struct plumb_session *const *sessions, const int32_t *tokens, int64_t count)
{
	PLUMB_TRY(session_check_step(sessions, tokens, count));
	struct plumb_segment *segment = calloc((size_t)count, sizeof *segment);
	if (!segment)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a step of %lld sessions", (long long)count);
	enum plumb_status s = session_step(sessions, tokens, count, segment);
	free(segment);
	return s;
}

struct plumb_model *plumb_session_model(const struct plumb_session *s) { return s->model; }
int64_t plumb_session_context(const struct plumb_session *s) { return s->context; }
int64_t plumb_session_position(const struct plumb_session *s) { return s->position; }

enum plumb_status plumb_session_rewind(struct plumb_session *s, int64_t position)
{
	if (position < 0 || position > s->position)
		return plumb_fail(PLUMB_E_ARGUMENT, "cannot go back to %lld from %lld", (long long)position,
			(long long)s->position);
	s->position = position;
	return PLUMB_OK;
}
