/* SPDX-License-Identifier: Apache-2.0 */
/* The options that choose a token, and a seed where none was given. */
#include "cli/cli.h"
#include <time.h>
#include <unistd.h>

int cli_sampling_option(struct cli_sampling *s, int option, const char *value)
{
	long whole;
	int64_t seed;
	switch (option) {
	case 1100: return cli_real("--temp", value, 0, 100, &s->how.temperature) ? 1 : -1;
	case 1101:
		s->idle = "--top-k";
		if (!cli_whole("--top-k", value, 0, 1 << 24, &whole))
			return -1;
		s->how.top_k = (int)whole;
		return 1;
	case 1102: s->idle = "--top-p"; return cli_real("--top-p", value, 0, 1, &s->how.top_p) ? 1 : -1;
	case 1103: s->idle = "--min-p"; return cli_real("--min-p", value, 0, 1, &s->how.min_p) ? 1 : -1;
	case 1104: return cli_real("--repeat-penalty", value, 0.01, 100, &s->how.repeat_penalty) ? 1 : -1;
	case 1105:
		if (!cli_whole64("--seed", value, 0, INT64_MAX, &seed)) /* JSON's integers end there, too */
			return -1;
		s->how.seed = (uint64_t)seed;
		s->seeded = true;
		return 1;
	default: return 0;
	}
}

void cli_sampling_seed(struct cli_sampling *s, bool quiet)
{
	uint32_t drawn;
	if (s->how.temperature <= 0) {
		if (s->idle && !quiet)
			fprintf(stderr,
				"plumb: note: %s chooses nothing at temperature 0, where the likeliest token is taken; --temp T changes that\n",
				s->idle);
		return;
	}
	if (!s->seeded) {
		if (getentropy(&drawn, sizeof drawn))
			drawn = (uint32_t)time(NULL) * 2654435761u ^ (uint32_t)getpid();
		s->how.seed = drawn; /* 32 bits: easy to type again */
	}
	if (!quiet)
		fprintf(stderr, "plumb: seed %llu%s\n", (unsigned long long)s->how.seed,
			s->seeded ? "" : ", drawn; --seed with it gives the same text");
}
