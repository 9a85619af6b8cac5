/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the values of a run as a reference that open.c and others can read: .bin files of the last
 * position, or one safetensors file of all, with a manifest. The files are made in a folder of their own
 * beside the target, which is renamed when complete. */
#ifndef PLUMB_DIAG_WRITE_H
#define PLUMB_DIAG_WRITE_H

#include <dirent.h>
#include "diag/reference/capture.h"

/* The points that .bin files are of. */
#define PLUMB_POINTS_BINS (1u << PLUMB_POINT_EMBEDDINGS | 1u << PLUMB_POINT_OUTPUT | 1u << PLUMB_POINT_LOGITS)

struct plumb_writer {
	bool bins;       /* .bin files, else safetensors */
	unsigned points; /* bits of those to be written; the run may have more */
	/* For the manifest. Texts are borrowed. */
	const int32_t *tokens;
	int64_t n;
	const char *dtype, *model, *driver, *fault; /* fault NULL: none */
	char model_hash[32];
	/* Set by plumb_writer_begin. */
	const char *path;
	char folder[1100]; /* where the files are made */
	DIR *dir; /* that folder, opened while there was memory: a failure for want of it must still discard */
};
/* Make the folder. PLUMB_E_IO: it cannot be made. Then there is nothing to end. */
enum plumb_status plumb_writer_begin(struct plumb_writer *w, const char *path);
/* Write everything and give the folder its final name. */
enum plumb_status plumb_writer_finish(const struct plumb_writer *w, const struct plumb_capture *run);
/* complete: plumb_writer_finish was successful; else all files and the folder are removed. */
void plumb_writer_end(struct plumb_writer *w, bool complete);

#endif
