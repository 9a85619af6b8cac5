/* SPDX-License-Identifier: Apache-2.0 */
/* How many threads this process should have: one for each CPU that it may run on, and no more than the CPU
 * time of its control groups gives: a container of 2 CPUs on a machine of 64 sees all 64, and is stopped for
 * most of the time if it keeps them busy. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core/core.h"

#define MOST 256

bool plumb_read_line(const char *root, const char *path, char *line, int size)
{
	char whole[2048];
	if ((size_t)snprintf(whole, sizeof whole, "%s%s", root, path) >= sizeof whole)
		return false;
	FILE *f = fopen(whole, "re");
	bool got = f && fgets(line, size, f);
	if (f)
		fclose(f);
	return got;
}

/* CPUs of one group, begun ones count; MOST: no limit. A group of version 2 has "quota period", or "max
 * period", in one file. */
static int threads_cpus_of(const char *root, const char *group, bool v2)
{
	char path[1200], line[64];
	long long quota = 0, period = 0;
	if (v2) {
		snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
		if (!plumb_read_line(root, path, line, sizeof line) ||
			sscanf(line, "%lld %lld", &quota, &period) != 2)
			return MOST;
	} else {
		snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", group);
		if (!plumb_read_line(root, path, line, sizeof line) || sscanf(line, "%lld", &quota) != 1)
			return MOST;
		snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", group);
		if (!plumb_read_line(root, path, line, sizeof line) || sscanf(line, "%lld", &period) != 1)
			return MOST;
	}
	if (quota <= 0 || period <= 0 || quota / period >= MOST)
		return MOST;
	return (int)(quota / period + (quota % period != 0));
}

/* The least of a group and those above it. Inside a container the upper part of the path may not be there. */
static int threads_cpus_above(const char *root, char *group, bool v2)
{
	int least = MOST;
	for (char *end = group + strlen(group); end; end = strrchr(group, '/')) {
		*end = 0;
		int n = threads_cpus_of(root, group, v2);
		least = n < least ? n : least;
	}
	return least;
}

int plumb_cpus_of_groups(const char *root)
{
	char path[1024], line[1024];
	int least = MOST;
	if ((size_t)snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= sizeof path)
		return MOST;
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f)) { /* "0::/group" or "4:cpu,cpuacct:/group" */
		char *controllers = strchr(line, ':'), *group = controllers ? strchr(++controllers, ':') : NULL;
		line[strcspn(line, "\n")] = 0;
		if (!group)
			continue;
		*group++ = 0;
		bool v2 = !*controllers, cpu = v2;
		for (char *next, *word = controllers; !cpu && word; word = next) {
			if ((next = strchr(word, ',')))
				*next++ = 0;
			cpu = !strcmp(word, "cpu");
		}
		int n = cpu ? threads_cpus_above(root, group, v2) : MOST;
		least = n < least ? n : least;
	}
	if (f)
		fclose(f);
	return least;
}

int plumb_cpus_of_mask(int (*get)(size_t bytes, void *mask))
{
	int code = EINVAL;
	for (int cpus = CPU_SETSIZE; code == EINVAL && cpus <= 1 << 22;
		 cpus *= 2) { /* CPU_SETSIZE is 1024, a system may have more */
		size_t bytes = CPU_ALLOC_SIZE(cpus);
		cpu_set_t *set = CPU_ALLOC(cpus);
		if (!set)
			break;
		code = get(bytes, set);
		int n = code ? 0 : CPU_COUNT_S(bytes, set);
		CPU_FREE(set);
		if (n > 0)
			return n;
	}
	long n = sysconf(_SC_NPROCESSORS_ONLN); /* no affinity here, or none that is told: those of the system */
	return n < 1 ? 1 : n > 1 << 22 ? 1 << 22 : (int)n;
}

static int threads_affinity(size_t bytes, void *mask)
{
	return sched_getaffinity(0, bytes, mask) ? errno : 0;
}

int plumb_cpus_allowed(void)
{
	int n = plumb_cpus_of_mask(threads_affinity), most = plumb_cpus_of_groups("");
	return n < 1 ? 1 : n < most ? n : most;
}
