/* SPDX-License-Identifier: Apache-2.0 */
/* From ids to text while tokens arrive: whole characters come out, the beginning of one is held. */
#include <string.h>
#include "core/core.h"
#include "core/utf8.h"
#include "text.h"

/* Take one byte; what becomes certain goes to out (at most 6 bytes), unless it is NULL. */
static size_t stream_take_byte(struct plumb_stream *s, unsigned char byte, char *out)
{
	size_t written = 0;
	s->held[s->count++] = byte;
	while (s->count) {
		int len = plumb_utf8_step(s->held, (size_t)s->count);
		if (!len)
			break;
		size_t put = len > 0 ? (size_t)len : PLUMB_UTF8_REPLACEMENT_SIZE;
		if (out)
			memcpy(out + written, len > 0 ? (const char *)s->held : PLUMB_UTF8_REPLACEMENT, put);
		written += put;
		s->count -= len > 0 ? len : -len;
		memmove(s->held, s->held + (len > 0 ? len : -len), (size_t)s->count);
	}
	return written;
}

enum plumb_status plumb_stream_token(struct plumb_stream *stream, const struct plumb_tokenizer *tok,
	int32_t id, bool specials, char *out, size_t size, size_t *written)
{
	struct plumb_span token = plumb_token_bytes(tok, id);
	struct plumb_stream probe = *stream;
	size_t need = 0;
	*written = 0;
	if (id < 0 || (size_t)id >= plumb_tokenizer_size(tok)) /* an empty token is one, too */
		return plumb_fail(
			PLUMB_E_ARGUMENT, "token id %d, expected 0 to %zu", (int)id, plumb_tokenizer_size(tok) - 1);
	if (stream->count < 0 || stream->count > 3)
		return plumb_fail(PLUMB_E_ARGUMENT, "the stream holds %d bytes, expected 0 to 3 (zero-initialise it)",
			stream->count);
	if (!specials && plumb_tokenizer_is_special(tok, id))
		return PLUMB_OK;
	for (bool strip = tok->strip && !stream->begun; strip && token.n && *token.p == ' ';
		 strip = tok->strip_all) {
		token.p++;
		token.n--;
	}
	for (size_t i = 0; i < token.n; i++)
		need += stream_take_byte(&probe, (unsigned char)token.p[i], NULL);
	if (need > size)
		return plumb_fail(
			PLUMB_E_ARGUMENT, "token %d needs %zu bytes of output, there are %zu", (int)id, need, size);
	stream->begun = true;
	for (size_t i = 0; i < token.n; i++)
		*written += stream_take_byte(stream, (unsigned char)token.p[i], out + *written);
	return PLUMB_OK;
}

/* What is held is always one beginning of a character, so one U+FFFD stands for it. */
size_t plumb_stream_end(struct plumb_stream *stream, char *out, size_t size)
{
	bool held = stream->count > 0;
	stream->count = 0;
	if (!held || size < PLUMB_UTF8_REPLACEMENT_SIZE)
		return 0;
	memcpy(out, PLUMB_UTF8_REPLACEMENT, PLUMB_UTF8_REPLACEMENT_SIZE);
	return PLUMB_UTF8_REPLACEMENT_SIZE;
}
