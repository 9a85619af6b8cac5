/* SPDX-License-Identifier: Apache-2.0 */
/* Vendors' code in a child process: a crash, an exit or a hang of it is something to report, not the doctor's
 * end. The child writes one line per finding into a pipe. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cl/doctor/doctor.h"
#include "core/core.h"

static void child_run(struct plumb_doctor *d, plumb_doctor_fn fn, const void *arg, int fd)
{
	/* What a library prints must not get among the results. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	d->in_child = true;
	d->pipe = fdopen(fd, "w");
	if (!d->pipe)
		_exit(1);
	fn(d, arg);
	fputs("end\n", d->pipe);
	fflush(d->pipe);
	_exit(0); /* without the libraries' exit handlers: some of them crash, and that tells nothing */
}

/* "finding\tMARK\tVERDICT\tSTEP\tWHAT\tADVICE" or "fact\tKEY\tTEXT"; true at "end". */
static bool child_take(struct plumb_doctor *d, char *line)
{
	char *field[6] = { NULL };
	int n = 0;
	for (char *p = line; p && n < 6; n++)
		field[n] = strsep(&p, "\t");
	if (n == 6 && !strcmp(field[0], "finding"))
		plumb_doctor_say(d, (enum plumb_mark)atoi(field[1]), (enum plumb_verdict)atoi(field[2]), field[3],
			*field[5] ? field[5] : NULL, "%s", field[4]);
	else if (n == 3 && !strcmp(field[0], "fact"))
		plumb_doctor_note(d, field[1], field[2]);
	return n == 1 && !strcmp(field[0], "end");
}

/* Lines until the end; false when it is silent for too long. */
static bool child_listen(struct plumb_doctor *d, int fd, int seconds, bool *ended)
{
	char buffer[4096];
	size_t have = 0;
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int ready = poll(&p, 1, seconds * 1000);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return false;
		ssize_t got = read(fd, buffer + have, sizeof buffer - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return true;
		have += (size_t)got;
		char *start = buffer, *newline;
		while ((newline = memchr(start, '\n', have - (size_t)(start - buffer)))) {
			*newline = 0;
			*ended |= child_take(d, start);
			start = newline + 1;
		}
		if (*ended) /* a grandchild may hold the pipe open */
			return true;
		have -= (size_t)(start - buffer);
		memmove(buffer, start, have);
		if (have == sizeof buffer) /* longer than any line of ours: not ours */
			have = 0;
	}
}

bool plumb_doctor_child(
	struct plumb_doctor *d, plumb_doctor_fn fn, const void *arg, int seconds, char how[128])
{
	int ends[2], status = 0;
	bool ended = false;
	if (pipe(ends)) {
		snprintf(how, 128, "could not be tried: %s", strerror(errno));
		return false;
	}
	pid_t pid = fork();
	if (!pid) {
		close(ends[0]);
		child_run(d, fn, arg, ends[1]);
	}
	close(ends[1]);
	if (pid < 0) {
		snprintf(how, 128, "could not be tried: %s", strerror(errno));
		close(ends[0]);
		return false;
	}
	bool answered = child_listen(d, ends[0], seconds, &ended);
	close(ends[0]);
	if (!answered)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (!answered)
		snprintf(how, 128, "does not answer within %d seconds", seconds);
	else if (WIFSIGNALED(status))
		snprintf(how, 128, "crashes: %s", strsignal(WTERMSIG(status)));
	else
		snprintf(how, 128, "ends the process with exit code %d", WEXITSTATUS(status));
	return ended;
}
