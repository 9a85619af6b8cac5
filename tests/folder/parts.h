/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of check_folder share. */
#ifndef FOLDER_PARTS_H
#define FOLDER_PARTS_H

#include "make.h"

TCase *folder_config_tests(void);  /* config.c */
TCase *folder_family_tests(void);  /* families.c */
TCase *folder_hostile_tests(void); /* hostile.c */
TCase *folder_tensor_tests(void);  /* tensors.c */

/* A config.json that all types take, and more keys, each with a comma in front. */
#define SIZES \
	"\"hidden_size\":8,\"intermediate_size\":16,\"num_hidden_layers\":4,\"num_attention_heads\":2," \
	"\"vocab_size\":4,\"tie_word_embeddings\":true"
#define OF(type, more) "{\"model_type\":\"" type "\"," SIZES more "}"

/* A metadata value as text, "[1,2]" of an array; NULL: there is none. Valid until the next call. */
const char *folder_value(const struct plumb_file *file, const char *key);
/* A folder with this config.json and, in one file, the embedding, {4, 8}, and `more` (NULL: nothing). */
void folder_write(const char *config, const struct made_tensor *more);

#endif
