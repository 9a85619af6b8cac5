/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of check_folder share. */
#ifndef FOLDER_PARTS_H
#define FOLDER_PARTS_H

#include "make.h"

TCase *folder_config_tests(void);  /* config.c */
TCase *folder_family_tests(void);  /* families.c */
TCase *folder_hostile_tests(void); /* hostile.c */

/* A metadata value as text, "[1,2]" of an array; NULL: there is none. Valid until the next call. */
const char *folder_value(const struct plumb_file *file, const char *key);
/* A folder with this config.json and, in one file, the embedding, {4, 8}, and `more` (NULL: nothing). */
void folder_write(const char *config, const struct made_tensor *more);

#endif
