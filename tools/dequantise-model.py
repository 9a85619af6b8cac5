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


def add_tokens(t, tokens, kinds):
    """By llama.cpp's kinds: 2 and 3 (unknown, control) are special, 4 (user defined) is only kept whole."""
    t.add_special_tokens([tokens[i] for i, kind in enumerate(kinds) if kind in (2, 3)])
    t.add_tokens([tokenizers.AddedToken(tokens[i], normalized=False) for i, kind in enumerate(kinds) if kind == 4])


def tokenizer_from_scores(pieces, scores, kinds, unknown, bos, prefix):
    """What Transformers makes of a SentencePiece BPE model with byte fallback."""
    t = tokenizers.Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, merges_from_scores(pieces, scores),
                                        unk_token=unknown, fuse_unk=True, byte_fallback=True))
    replace = normalizers.Replace(" ", SPACE)
    t.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), replace]) if prefix else replace
    t.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
                                  + ([decoders.Strip(" ", 1, 0)] if prefix else []))
    add_tokens(t, pieces, kinds)
    if bos is not None:
        t.post_processor = processors.TemplateProcessing(single=f"{pieces[bos]} $A", special_tokens=[(pieces[bos], bos)])
    return t


# How byte-level BPE cuts a text first, by tokenizer.ggml.pre
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
               r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CUTS = {"qwen2": lambda: [pre_tokenizers.Split(tokenizers.Regex(QWEN2_SPLIT), "isolated"),
                          pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)],
        "smollm": lambda: [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]}


def byte_level_tokenizer(tokens, merges, kinds, cut, nfc):
    t = tokenizers.Tokenizer(models.BPE({p: i for i, p in enumerate(tokens)}, [tuple(m.split(" ")) for m in merges]))
    if nfc:
        t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence(CUTS[cut]())
    t.decoder = decoders.ByteLevel()
    add_tokens(t, tokens, kinds)
    return t


def tokenizer_of(m):
    """From a GGUF file's metadata."""
    key = lambda name: m.get("tokenizer.ggml." + name)
    tokens, kinds = key("tokens"), key("token_type")
    if key("model") == "llama":
        prefix, begins = key("add_space_prefix") is not False, key("add_bos_token") is not False
        return tokenizer_from_scores(tokens, key("scores"), kinds, tokens[key("unknown_token_id") or 0],
                                     key("bos_token_id") if begins else None, prefix)
    if key("model") != "gpt2" or key("pre") not in CUTS:
        sys.exit(f"tokenizers of the kind {key('model')}, {key('pre')} are not made here")
    return byte_level_tokenizer(tokens, key("merges"), kinds, key("pre"), key("pre") == "qwen2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a .gguf file")
    parser.add_argument("folder", type=pathlib.Path, help="must not be there, or be empty")
    args = parser.parse_args()
    if args.folder.exists() and (not args.folder.is_dir() or any(args.folder.iterdir())):
        parser.error(f"{args.folder} is there and not an empty folder")
    import gguf
    tool = reference_tool()
    m = tool.Metadata(gguf.GGUFReader(args.model))
    tokenizer = tokenizer_of(m)
    model, _, _ = tool.load(args.model, "float32")
    model.save_pretrained(args.folder)
    tokenizer.save(str(args.folder / "tokenizer.json"))
    named = {f"{n}_token": m["tokenizer.ggml.tokens"][m[f"tokenizer.ggml.{n}_token_id"]]
             for n in ("bos", "eos", "unknown") if f"tokenizer.ggml.{n}_token_id" in m}
    if "unknown_token" in named:
        named["unk_token"] = named.pop("unknown_token")
    (args.folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **named}, indent=1) + "\n")
    if "tokenizer.chat_template" in m:
        (args.folder / "chat_template.jinja").write_text(m["tokenizer.chat_template"])


if __name__ == "__main__":
    main()
