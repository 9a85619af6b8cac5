#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make tests/data/real/NAME of a real model: what Transformers computes of the dequantised file.

  expected.json           greedy continuations, mean negative log-likelihoods of GPL-3.txt, texts with their token ids
  components.safetensors  every point but scores and softmax of every layer at the last position of a prompt, computed in
                          float64 and rounded once; Q and K in the file's order

A continuation ends before the first step whose two best logits are closer than 0.02. Likelihoods: as tests/data/real/README.md
tells; where the file asks for a BOS token, that is the first of the n ids. A file with windows gets a prompt beyond them.

  make-real-reference.py MODEL.gguf FOLDER          (minutes; 12 bytes of memory a parameter)
  make-real-reference.py --layers 0,1,2,27 ...      keep the points of these layers only

Needs: pip install torch transformers gguf tokenizers"""
import argparse
import hashlib
import importlib.util
import json
import pathlib

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = ["Hello, world!", " leading", "two  blanks\n\n\nand\ttabs ", "12345 67.8", "don't we'RE", "naïve — 日本語 🙂",
         "x = y[i]; // ok\r\n", "The quick brown fox jumps over the lazy dog."]
CHATS = ["What is the capital of France?", "Write a haiku about pipes.", "用一句话解释什么是递归。"]
PLAIN = ["The capital of France is", "Once upon a time, there was a", "def fibonacci(n):\n"]
BEYOND = 40  # positions, of a window


def sibling(name):
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prompts_of(tokenizer, m, text):
    """[(name, ids)]; the last one is that of the components."""
    template, window = m.get("tokenizer.chat_template"), m["attention.sliding_window"]
    if template:
        import jinja2
        made = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(template)
        told = [(chat, made.render(messages=[{"role": "user", "content": chat}], add_generation_prompt=True)) for chat in CHATS]
    else:
        told = [(plain, plain) for plain in PLAIN]
    found = [(name, tokenizer.encode(t).ids) for name, t in told]
    return found + ([(f"GPL-3 first {window + BEYOND}", text[:window + BEYOND])] if window else [])


def greedy(model, ids, n, end):
    ids, start, margins = list(ids), len(ids), []
    for _ in range(n):
        top = model(torch.tensor([ids]), use_cache=False, logits_to_keep=1).logits[0, -1].topk(2)
        margins.append(float(top.values[0] - top.values[1]))
        if margins[-1] < 0.02:
            margins.pop()
            break
        ids.append(int(top.indices[0]))
        if ids[-1] == end:
            break
    return {"next": ids[start:], "margin": round(min(margins), 4)}


def likelihood(model, ids):
    hidden, found = model.model(torch.tensor([ids]), use_cache=False).last_hidden_state[0], []
    for at in range(0, len(ids) - 1, 128):
        rows = model.lm_head(hidden[at:at + 128]).double().log_softmax(-1)
        targets = torch.tensor(ids[at + 1:at + 129])
        found.append(-rows[:len(targets)].gather(1, targets[:, None])[:, 0])
    nll = torch.cat(found)
    return {"n_tokens": len(ids), "first_ids": ids[:16], "mean_nll": float(nll.mean()),
            "mean_nll_last_half": float(nll[-(len(ids) // 2):].mean())}


def kept(name, layers):
    return not layers or "." not in name or name.split(".")[0][1:] in layers.split(",")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--layers", help="keep the points of these layers only, and those outside layers")
    args = parser.parse_args()
    import gguf
    tool, dequantise = sibling("export-reference"), sibling("dequantise-model")
    torch.set_grad_enabled(False)
    m = tool.Metadata(gguf.GGUFReader(args.model))
    tokenizer = dequantise.tokenizer_of(m)
    model, _, interleaved = tool.load(str(args.model), "float32")
    text = tokenizer.encode((ROOT / "tests/data/real/GPL-3.txt").read_text()).ids
    prompts, data = prompts_of(tokenizer, m, text), args.model.read_bytes()
    expected = {"model": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}, "greedy": [], "nll": {},
                "texts": [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False).ids} for t in TEXTS]}
    for name, ids in prompts:
        expected["greedy"].append({"prompt": name, "ids": ids, **greedy(model, ids, 32, m.get("tokenizer.ggml.eos_token_id"))})
        print(name, tokenizer.decode(expected["greedy"][-1]["next"]), expected["greedy"][-1]["margin"], flush=True)
    for n in (512, 1024):
        expected["nll"][f"GPL-3 first {n}"] = likelihood(model, text[:n])
        print(n, expected["nll"][f"GPL-3 first {n}"]["mean_nll"], flush=True)
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    ids = prompts[-1][1]
    taps = tool.capture(model.double(), ids, True, interleaved)
    last = {n: a[-1:] for n, a in taps.items() if not n.endswith(("attn_scores", "attn_softmax")) and kept(n, args.layers)}
    tool.write_safetensors(args.folder / "components.safetensors", last, {
        "token_ids": ids, "position": len(ids) - 1, "dtype": "float32", "convention": "raw", "model": args.model.name,
        "rope_pairs": "interleaved" if interleaved else "half", "model_hash": tool.fingerprint(args.model),
        "made_by": "make-real-reference.py: Transformers in float64, rounded to float32"})


if __name__ == "__main__":
    main()
