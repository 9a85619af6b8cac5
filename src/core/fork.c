/* SPDX-License-Identifier: Apache-2.0 */
/* Does a context belong to this process, or to one that has forked? A child has the memory of its parent, but
 * none of its threads, and no device of it. */
#include <pthread.h>
#include "core/core.h"

static atomic_uint forks;

static void fork_count(void) { atomic_fetch_add(&forks, 1); }

static void fork_watch_forks(void) { pthread_atfork(NULL, NULL, fork_count); }

unsigned plumb_forks(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, fork_watch_forks);
	return atomic_load_explicit(&forks, memory_order_relaxed);
}

enum plumb_status plumb_fail_lost(const struct plumb_driver *driver)
{
	return plumb_fail(PLUMB_E_DEVICE,
		"driver %s was opened before this process was forked, and its device did not come along: open a context here",
		driver->cls->name);
}
