#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Copy the tokenizer of a GGUF, without tensors, for tests/check_text.c.

usage: tools/make-vocab.py MODEL.gguf OUT.gguf      (needs the gguf package)"""
import os
import sys

from gguf import GGUFReader, GGUFValueType, GGUFWriter


def main(source, target):
    reader = GGUFReader(source)
    writer = GGUFWriter(target + ".tmp", reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if not key.startswith("tokenizer."):
            continue
        kind = field.types[0]
        if kind == GGUFValueType.ARRAY:
            writer.add_key_value(key, field.contents(), kind, field.types[-1])
        else:
            writer.add_key_value(key, field.contents(), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    os.replace(target + ".tmp", target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
