/* SPDX-License-Identifier: Apache-2.0 */
/* Options that commands share, and numbers of the command line. */
#include "cli/cli.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool cli_whole64(const char *option, const char *text, int64_t low, int64_t high, int64_t *value)
{
	char *end;
	errno = 0;
	*value = strtoll(text, &end, 10);
	if (!errno && end != text && !*end && *value >= low && *value <= high)
		return true;
	cli_complain(CLI_USAGE, "%s takes a whole number from %" PRId64 " to %" PRId64 ", not \"%s\"", option,
		low, high, text);
	return false;
}

bool cli_whole(const char *option, const char *text, long low, long high, long *value)
{
	int64_t wide;
	bool good = cli_whole64(option, text, low, high, &wide);
	*value = good ? (long)wide : 0;
	return good;
}

bool cli_real(const char *option, const char *text, double low, double high, double *value)
{
	char *end;
	errno = 0;
	*value = strtod(text, &end);
	if (!errno && end != text && !*end && *value >= low && *value <= high)
		return true;
	cli_complain(CLI_USAGE, "%s takes a number from %g to %g, not \"%s\"", option, low, high, text);
	return false;
}

static bool options_take_kv(const char *text, enum plumb_type *type)
{
	*type = strcmp(text, "f16") ? PLUMB_F32 : PLUMB_F16;
	if (*type == PLUMB_F16 || !strcmp(text, "f32"))
		return true;
	cli_complain(CLI_USAGE, "--kv takes f32 or f16, not \"%s\"", text);
	return false;
}

int cli_session_option(struct plumb_session_options *session, long least, int option, const char *value)
{
	long whole;
	switch (option) {
	case 1200:
		if (!cli_whole("--ctx", value, least, 1 << 24, &whole))
			return -1;
		session->context = whole;
		return 1;
	case 1201: return options_take_kv(value, &session->kv_type) ? 1 : -1;
	case 1202:
		if (!cli_whole("--batch", value, 1, 1 << 20, &whole))
			return -1;
		session->batch = whole;
		return 1;
	default: return 0;
	}
}

int cli_common_option(
	struct cli_common *common, const struct cli_command *command, int option, const char *value)
{
	long threads;
	switch (option) {
	case 1000: common->open.driver = value; return 0;
	case 1001: common->open.precision = value; return 0;
	case 1002: common->json = true; return 0;
	case 1003: common->nfc = true; return 0;
	case 1004: common->open.mode = value; return 0;
	case 1005: common->no_bos = true; return 0;
	case 1006: common->template = value; return 0;
	case 't':
		if (!cli_whole("--threads", value, 1, 256, &threads))
			return CLI_USAGE + 1;
		common->open.threads = (int)threads;
		return 0;
	case 'h': fputs(command->help, stdout); return CLI_OK + 1;
	default: /* getopt has named the option already */
		fprintf(stderr, "Try 'plumb %s --help'.\n", command->name);
		return CLI_USAGE + 1;
	}
}

int cli_stop_option(struct cli_stops *stops, int option, const char *value)
{
	if (option != 1106)
		return 0;
	if (stops->count == CLI_MOST_STOPS) {
		cli_complain(CLI_USAGE, "at most %d times --stop", CLI_MOST_STOPS);
		return -1;
	}
	if (!*value || plumb_utf8_invalid(value, strlen(value)) < strlen(value)) {
		cli_complain(CLI_USAGE, "--stop takes %s", *value ? "text in UTF-8" : "a text that is not empty");
		return -1;
	}
	stops->text[stops->count++] = (struct plumb_span){ value, strlen(value) };
	return 1;
}

int cli_ids(const char *option, const char *text, int32_t **ids, size_t *n)
{
	size_t room = strlen(text) / 2 + 1;
	*n = 0;
	if (!(*ids = malloc(sizeof **ids * room)))
		return cli_complain(CLI_ERROR, "no memory for token ids");
	for (const char *p = text; *p;) {
		char *end;
		if (isspace((unsigned char)*p) || *p == ',') {
			p++;
			continue;
		}
		unsigned long id = isdigit((unsigned char)*p) ? strtoul(p, &end, 10) : (unsigned long)-1;
		if (id > 0x7fffffff)
			return cli_complain(
				CLI_USAGE, "%s takes token ids with commas between, not \"%.40s\"", option, p);
		(*ids)[(*n)++] = (int32_t)id;
		p = end;
	}
	return *n ? CLI_OK : cli_complain(CLI_USAGE, "%s got no token id", option);
}
