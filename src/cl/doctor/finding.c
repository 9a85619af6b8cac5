/* SPDX-License-Identifier: Apache-2.0 */
/* Saying what was found, and keeping facts for later steps: in a child both go to the parent as lines of text
 * (child.c). */
#include <stdarg.h>
#include <string.h>
#include "cl/doctor/doctor.h"
#include "core/utf8.h"

/* Which of two problems is the one to name: the later in this list. */
static int finding_gravity(enum plumb_verdict v)
{
	static const enum plumb_verdict order[] = { PLUMB_HEALTHY, PLUMB_NO_DEVICE, PLUMB_BROKEN_ICD,
		PLUMB_NO_ICD, PLUMB_WRONG_RESULTS, PLUMB_NO_LOADER, PLUMB_NOT_BUILT };
	for (int i = 0; i < (int)(sizeof order / sizeof *order); i++)
		if (order[i] == v)
			return i;
	return 0;
}

void plumb_doctor_say(struct plumb_doctor *d, enum plumb_mark mark, enum plumb_verdict verdict,
	const char *step, const char *advice, const char *format, ...)
{
	char what[1024], what_to_do[1280];
	va_list args;
	va_start(args, format);
	plumb_vformat(what, sizeof what, format, args);
	va_end(args);
	snprintf(what_to_do, sizeof what_to_do, "%s", advice ? advice : "");
	plumb_utf8_plain(what, "");
	plumb_utf8_plain(what_to_do, "");
	if (d->in_child) {
		fprintf(d->pipe, "finding\t%d\t%d\t%s\t%s\t%s\n", (int)mark, (int)verdict, step, what, what_to_do);
		fflush(d->pipe);
		return;
	}
	if (finding_gravity(verdict) > finding_gravity(d->verdict))
		d->verdict = verdict;
	d->report(d->user, &(struct plumb_finding){ mark, verdict, step, what, advice ? what_to_do : NULL });
}

void plumb_doctor_note(struct plumb_doctor *d, const char *key, const char *text)
{
	char line[128];
	snprintf(line, sizeof line, "%s", text);
	plumb_utf8_plain(line, "");
	if (d->in_child) {
		fprintf(d->pipe, "fact\t%s\t%s\n", key, line);
		fflush(d->pipe);
	} else if (d->facts < PLUMB_DOCTOR_FACTS) {
		struct plumb_fact *f = &d->fact[d->facts++];
		snprintf(f->key, sizeof f->key, "%s", key);
		memcpy(f->text, line, sizeof line);
	}
}

const char *plumb_doctor_fact(const struct plumb_doctor *d, const char *key, int index)
{
	for (int i = 0; i < d->facts; i++)
		if (!strcmp(d->fact[i].key, key) && !index--)
			return d->fact[i].text;
	return NULL;
}

bool plumb_doctor_knows(const struct plumb_doctor *d, const char *key, const char *text)
{
	const char *f;
	for (int i = 0; (f = plumb_doctor_fact(d, key, i)); i++)
		if (!strcmp(f, text))
			return true;
	return false;
}
