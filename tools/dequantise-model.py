#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dequantise a GGUF file into a Hugging Face folder in float32: config.json, model.safetensors, tokenizer.json.

The numbers are the file's, so that a program gives the same tokens from both. The tokenizer is made of the file's tokens,
merges or scores: byte-level BPE with the split patterns of qwen2 and smollm, or SentencePiece's BPE.

  dequantise-model.py MODEL.gguf FOLDER

Needs: pip install torch transformers gguf tokenizers"""
import argparse
import importlib.util
import json
import pathlib
import sys

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

SPACE = "\u2581"


def reference_tool():
    path = pathlib.Path(__file__).resolve().parent / "export-reference.py"
    spec = importlib.util.spec_from_file_location("export_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def merges_from_scores(pieces, scores):
    """The pairs that SentencePiece would merge, best piece first; of one piece's pairs, that of the earlier pieces first."""
    ids, found = {p: i for i, p in enumerate(pieces)}, []
    for i, piece in enumerate(pieces):
        found += [(-scores[i], i, ids[piece[:n]], ids[piece[n:]]) for n in range(1, len(piece))
                  if piece[:n] in ids and piece[n:] in ids]
    return [(pieces[left], pieces[right]) for _, _, left, right in sorted(found)]


def tokenizer_from_scores(pieces, scores, special, unknown, bos, prefix):
    """What Transformers makes of a SentencePiece BPE model with byte fallback."""
    t = tokenizers.Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, merges_from_scores(pieces, scores),
                                        unk_token=unknown, fuse_unk=True, byte_fallback=True))
    replace = normalizers.Replace(" ", SPACE)
    t.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), replace]) if prefix else replace
    t.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
                                  + ([decoders.Strip(" ", 1, 0)] if prefix else []))
    t.add_special_tokens([pieces[i] for i in special])
    if bos is not None:
        t.post_processor = processors.TemplateProcessing(single=f"{pieces[bos]} $A", special_tokens=[(pieces[bos], bos)])
    return t


# How byte-level BPE cuts a text first, by tokenizer.ggml.pre
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CUTS = {"qwen2": lambda: [pre_tokenizers.Split(tokenizers.Regex(QWEN2_SPLIT), "isolated"),
                          pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
        "smollm": lambda: [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]}


def byte_level_tokenizer(tokens, merges, special, cut, nfc):
    t = tokenizers.Tokenizer(models.BPE({p: i for i, p in enumerate(tokens)}, [tuple(m.split(" ")) for m in merges]))
    if nfc:
        t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence(CUTS[cut]())
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([tokens[i] for i in special])
    return t


def tokenizer_of(m):
    """From a GGUF file's metadata."""
    key = lambda name: m.get("tokenizer.ggml." + name)
    tokens, special = key("tokens"), [i for i, kind in enumerate(key("token_type")) if kind in (2, 3, 4)]  # unknown, control, user
    if key("model") == "llama":
        prefix, begins = key("add_space_prefix") is not False, key("add_bos_token") is not False
        return tokenizer_from_scores(tokens, key("scores"), special, tokens[key("unknown_token_id") or 0],
                                     key("bos_token_id") if begins else None, prefix)
    if key("model") != "gpt2" or key("pre") not in CUTS:
        sys.exit(f"tokenizers of the kind {key('model')}, {key('pre')} are not made here")
    return byte_level_tokenizer(tokens, key("merges"), special, key("pre"), key("pre") == "qwen2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a .gguf file")
    parser.add_argument("folder", type=pathlib.Path, help="must not be there, or be empty")
    args = parser.parse_args()
    if args.folder.exists() and (not args.folder.is_dir() or any(args.folder.iterdir())):
        parser.error(f"{args.folder} is there and not an empty folder")
    import gguf
    tool = reference_tool()
    tokenizer = tokenizer_of(tool.Metadata(gguf.GGUFReader(args.model)))
    model, _, _ = tool.load(args.model, "float32")
    model.save_pretrained(args.folder)
    tokenizer.save(str(args.folder / "tokenizer.json"))
    (args.folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}) + "\n")


if __name__ == "__main__":
    main()
