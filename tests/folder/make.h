/* SPDX-License-Identifier: Apache-2.0 */
/* Model folders that a test makes, as Hugging Face's tools would: one on disk at a time. */
#ifndef FOLDER_MAKE_H
#define FOLDER_MAKE_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../suite.h"

extern char made_folder[64]; /* check_folder.c */

static inline void folder_begin(void)
{
	static const char form[] = "/tmp/plumb-folder-XXXXXX";
	memcpy(made_folder, form, sizeof form);
	ck_assert_ptr_nonnull(mkdtemp(made_folder));
}

static inline const char *folder_path(const char *name)
{
	static char path[4][512];
	static int next;
	char *p = path[next++ % 4];
	snprintf(p, sizeof path[0], "%s/%s", made_folder, name);
	return p;
}

static inline void folder_put(const char *name, const void *bytes, size_t n)
{
	FILE *f = fopen(folder_path(name), "wb");
	ck_assert(f && fwrite(bytes, 1, n, f) == n && !fclose(f));
}

static inline void folder_text(const char *name, const char *text) { folder_put(name, text, strlen(text)); }

/* Everything in it, and itself. */
static inline void folder_end(void)
{
	DIR *d = opendir(made_folder);
	ck_assert_ptr_nonnull(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			ck_assert_int_eq(unlink(folder_path(e->d_name)), 0);
	closedir(d);
	ck_assert_int_eq(rmdir(made_folder), 0);
}

/* --- safetensors --- */

struct made_tensor {
	const char *name, *dtype;
	int64_t dim[2]; /* dim[1] 0: a vector */
	const void *data;
	size_t bytes;
};

static inline void folder_safetensors(const char *name, const struct made_tensor *t, int n)
{
	char *head = calloc(1, 64 + 256 * (size_t)n);
	size_t at = 0, used = 1;
	ck_assert_ptr_nonnull(head);
	head[0] = '{';
	for (int i = 0; i < n; i++) {
		char shape[64];
		snprintf(shape, sizeof shape, t[i].dim[1] ? "%lld,%lld" : "%lld", (long long)t[i].dim[0],
			(long long)t[i].dim[1]);
		used += (size_t)sprintf(head + used,
			"%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", i ? "," : "", t[i].name,
			t[i].dtype, shape, at, at + t[i].bytes);
		at += t[i].bytes;
	}
	head[used++] = '}';
	while (used % 8)
		head[used++] = ' ';
	FILE *f = fopen(folder_path(name), "wb");
	const uint64_t length = used;
	ck_assert(f && fwrite(&length, 8, 1, f) == 1 && fwrite(head, 1, used, f) == used);
	for (int i = 0; i < n; i++)
		ck_assert(fwrite(t[i].data, 1, t[i].bytes, f) == t[i].bytes);
	ck_assert(!fclose(f));
	free(head);
}

#endif
