/* SPDX-License-Identifier: Apache-2.0 */
/* May this user open the nodes through which GPUs are reached? */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cl/doctor/doctor.h"

static bool node_check(struct plumb_doctor *d, const char *path)
{
	struct stat st;
	char advice[256];
	if (stat(path, &st))
		return false;
	if (!access(path, R_OK | W_OK)) {
		PLUMB_SAY_OK(d, "node", "%s may be used", path);
		return true;
	}
	struct group *g = getgrgid(st.st_gid);
	snprintf(advice, sizeof advice, "join the node's group and log in again: sudo usermod -aG %s $USER",
		g ? g->gr_name : "render");
	PLUMB_SAY_WARNING(d, "node", advice, "%s may not be opened: %s", path, strerror(errno));
	return true;
}

void plumb_doctor_nodes(struct plumb_doctor *d)
{
	char path[300];
	int found = 0;
	struct dirent *e;
	DIR *dri = opendir("/dev/dri");
	while (dri && (e = readdir(dri)))
		if (!strncmp(e->d_name, "renderD", 7)) {
			snprintf(path, sizeof path, "/dev/dri/%s", e->d_name);
			found += node_check(d, path);
		}
	if (dri)
		closedir(dri);
	found += node_check(d, "/dev/kfd");
	found += node_check(d, "/dev/nvidiactl");
	for (int i = 0; i < 16; i++) {
		snprintf(path, sizeof path, "/dev/nvidia%d", i);
		found += node_check(d, path);
	}
	if (!found)
		PLUMB_SAY_OK(d, "node",
			"no GPU shows (no /dev/dri/renderD*, /dev/kfd, /dev/nvidia*): only CPU devices can work");
}
