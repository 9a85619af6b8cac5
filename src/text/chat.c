/* SPDX-License-Identifier: Apache-2.0 */
/* Chat prompts in ChatML. The template is not run, only recognised: ChatML is one form, and its one
 * variable part, the default system message, is a literal in the template. */
#include <stdlib.h>
#include <string.h>
#include "core/core.h"
#include "text.h"

#define START "<|im_start|>"
#define END "<|im_end|>"

struct buffer { char *p; size_t n, room; };

static enum plumb_status put(struct buffer *b, const char *text, size_t n)
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

/* One character of a Jinja literal at *p, escapes undone as Python does; *p moves on. */
static char unescape(const char **p)
{
	static const char from[] = "nrt\\'\"", to[] = "\n\r\t\\'\"";
	const char *s = *p;
	const char *hit = s[0] == '\\' && s[1] ? strchr(from, s[1]) : NULL;

	*p = s + (hit ? 2 : 1);
	return hit ? to[hit - from] : s[0];
}

/* The text after START "system\n" up to END, all within one literal: quote is what began it, 0 for
 * text outside of Jinja's braces. */
static enum plumb_status read_literal(const char *p, char quote, char **text)
{
	struct buffer b = { NULL, 0, 0 };
	enum plumb_status st = put(&b, "", 0);

	while (!st && *p && (!quote || *p != quote)) {
		if (!strncmp(p, END, sizeof(END) - 1)) {
			if (b.n && b.p[0] == '\n') {
				memmove(b.p, b.p + 1, b.n--);
				*text = b.p;
				return PLUMB_OK;
			}
			break;
		}
		if (!quote && (!strncmp(p, "{{", 2) || !strncmp(p, "{%", 2)))
			break;
		char c = *p;
		if (quote)
			c = unescape(&p);
		else
			p++;
		st = put(&b, &c, 1);
	}
	free(b.p);
	return st;
}

enum plumb_status plumb_chat_read(struct plumb_tokenizer *tok, const char *text)
{
	static const char opening[] = START "system";
	enum plumb_status st = PLUMB_OK;

	tok->has_template = true;
	tok->chatml = strstr(text, START) != NULL;
	for (const char *p = text; !st && !tok->system && (p = strstr(p, opening));) {
		char quote = p > text && (p[-1] == '\'' || p[-1] == '"') ? p[-1] : 0;
		p += sizeof(opening) - 1;
		st = read_literal(p, quote, &tok->system);
	}
	return st;
}

/* A conversation comes out as markers (by id) and the text between them. */
struct sink {
	const struct plumb_tokenizer *tok;
	struct buffer text;    /* all of it, or what is not yet encoded */
	struct plumb_ids *ids; /* NULL: text is wanted */
};

/* The text up to a marker is encoded in one: the role's line break may join with the content. */
static enum plumb_status flush(struct sink *s)
{
	enum plumb_status st;

	if (!s->ids || !s->text.n)
		return PLUMB_OK;
	st = plumb_ids_encode(s->ids, s->tok, s->text.p, s->text.n, PLUMB_SPECIALS_TEXT);
	s->text.n = 0;
	return st;
}

static enum plumb_status put_marker(struct sink *s, bool start)
{
	enum plumb_status st;

	if (!s->ids)
		return put(&s->text, start ? START : END, start ? sizeof(START) - 1 : sizeof(END) - 1);
	st = flush(s);
	return st ? st : plumb_ids_add(s->ids, start ? s->tok->im_start : s->tok->im_end);
}

static enum plumb_status put_opening(struct sink *s, const char *role)
{
	enum plumb_status st;

	if ((st = put_marker(s, true)) || (st = put(&s->text, role, strlen(role))))
		return st;
	return put(&s->text, "\n", 1);
}

static enum plumb_status put_message(struct sink *s, const char *role, const char *content)
{
	enum plumb_status st;

	if ((st = put_opening(s, role)) || (st = put(&s->text, content, strlen(content))) || (st = put_marker(s, false)))
		return st;
	return put(&s->text, "\n", 1);
}

static bool known_role(const char *role)
{
	return role && (!strcmp(role, "system") || !strcmp(role, "user") || !strcmp(role, "assistant"));
}

static enum plumb_status write_chat(struct sink *s, const struct plumb_message *messages, size_t first, size_t count,
	bool answer)
{
	enum plumb_status st = PLUMB_OK;

	if (!s->tok->chatml)
		return plumb_fail(PLUMB_E_UNSUPPORTED, s->tok->has_template ?
			"the model's chat template is not ChatML (it has no " START ")" : "the model has no chat template");
	if (first > count)
		return plumb_fail(PLUMB_E_ARGUMENT, "messages from %zu on, but there are %zu", first, count);
	for (size_t i = first; i < count; i++) {
		if (!known_role(messages[i].role))
			return plumb_fail(PLUMB_E_ARGUMENT, "message %zu has the role \"%.32s\", expected system, user or assistant",
				i, messages[i].role ? messages[i].role : "(none)");
		if (!messages[i].content)
			return plumb_fail(PLUMB_E_ARGUMENT, "message %zu has no content", i);
		/* Here and not when all is encoded, so that the offset is that of the message. */
		if ((st = plumb_utf8_check("message", messages[i].content, strlen(messages[i].content))))
			return plumb_fail_in(st, "message %zu (%s)", i, messages[i].role);
	}
	if (!first && s->tok->system && (!count || strcmp(messages[0].role, "system")))
		st = put_message(s, "system", s->tok->system);
	for (size_t i = first; !st && i < count; i++)
		st = put_message(s, messages[i].role, messages[i].content);
	if (!st && answer)
		st = put_opening(s, "assistant");
	return st ? st : flush(s);
}

enum plumb_status plumb_chat_render(const struct plumb_tokenizer *tok, const struct plumb_message *messages,
	size_t first, size_t count, bool answer, char **text)
{
	struct sink s = { .tok = tok };
	enum plumb_status st = put(&s.text, "", 0);

	*text = NULL;
	if (!st)
		st = write_chat(&s, messages, first, count, answer);
	if (st) {
		free(s.text.p);
		return st;
	}
	*text = s.text.p;
	return PLUMB_OK;
}

enum plumb_status plumb_chat_tokenize(const struct plumb_tokenizer *tok, const struct plumb_message *messages,
	size_t first, size_t count, bool answer, int32_t **ids, size_t *n)
{
	struct plumb_ids out = { NULL, 0, 0 };
	struct sink s = { .tok = tok, .ids = &out };
	enum plumb_status st = PLUMB_OK;

	*ids = NULL;
	*n = 0;
	if (tok->chatml && (tok->im_start < 0 || tok->im_end < 0))
		return plumb_fail(PLUMB_E_UNSUPPORTED, "the chat template is ChatML, but %s is not a special token",
			tok->im_start < 0 ? START : END);
	if (!first && tok->add_bos)
		st = plumb_ids_add(&out, tok->bos);
	if (!st)
		st = write_chat(&s, messages, first, count, answer);
	free(s.text.p);
	if (!st && !out.p && !(out.p = malloc(sizeof(*out.p))))
		st = plumb_fail(PLUMB_E_MEMORY, "no memory for token ids");
	if (st) {
		free(out.p);
		return st;
	}
	*ids = out.p;
	*n = out.n;
	return PLUMB_OK;
}
