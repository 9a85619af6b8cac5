/* SPDX-License-Identifier: Apache-2.0 */
/* Chat prompts. A template is not run: template.c knows its text and says in which of these forms it writes a
 * conversation. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "core/utf8.h"
#include "text.h"

#define START "<|im_start|>"
#define END "<|im_end|>"
#define USER "<\xef\xbd\x9cUser\xef\xbd\x9c>"
#define ASSISTANT \
	"<\xef\xbd\x9c" \
	"Assistant\xef\xbd\x9c>"
#define END_OF_SENTENCE \
	"<\xef\xbd\x9c" \
	"end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"
#define THOUGHT_END "</think>"

struct buffer {
	char *p;
	size_t n, room;
};

static enum plumb_status chat_put(struct buffer *b, const char *text, size_t n)
{
	if (n >= SIZE_MAX / 4 - b->n)
		return plumb_fail(PLUMB_E_LIMIT, "a conversation of more than %zu bytes", b->n);
	if (b->n + n + 1 > b->room) {
		size_t room = 2 * (b->n + n + 1);
		char *p = realloc(b->p, room);
		if (!p)
			return plumb_fail(PLUMB_E_MEMORY, "no memory for a conversation of %zu bytes", b->n + n);
		b->p = p;
		b->room = room;
	}
	if (n)
		memcpy(b->p + b->n, text, n);
	b->n += n;
	b->p[b->n] = 0;
	return PLUMB_OK;
}

/* A conversation comes out as markers (by id) and the text between them. */
struct sink {
	const struct plumb_tokenizer *tok;
	struct buffer text;    /* all of it, or what is not yet encoded */
	struct plumb_ids *ids; /* NULL: text is wanted */
};

/* The text up to a marker is encoded in one: the role's line break may join with the content. */
static enum plumb_status chat_flush(struct sink *s)
{
	enum plumb_status status;
	if (!s->ids || !s->text.n)
		return PLUMB_OK;
	status = plumb_ids_encode(s->ids, s->tok, s->text.p, s->text.n, PLUMB_SPECIALS_TEXT);
	s->text.n = 0;
	return status;
}

static enum plumb_status chat_put_id(struct sink *s, int32_t id)
{
	struct plumb_span bytes = plumb_token_bytes(s->tok, id);
	enum plumb_status status;
	if (!s->ids)
		return chat_put(&s->text, bytes.p, bytes.n);
	status = chat_flush(s);
	return status ? status : plumb_ids_add(s->ids, id);
}

static enum plumb_status chat_put_text(struct sink *s, const char *text)
{
	return chat_put(&s->text, text, strlen(text));
}

/* A marker of the template's own; as text it needs no token. */
static enum plumb_status chat_put_marker(struct sink *s, const char *text)
{
	int32_t id = plumb_special_find(s->tok, text);
	if (!s->ids)
		return chat_put_text(s, text);
	return id < 0 ? plumb_fail(PLUMB_E_UNSUPPORTED,
						"the chat template %s needs the token %s, which is not a special token of this "
						"vocabulary",
						s->tok->template->name, text)
				  : chat_put_id(s, id);
}

/* "<think>" is a token where the vocabulary has it, else text. */
static enum plumb_status chat_put_think(struct sink *s)
{
	int32_t id = plumb_special_find(s->tok, "<think>");
	enum plumb_status status = id < 0 ? chat_put_text(s, "<think>") : chat_put_id(s, id);
	return status ? status : chat_put_text(s, "\n");
}

/* What a template keeps of an earlier answer. */
static const char *chat_without_thought(const struct plumb_template *t, const char *content, bool last)
{
	const char *end = NULL;
	if (t->thought == PLUMB_THOUGHT_ALL || (t->thought == PLUMB_THOUGHT_LAST && last))
		return content;
	for (const char *p = content; (p = strstr(p, THOUGHT_END)); end = p += sizeof THOUGHT_END - 1)
		;
	content = end ? end : content;
	return t->thought == PLUMB_THOUGHT_CUT ? content : content + strspn(content, "\n");
}

static enum plumb_status chat_put_opening(struct sink *s, const char *role)
{
	enum plumb_status status;
	if ((status = chat_put_marker(s, START)) || (status = chat_put_text(s, role)))
		return status;
	return chat_put_text(s, "\n");
}

static enum plumb_status chat_put_message(struct sink *s, const char *role, const char *content)
{
	enum plumb_status status;
	if ((status = chat_put_opening(s, role)) || (status = chat_put_text(s, content)) ||
		(status = chat_put_marker(s, END)))
		return status;
	return chat_put_text(s, "\n");
}

/* A conversation's part that is to be written. */
struct part {
	const struct plumb_message *m;
	size_t first, count;
	bool answer;
};

static bool chat_is_role(const struct plumb_message *m, const char *role) { return !strcmp(m->role, role); }

static enum plumb_status chat_write_chatml(struct sink *s, const struct part *p)
{
	const struct plumb_template *t = s->tok->template;
	enum plumb_status status = PLUMB_OK;
	if (!p->first && t->system && (!p->count || !chat_is_role(p->m, "system")))
		status = chat_put_message(s, "system", t->system);
	for (size_t i = p->first; !status && i < p->count; i++)
		status = chat_put_message(s, p->m[i].role,
			chat_is_role(&p->m[i], "assistant") ? chat_without_thought(t, p->m[i].content, i + 1 == p->count)
												: p->m[i].content);
	if (!status && p->answer)
		status = chat_put_opening(s, "assistant");
	return !status && p->answer && t->think ? chat_put_think(s) : status;
}

/* The last system message stands at the beginning, wherever it was said. */
static enum plumb_status chat_write_deepseek(struct sink *s, const struct part *p)
{
	const char *system = "";
	enum plumb_status status = PLUMB_OK;
	for (size_t i = 0; i < p->count; i++)
		if (chat_is_role(&p->m[i], "system")) {
			if (p->first && i >= p->first)
				return plumb_fail(PLUMB_E_ARGUMENT,
					"message %zu: the template puts a system message at the beginning, which is written already",
					i);
			system = p->m[i].content;
		}
	if (!p->first && s->tok->bos >= 0)
		status = chat_put_id(s, s->tok->bos);
	if (!status && !p->first)
		status = chat_put_text(s, system);
	for (size_t i = p->first; !status && i < p->count; i++) {
		bool user = chat_is_role(&p->m[i], "user");
		if (chat_is_role(&p->m[i], "system"))
			continue;
		if (!(status = chat_put_marker(s, user ? USER : ASSISTANT)))
			status = chat_put_text(
				s, user ? p->m[i].content : chat_without_thought(s->tok->template, p->m[i].content, false));
		if (!status && !user)
			status = chat_put_marker(s, END_OF_SENTENCE);
	}
	if (!status && p->answer)
		status = chat_put_marker(s, ASSISTANT);
	return !status && p->answer && s->tok->template->think ? chat_put_think(s) : status;
}

static bool chat_known_role(const char *role)
{
	return role && (!strcmp(role, "system") || !strcmp(role, "user") || !strcmp(role, "assistant"));
}

static enum plumb_status chat_write(
	struct sink *s, const struct plumb_message *messages, size_t first, size_t count, bool answer)
{
	struct part part = { messages, first, count, answer };
	enum plumb_status status = plumb_template_need(s->tok);
	if (status)
		return status;
	if (first > count)
		return plumb_fail(PLUMB_E_ARGUMENT, "messages from %zu on, but there are %zu", first, count);
	for (size_t i = 0; i < count; i++) {
		if (!chat_known_role(messages[i].role))
			return plumb_fail(PLUMB_E_ARGUMENT,
				"message %zu has the role \"%.32s\", expected system, user or assistant", i,
				messages[i].role ? messages[i].role : "(none)");
		if (!messages[i].content)
			return plumb_fail(PLUMB_E_ARGUMENT, "message %zu has no content", i);
		/* Here and not when all is encoded, so that the offset is that of the message. */
		if ((status = plumb_utf8_check("message", messages[i].content, strlen(messages[i].content))))
			return plumb_fail_in(status, "message %zu (%s)", i, messages[i].role);
	}
	status = s->tok->template->form == PLUMB_FORM_DEEPSEEK ? chat_write_deepseek(s, &part)
														   : chat_write_chatml(s, &part);
	return status ? status : chat_flush(s);
}

enum plumb_status plumb_chat_render(const struct plumb_tokenizer *tok, const struct plumb_message *messages,
	size_t first, size_t count, bool answer, char **text)
{
	struct sink s = { .tok = tok };
	enum plumb_status status = chat_put(&s.text, "", 0);
	*text = NULL;
	if (!status)
		status = chat_write(&s, messages, first, count, answer);
	if (status) {
		free(s.text.p);
		return status;
	}
	*text = s.text.p;
	return PLUMB_OK;
}

enum plumb_status plumb_chat_tokenize(const struct plumb_tokenizer *tok, const struct plumb_message *messages,
	size_t first, size_t count, bool answer, int32_t **ids, size_t *n)
{
	struct plumb_ids out = { NULL, 0, 0 };
	struct sink s = { .tok = tok, .ids = &out };
	enum plumb_status status;
	*ids = NULL;
	*n = 0;
	status = chat_write(&s, messages, first, count, answer);
	free(s.text.p);
	if (!status && !out.p && !(out.p = malloc(sizeof *out.p)))
		status = plumb_fail(PLUMB_E_MEMORY, "no memory for token ids");
	if (status) {
		free(out.p);
		return status;
	}
	*ids = out.p;
	*n = out.n;
	return PLUMB_OK;
}
