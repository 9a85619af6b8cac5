#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fill tests/data/real, what the tests of the real model compare with, from the folder of reference data.

Copied as they are: expected.json, hello-components.safetensors, the folders {hello,chat}-{fp32,bf16}
and the text GPL-3.txt; meta.json becomes reference.json. chat-components.safetensors is reduced from 21 MB to 12: layers 0, 2 and 22 keep their
points (0: the plain case, 2: writes the massive activation, 22: takes it away), layers 21 and 23 only `output`,
and layers 2 and 22 drop ffn_gate and ffn_up: any error in them is in ffn_act, silu(gate) * up, and neither
depends on the position, so that hello-components has them for every layer. Bytes are copied, never converted.

--verify MODEL.gguf runs Transformers on the dequantised model (about 10 minutes, 10 GB) and prints how the NLL
was taken, whether the greedy continuations hold, and how far the fp32 sets are from a float64 run. With
--exact FOLDER it writes that float64 run, rounded to float32, as {hello,chat}-exact.safetensors: the tensors of
the component files (chat without ffn_*) and q_rope, k_rope, attn_scores, attn_softmax (-inf where masked).

Needs nothing but Python; --verify needs: pip install torch transformers gguf numpy safetensors tokenizers"""
import argparse
import json
import pathlib
import re
import shutil
import struct

WHOLE_LAYER, NARROW_LAYERS = "0", ("2", "22")
FOLDERS = ["hello-fp32", "hello-bf16", "chat-fp32", "chat-bf16"]
UNTOLD = "hello-bf16"  # goes without a manifest, so that tests find its token from its embeddings
FILES = ["expected.json", "hello-components.safetensors"]


def kept(name):
    point = re.fullmatch(r"L(\d+)\.(\w+)", name)
    if not point or point[2] == "output" or point[1] == WHOLE_LAYER:
        return True
    return point[1] in NARROW_LAYERS and point[2] not in ("ffn_gate", "ffn_up")


def write_manifest(source, target):
    """What meta.json tells, in the words of reference.json."""
    meta = json.loads(source.read_text())
    told = {key: meta[key] for key in ("token_ids", "position", "dtype")}
    told.update(convention="hf", model="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", model_hash="fnv1a64:81a1945bc3bffb4d",
                made_by="torch 2.15, transformers 5.23")
    target.write_text("{\n" + ",\n".join(f' "{k}": {json.dumps(v)}' for k, v in told.items()) + "\n}\n")


def reduce_components(source, target):
    data = source.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    old = json.loads(data[8:start])
    new, parts, at = {"__metadata__": old.pop("__metadata__")}, [], 0
    for name in sorted(filter(kept, old), key=lambda n: old[n]["data_offsets"]):
        first, last = old[name]["data_offsets"]
        parts.append(data[start + first:start + last])
        new[name] = dict(old[name], data_offsets=[at, at + last - first])
        at += last - first
    text = json.dumps(new, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    target.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    return len(old), len(new) - 1


# ---- --verify ----
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def tokens_of(fields, text):
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    vocabulary = {s: i for i, s in enumerate(fields["tokenizer.ggml.tokens"].contents())}
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer.encode(text, add_special_tokens=False).ids


def load_helpers():
    """make-test-model.py has the Transformers part; its name is no module name."""
    import importlib.util
    path = pathlib.Path(__file__).with_name("make-test-model.py")
    spec = importlib.util.spec_from_file_location("make_test_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def exact_points(name, component_names, layers):
    """Names for the exact set: what the fp32 set has, and what only attention sees."""
    wanted = [n for n in component_names if name == "hello" or ".ffn_" not in n]
    return wanted + [f"L{i}.{p}" for i in layers for p in ("q_rope", "k_rope", "attn_scores", "attn_softmax")]


def verify(folder, path, exact):
    import gguf
    import torch
    from safetensors.torch import load_file
    t = load_helpers()
    reader = gguf.GGUFReader(path)
    weights = {x.name: gguf.dequantize(x.data, x.tensor_type).reshape([int(d) for d in x.shape[::-1]])
               for x in reader.tensors}
    model = t.torch_model(weights, layers=24, hidden=896, ffn=4864, heads=14, kv_heads=2, base=1e6, context=32768,
                          eps=1e-6)
    expected = json.loads((folder / "expected.json").read_text())
    ids = tokens_of(reader.fields, (folder / "GPL-3.txt").read_text())
    for n in (512, 2048):
        want = expected["nll"][f"GPL-3 first {n}"]
        rows = t.run(model, ids[:n])[:-1].double().log_softmax(-1)
        nll = -rows.gather(1, torch.tensor(ids[1:n])[:, None])[:, 0]
        print(f"NLL of {n} tokens: mean of {len(nll)}: {nll.mean():.9f} (expected {want['mean_nll']:.9f}), last"
              f" {n // 2}: {nll[-(n // 2):].mean():.9f} ({want['mean_nll_last_half']:.9f})", flush=True)
    for case in expected["greedy"]:
        new, margin = t.greedy(model, case["ids"], len(case["next"]))
        print(f"greedy after {len(case['ids'])} tokens: {'same' if new == case['next'] else 'DIFFERS'}, least margin"
              f" {margin:.4f}", flush=True)
    model = model.double()
    for name, prompt in (("hello", [9707]), ("chat", expected["chat_ids"])):
        truth = t.capture(model, prompt)
        truth["last_logits"] = truth["logits"][-1]
        reference = load_file(folder / f"{name}-components.safetensors")
        if exact:
            layers = range(24) if name == "hello" else (WHOLE_LAYER, *NARROW_LAYERS)
            points = exact_points(name, sorted(reference), layers)
            exact.mkdir(parents=True, exist_ok=True)
            t.write_safetensors(
                exact / f"{name}-exact.safetensors", {p: truth[p].float().numpy() for p in points},
                {"token_ids": json.dumps(prompt), "made_by": "Transformers in float64, rounded to float32"})
        rows = []
        for point, found in reference.items():
            right = truth[point].reshape(found.shape)
            row = ((found.double() - right).norm(dim=-1) / right.norm(dim=-1)).max()
            rows.append((t.relative(found, right), float(row), point))
        rows.sort(reverse=True)
        over = sum(r[0] > 1e-6 for r in rows)
        print(f"{name}: {over} of {len(rows)} tensors are over 1e-6; worst (relative L2 of tensor, of its worst row):")
        for row in rows[:10]:
            print("   %.2e %.2e %s" % row, flush=True)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", nargs="?", type=pathlib.Path, help="folder of the reference data; copies from it")
    parser.add_argument("--to", type=pathlib.Path, default=root / "tests" / "data" / "real")
    parser.add_argument("--text", type=pathlib.Path, default="/usr/share/common-licenses/GPL-3")
    parser.add_argument("--verify", metavar="MODEL.gguf", help="check what is in the folder against the model")
    parser.add_argument("--exact", metavar="FOLDER", type=pathlib.Path, help="with --verify: keep the float64 run there")
    args = parser.parse_args()
    if not args.reference and not args.verify:
        parser.error("nothing to do: give a reference folder, --verify, or both")
    if args.reference:
        args.to.mkdir(parents=True, exist_ok=True)
        pairs = [(args.text, args.to / "GPL-3.txt")] + [(args.reference / f, args.to / f) for f in FILES]
        for folder in FOLDERS:
            (args.to / folder).mkdir(exist_ok=True)
            pairs += [(f, args.to / folder / f.name) for f in sorted((args.reference / folder).glob("*.bin"))]
            if folder != UNTOLD:
                write_manifest(args.reference / folder / "meta.json", args.to / folder / "reference.json")
        for source, target in pairs:
            shutil.copyfile(source, target)
        had, have = reduce_components(args.reference / "chat-components.safetensors",
                                      args.to / "chat-components.safetensors")
        print(f"chat-components: {have} of {had} tensors,"
              f" {(args.to / 'chat-components.safetensors').stat().st_size} bytes")
    if args.verify:
        verify(args.to, args.verify, args.exact)


if __name__ == "__main__":
    main()
