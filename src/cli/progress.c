/* SPDX-License-Identifier: Apache-2.0 */
/* Time, Ctrl-C, and the line of progress on a terminal. */
#include "cli/cli.h"
#include <signal.h>
#include <time.h>
#include <unistd.h>

double cli_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

atomic_int cli_cancel; /* lock-free, so a signal handler may set it */
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "the flag of a signal handler is not lock-free");

bool cli_cancelled(void *user)
{
	(void)user;
	return cli_cancel != 0;
}

static void progress_interrupt(int signal_number) { cli_cancel = signal_number; }

void cli_catch_interrupt(void)
{
	struct sigaction action = { .sa_handler = progress_interrupt, .sa_flags = (int)SA_RESETHAND };
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

void cli_hold_signals(sigset_t *before)
{
	sigset_t ours;
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigprocmask(SIG_BLOCK, &ours, before);
}

static double progress_start, stage_start, progress_last;
static bool progress_shown;

void cli_progress(const char *what, double done, double total)
{
	static double before; /* going back means that something else has begun */
	double now = cli_seconds();
	double share = total > 0 ? done / total : 1;
	if (!progress_start)
		progress_start = stage_start = now;
	else if (share < before)
		stage_start = now;
	before = share;
	if (!isatty(STDERR_FILENO) || now - progress_start < 2 || (now - progress_last < 0.1 && done < total))
		return;
	progress_last = now;
	progress_shown = true;
	fprintf(stderr, "\r\033[K%s: %3.0f%%", what, 100 * share);
	if (done > 0 && done < total)
		fprintf(stderr, ", %.0f s left", (now - stage_start) * (total - done) / done);
	fflush(stderr);
}

void cli_progress_end(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
	progress_start = 0;
}
