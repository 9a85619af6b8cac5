/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON with an honest reason when it fails, and writing it with text from anywhere. */
#ifndef PLUMB_CORE_JSON_H
#define PLUMB_CORE_JSON_H

#include <stddef.h>
#include <jansson.h>
#include <plumb/status.h>

/* As json_loadb(). PLUMB_E_FORMAT: it is not JSON, *error says where; PLUMB_E_MEMORY: it is, but there was no
 * memory for it. */
enum plumb_status plumb_json_read(
	json_t **root, const char *text, size_t n, size_t flags, json_error_t *error);
/* A string of text that comes from outside (a device's or model's name, a path, a file's key) or may have
 * been cut off within a character: what is not UTF-8, which jansson refuses, becomes U+FFFD.
 * tools/check-deps.sh lets no other file call json_string() with more than a literal. NULL: no memory, or no
 * text. */
json_t *plumb_json_text(const char *text);
json_t *plumb_json_bytes(const char *p, size_t n);
/* As json_dumps(), which drops keys and goes on when its buffer cannot grow (jansson 2.14). malloc'ed; NULL:
 * no memory. */
char *plumb_json_write(const json_t *root, size_t flags);
json_t *plumb_json_number(double x);                           /* null when not finite */
double plumb_json_real(const json_t *object, const char *key); /* NaN: absent or null */
json_t *plumb_json_format(const char *format, ...)
	__attribute__((format(printf, 1, 2))); /* a string; NULL: no memory */

#endif
