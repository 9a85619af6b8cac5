/* SPDX-License-Identifier: Apache-2.0 */
/* A folder as Hugging Face has it, made of a GGUF file of the Llama family. */
#ifndef REAL_FOLDER_H
#define REAL_FOLDER_H

#include <plumb/model.h>

/* Dequantise the model's file into `folder`, which is there: config.json and model.safetensors with weights
 * in F32, or rounded to BF16; rows of queries and keys in Hugging Face's order. No tokenizer. */
void real_folder_write(const struct plumb_model *model, bool bf16, const char *folder);

#endif
