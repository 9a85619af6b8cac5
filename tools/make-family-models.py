#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make tests/data/families: a small random model of every family, as a Hugging Face folder and as GGUF, with what
Transformers computes of it.

  NAME/hf/                        config.json, weights, tokenizer as models of this family come
  NAME/model.gguf                 what llama.cpp's convert_hf_to_gguf.py makes of the folder, and EXTRA_KEYS
  NAME/reference.safetensors      every point of a prompt in float32, Q and K as the folder has them
  NAME/reference-gguf.safetensors the same for files that interleave Q and K
  NAME/reference-long.safetensors of a prompt beyond the original context, where the family has two regimes of RoPE
  NAME/expected.json              prompt, greedy continuation, texts with their token ids

Every value is representable in bfloat16 and float16. Every feature of a row is proven to matter: the logits without it
differ by more than 1e-2 (relative L2), else the script stops. The greedy continuation has margins over 1 %.

  make-family-models.py --llama-cpp DIR [NAME ...]   DIR holds convert_hf_to_gguf.py and conversion/: vendor/llama.cpp in the
                                                     source package llama-cpp-python 0.3.36

Needs: pip install torch transformers gguf tokenizers sentencepiece safetensors"""
import argparse
import copy
import importlib.util
import io
import json
import logging
import math
import os
import pathlib
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import sentencepiece
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent


def sibling(name):
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference, dequantise = sibling("export-reference"), sibling("dequantise-model")
POSITIONS, NEXT = 16, 16
ORIGINAL = 22  # context of the family with two regimes of RoPE
TEXT = (ROOT / "tests/data/real/GPL-3.txt").read_text()[2000:12000]
PROMPT = "The licenses for most software are designed to take away your freedom to share and change it, 1984 times."
TEXTS = ["Hello, world!", " leading", "two  blanks\n\n\nand\ttabs ", "12345 67.8", "don't we'RE", "naïve — 日本語 🙂", "",
         "x = y[i]; // ok\r\n"]

# ---- rows ----
QWEN_SPLIT = dequantise.QWEN2_SPLIT
LLAMA_SPLIT = QWEN_SPLIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
GPT4O_SPLIT = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
               r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
               r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# byte-level: name that llama.cpp has for it, split pattern (None: GPT-2's with single digits), NFC, special tokens
BYTE_LEVEL = {
    "qwen2": (QWEN_SPLIT, True, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None),
    "llama-bpe": (LLAMA_SPLIT, False, ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], "<|begin_of_text|>"),
    "smollm": (None, False, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None),
    "refact": (None, False, ["<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>"], None),
    "gpt-4o": (GPT4O_SPLIT, False, ["<|endoftext|>", "<|user|>", "<|end|>"], None),
    "dbrx": (LLAMA_SPLIT, False, ["<|endoftext|>", "<|pad|>"], None),
}
SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, rms_norm_eps=1e-5)
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64}
GEMMA = dict(SIZES, head_dim=16, num_key_value_heads=1, intermediate_size=40, rms_norm_eps=1e-6, sliding_window=8,
             hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=24, rope_theta=1000000.0, rope_local_base_freq=10.0)


def longrope(half):
    return {"type": "longrope", "short_factor": [1.0 + 0.25 * i for i in range(half)],
            "long_factor": [1.5 + 1.75 * i for i in range(half)]}


# What a port may leave out or get wrong; each is a change of config.json, of the weights or of the loaded model
def config(**values):
    return lambda c: c.update(values)


def weights(suffix, change):
    def apply(w):
        found = [k for k in w if k.endswith(suffix)]
        assert found, suffix
        for k in found:
            w[k] = change(w[k])
    return apply


def without(*modules):
    def apply(model):
        for layer in model.model.layers:
            for name in modules:
                parent, _, leaf = name.rpartition(".")
                setattr(layer.get_submodule(parent), leaf, torch.nn.Identity())
    return apply


def pairs_interleaved(model):
    c = model.config
    for layer in model.model.layers:
        for name, heads in (("q_proj", c.num_attention_heads), ("k_proj", c.num_key_value_heads)):
            weight = getattr(layer.self_attn, name).weight
            weight.copy_(reference.interleave(weight.T, heads).T)


def embeddings_not_scaled(model):
    model.model.embed_tokens.embed_scale = torch.tensor(1.0)


ONE, ZERO = torch.ones_like, torch.zeros_like
NORMS = {"input norm's weight": ("weights", weights("input_layernorm.weight", ONE)),
         "FFN norm's weight": ("weights", weights("post_attention_layernorm.weight", ONE)),
         "final norm's weight": ("weights", weights("model.norm.weight", ONE))}
PAIRS = {"RoPE over halves, not neighbours": ("model", pairs_interleaved)}
BIASES = {"biases of " + p: ("weights", weights(p + "_proj.bias", ZERO)) for p in "qkv"}
QK = {"q_norm": ("model", without("self_attn.q_norm")), "k_norm": ("model", without("self_attn.k_norm"))}
GEMMA_FEATURES = PAIRS | QK | {
    "weights of norms are 1 + w": ("weights", weights("norm.weight", lambda w: w - 1)),
    "embeddings scaled": ("model", embeddings_not_scaled),
    "norm after attention": ("model", without("post_attention_layernorm")),
    "norm before the FFN": ("model", without("pre_feedforward_layernorm")),
    "norm after the FFN": ("model", without("post_feedforward_layernorm")),
    "query_pre_attn_scalar": ("config", config(query_pre_attn_scalar=16)),
    "GELU, not SiLU": ("config", config(hidden_activation="silu")),
    "window": ("config", config(sliding_window=4096)),
    "RoPE base of window layers": ("config", config(rope_local_base_freq=1000000.0)),
    "RoPE base of full layers": ("config", config(rope_theta=10.0)),
}

ROWS = {  # name: config, tokenizer, features, dtype of the folder, number of its files
    "qwen2": dict(
        config=dict(SIZES, model_type="qwen2", rope_theta=10000.0, tie_word_embeddings=True, use_sliding_window=False,
                    sliding_window=8, max_window_layers=4),
        tokenizer="qwen2", features=NORMS | PAIRS | BIASES),
    "qwen2-yarn": dict(
        config=dict(SIZES, model_type="qwen2", num_hidden_layers=3, rope_theta=1000.0, tie_word_embeddings=False,
                    max_position_embeddings=128, rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
        tokenizer="qwen2", features={"YaRN": ("config", config(rope_scaling=None)),
                                     "YaRN, not linear": ("config", config(rope_scaling={"type": "linear", "factor": 4.0}))}),
    "qwen3": dict(
        config=dict(SIZES, model_type="qwen3", head_dim=16, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
                    tie_word_embeddings=True, padded_vocab=8),
        tokenizer="qwen2", features=NORMS | PAIRS | QK, files=2),
    "llama": dict(
        config=dict(SIZES, model_type="llama", head_dim=8, rope_theta=1000.0, rope_scaling=LLAMA3_ROPE,
                    tie_word_embeddings=True),
        tokenizer="llama-bpe", features=NORMS | PAIRS | {"RoPE scaling": ("config", config(rope_scaling=None))}),
    "llama2": dict(
        config=dict(SIZES, model_type="llama", num_key_value_heads=4, tie_word_embeddings=False),
        tokenizer="llama", features=NORMS | PAIRS, dtype="float32"),
    "llama-linear": dict(
        config=dict(SIZES, model_type="llama", num_hidden_layers=3, rope_theta=1000.0,
                    rope_scaling={"rope_type": "linear", "factor": 4.0}, tie_word_embeddings=True),
        tokenizer="llama", features={"RoPE scaling": ("config", config(rope_scaling=None))}),
    "smollm2": dict(
        config=dict(SIZES, model_type="llama", rope_theta=100000.0, rope_interleaved=False, tie_word_embeddings=True),
        tokenizer="smollm", features=NORMS | PAIRS),
    "smollm3": dict(
        config=dict(SIZES, model_type="smollm3", num_hidden_layers=5, rope_theta=5000.0, no_rope_layers=[1, 1, 1, 0, 1],
                    no_rope_layer_interval=4, pad_token_id=None, tie_word_embeddings=True),
        tokenizer="llama-bpe", features=NORMS | PAIRS | {"layers without RoPE": ("config", config(no_rope_layers=[1] * 5))}),
    "mistral": dict(
        config=dict(SIZES, model_type="mistral", head_dim=8, rope_theta=10000.0, sliding_window=8, tie_word_embeddings=False),
        tokenizer="llama", features=NORMS | PAIRS | {"window": ("config", config(sliding_window=None))}),
    "granite": dict(
        config=dict(SIZES, model_type="granite", rope_theta=10000.0, embedding_multiplier=3.0, attention_multiplier=0.25,
                    residual_multiplier=0.5, logits_scaling=2.5, tie_word_embeddings=True),
        tokenizer="refact", features=NORMS | PAIRS | {
            "embedding_multiplier": ("config", config(embedding_multiplier=1.0)),
            "attention_multiplier": ("config", config(attention_multiplier=8 ** -0.5)),
            "residual_multiplier": ("config", config(residual_multiplier=1.0)),
            "logits_scaling": ("config", config(logits_scaling=1.0))}),
    "gemma3": dict(
        config=dict(GEMMA, model_type="gemma3_text", num_hidden_layers=6, sliding_window_pattern=6, tie_word_embeddings=True),
        tokenizer="gemma", features=GEMMA_FEATURES),
    "gemma3-linear": dict(
        config=dict(GEMMA, model_type="gemma3_text", tie_word_embeddings=True, rope_theta=1000.0,
                    layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
                    rope_scaling={"rope_type": "linear", "factor": 8.0}),
        tokenizer="gemma", features={"RoPE scaling": ("config", config(rope_scaling=None)),
                                     "which layers have a window": ("config", config(layer_types=None))}),
    "phi3": dict(
        config=dict(SIZES, model_type="phi3", hidden_size=64, intermediate_size=32, num_key_value_heads=1, rope_theta=1000.0,
                    partial_rotary_factor=0.75, rope_scaling=longrope(6), original_max_position_embeddings=ORIGINAL,
                    max_position_embeddings=128, sliding_window=None, tie_word_embeddings=True, pad_token_id=None),
        tokenizer="gpt-4o", features=NORMS | {
            "RoPE factors": ("config", config(rope_scaling=None)),
            "short, not long": ("config", config(original_max_position_embeddings=4)),
            "RoPE over a part": ("config", config(rope_scaling=None, partial_rotary_factor=1.0))}),
    "olmo2": dict(
        config=dict(SIZES, model_type="olmo2", rope_theta=10000.0, tie_word_embeddings=False),
        tokenizer="dbrx", dtype="float16", features=PAIRS | QK | {
            "norm after attention": ("model", without("post_attention_layernorm")),
            "norm after the FFN": ("model", without("post_feedforward_layernorm")),
            "final norm's weight": ("weights", weights("model.norm.weight", ONE))}),
}
# What the converter does not write, because llama.cpp knows it by heart or leaves it out
EXTRA_KEYS = {
    "mistral": lambda w: w.add_sliding_window(8),
    "gemma3": lambda w: w.add_attention_scale(24 ** -0.5),
    "gemma3-linear": lambda w: (w.add_attention_scale(24 ** -0.5), w.add_sliding_window_pattern([True, False, True, False])),
}


# ---- tokenizers ----
def byte_level(kind):
    pattern, nfc, special, bos = BYTE_LEVEL[kind]
    t = tokenizers.Tokenizer(models.BPE())
    if nfc:
        t.normalizer = normalizers.NFC()
    if pattern:
        split = [pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    else:
        split = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    t.pre_tokenizer = pre_tokenizers.Sequence(split)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([TEXT], trainers.BpeTrainer(
        vocab_size=256 + 24, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_special_tokens(special)
    if bos:
        t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, t.token_to_id(bos))])])
    ids = {"bos": t.token_to_id(bos or special[0]), "eos": t.token_to_id(special[1 if bos else 0])}
    return t, ids, None


def sentencepiece_like(kind):
    """(tokenizer, special ids, tokenizer.model): Llama 2's, or Gemma's, which has no space before the text."""
    gemma = kind == "gemma"
    ids = dict(pad_id=0, eos_id=1, bos_id=2, unk_id=3) if gemma else dict(unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    pieces = dict(pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>") if gemma else {}
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()), model_writer=model, vocab_size=320, model_type="bpe", byte_fallback=True,
        character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, add_dummy_prefix=not gemma, minloglevel=2, num_threads=1, **ids, **pieces)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    n = range(sp.vocab_size())
    t = dequantise.tokenizer_from_scores([sp.id_to_piece(i) for i in n], [sp.get_score(i) for i in n],
                                         [3 if sp.is_control(i) or sp.is_unknown(i) else 1 for i in n],
                                         sp.id_to_piece(sp.unk_id()), sp.bos_id(), not gemma)
    for text in TEXTS:
        assert t.encode(text, add_special_tokens=False).ids == sp.encode(text), (text, t.encode(text).tokens)
    return t, {"bos": sp.bos_id(), "eos": sp.eos_id()}, model.getvalue()


def tokenizer_of(kind):
    return byte_level(kind) if kind in BYTE_LEVEL else sentencepiece_like(kind)


# ---- models ----
def full_config(row, tokenizer, ids):
    c = dict(row["config"])
    padded = c.pop("padded_vocab", 0)
    architecture = {"gemma3_text": "Gemma3", "smollm3": "SmolLM3"}.get(c["model_type"], c["model_type"].capitalize())
    key = "dtype" if "rope_parameters" in c else "torch_dtype"
    return {"architectures": [architecture + "ForCausalLM"], "bos_token_id": ids["bos"], "eos_token_id": ids["eos"],
            key: row.get("dtype", "bfloat16"), "vocab_size": tokenizer.get_vocab_size() + padded, **c}


def build(c, state=None):
    values = {k: copy.deepcopy(v) for k, v in c.items() if k not in ("model_type", "architectures", "torch_dtype", "dtype")}
    made = transformers.AutoConfig.for_model(c["model_type"], **values)
    model = transformers.AutoModelForCausalLM.from_config(made, attn_implementation="eager", dtype=torch.float32).eval()
    if state:
        model.load_state_dict(state)
    return model.requires_grad_(False)


def representable(a):
    a = a.bfloat16().half().float()
    return torch.where(a.abs() < 2 ** -10, torch.zeros_like(a), a)


def random_weights(model, seed):
    """Such that attention is not flat and every weight tells."""
    g = torch.Generator().manual_seed(seed)
    c, gemma = model.config, model.config.model_type == "gemma3_text"
    scale = {"embed_tokens": 0.15 if gemma else 0.5 / getattr(c, "embedding_multiplier", 1), "q_proj": 1.6, "k_proj": 1.6,
             "qkv_proj": 1.3, "q_norm": 0.5, "k_norm": 0.5}
    if hasattr(c, "attention_multiplier"):
        scale.update(q_proj=1.8, k_proj=1.8)
    for name, p in model.named_parameters():
        noise, kind = torch.randn(p.shape, generator=g), name.split(".")[-2]
        if name.endswith("norm.weight"):
            mean = (1.5 if kind in ("q_norm", "k_norm") else 1.0) - gemma
            value = mean + 0.3 * noise
        elif name.endswith(".bias"):
            value = 0.6 * noise
        else:
            fan = 1 if kind == "embed_tokens" else p.shape[1]
            value = scale.get(kind, 1.2) * noise / math.sqrt(fan)
        p.copy_(representable(value))
    if c.tie_word_embeddings:
        model.tie_weights()


def relative(a, b):
    return float((a - b).norm() / b.norm())


def logits_of(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def changed(c, state, kind, change, ids):
    c, state = copy.deepcopy(c), dict(state)
    if kind == "config":
        change(c)
    if kind == "weights":
        change(state)
        if c["tie_word_embeddings"]:
            state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model = build(c, state)
    if kind == "model":
        change(model)
    return logits_of(model, ids)


def check_features(name, row, c, model, ids):
    state, right = model.state_dict(), logits_of(model, ids)
    for feature, (kind, change) in row["features"].items():
        effect = relative(changed(c, state, kind, change, ids), right)
        print(f"   {name}: without {feature}: {effect:.3f}", flush=True)
        if not effect > 1e-2:
            sys.exit(f"{name}: logits do not show {feature}: {effect:.2e}")


def greedy(model, ids, n):
    """(next ids, least margin relative to the largest logit)"""
    ids, start, least = list(ids), len(ids), math.inf
    for _ in range(n):
        last = logits_of(model, ids)[-1]
        top = last.topk(2)
        least = min(least, float((top.values[0] - top.values[1]) / last.abs().max()))
        ids.append(int(top.indices[0]))
    return ids[start:], least


def settled(row, c, prompts):
    """A model whose greedy continuations neither hang on a hair nor repeat one token."""
    for seed in range(200):
        model = build(c)
        random_weights(model, seed)
        runs = [greedy(model, p, n) for p, n in prompts]
        if all(margin > 0.01 and len(set(ids)) > 4 for ids, margin in runs):
            return model, runs
    sys.exit("no seed gives clear continuations")


# ---- files ----
def write_folder(folder, row, c, model, tokenizer, ids, proto):
    folder.mkdir(parents=True)
    state = {k: v.to(getattr(torch, row.get("dtype", "bfloat16"))).contiguous() for k, v in model.state_dict().items()
             if not (k == "lm_head.weight" and c["tie_word_embeddings"])}
    n = row.get("files", 1)
    if n == 1:
        save_file(state, folder / "model.safetensors", {"format": "pt"})
    else:
        where = {k: f"model-{i * n // len(state) + 1:05d}-of-{n:05d}.safetensors" for i, k in enumerate(state)}
        for file in sorted(set(where.values())):
            save_file({k: state[k] for k in state if where[k] == file}, folder / file, {"format": "pt"})
        total = sum(v.numel() * v.element_size() for v in state.values())
        write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})
    write_json(folder / "config.json", c)
    write_json(folder / "generation_config.json", {"bos_token_id": ids["bos"], "eos_token_id": ids["eos"]})
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    token = lambda i: tokenizer.id_to_token(ids[i])
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "GPT2Tokenizer" if c["model_type"] == "phi3" else "PreTrainedTokenizerFast",
        "bos_token": token("bos"), "eos_token": token("eos"), "add_bos_token": tokenizer.encode("a").ids[0] == ids["bos"],
        "model_max_length": c["max_position_embeddings"]})
    if proto:
        (folder / "tokenizer.model").write_bytes(proto)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def convert(llama_cpp, folder, target, name, row, c):
    """By llama.cpp's converter; what it does not write is added."""
    sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py")]  # it needs its own gguf
    import conversion
    import gguf
    from conversion import base
    logging.disable(logging.WARNING)
    base.TextModel.get_vocab_base_pre = lambda self, tokenizer: row["tokenizer"]  # it knows tokenizers by their hashes
    kind = {"float32": gguf.LlamaFileType.ALL_F32, "float16": gguf.LlamaFileType.MOSTLY_F16}.get(
        row.get("dtype"), gguf.LlamaFileType.MOSTLY_BF16)
    title = "phi-4-mini" if name == "phi3" else name  # llama.cpp wants other tokens of what has phi3 in its name
    made = conversion.get_model_class(c["architectures"][0])(folder, kind, target, model_name=f"{title}, random")
    EXTRA_KEYS.get(name, lambda _: None)(made.gguf_writer)
    made.write()


def write_reference(path, model, ids, interleaved, source, **more):
    tensors = reference.capture(model, ids, interleaved=interleaved)
    reference.write_safetensors(path, tensors, {
        "token_ids": ids, "position": len(ids) - 1, "dtype": "float32", "convention": "raw", "model": source,
        "rope_pairs": "interleaved" if interleaved else "half",
        "made_by": f"make-family-models.py: torch {torch.__version__}, transformers {transformers.__version__}", **more})
    return tensors


def check_made(folder, c, model, ids):
    """What was written reads back as the same model, from the folder and from GGUF."""
    right = logits_of(model, ids)
    for source in ("hf", "model.gguf"):
        found, _, _ = reference.load(str(folder / source), "float32")
        off = relative(logits_of(found, ids), right)
        print(f"   {folder.name}: {source} read back: {off:.1e}")
        if off > 1e-6:
            sys.exit(f"{folder / source} is another model: {off:.2e}")
    if c.get("rope_scaling", {"rope_type": "llama3"}).get("rope_type") not in ("linear", "llama3"):
        return  # reference.frequencies() knows no others in float64
    truth, found, worst = reference.capture(copy.deepcopy(model).double(), ids, True), reference.capture(model, ids), 0.0
    for point, value in truth.items():
        seen = np.isfinite(value)
        worst = max(worst, np.linalg.norm(found[point][seen] - value[seen]) / np.linalg.norm(value[seen]))
    print(f"   {folder.name}: float32 is {worst:.1e} from float64 at the worst point")
    if worst > 5e-6:
        sys.exit(f"{folder.name} is not well enough conditioned for a comparison in float32")


def make(name, row, llama_cpp, to):
    tokenizer, special, proto = tokenizer_of(row["tokenizer"])
    c = full_config(row, tokenizer, special)
    text = tokenizer.encode(PROMPT).ids
    two = c["model_type"] == "phi3"  # its prompt and continuation stay within the short regime, another pair is beyond
    prompts = [(text[:12], ORIGINAL - 12), (text[:ORIGINAL + 2], NEXT)] if two else [(text[:POSITIONS], NEXT)]
    model, runs = settled(row, c, prompts)
    ids = prompts[0][0]
    check_features(name, row, c, model, ids)
    folder = to / name
    shutil.rmtree(folder, ignore_errors=True)
    write_folder(folder / "hf", row, c, model, tokenizer, special, proto)
    convert(llama_cpp, folder / "hf", folder / "model.gguf", name, row, c)
    check_made(folder, c, model, ids)
    write_reference(folder / "reference.safetensors", model, ids, False, f"{name}/hf")
    if reference.load(str(folder / "model.gguf"), "float32")[2]:
        write_reference(folder / "reference-gguf.safetensors", model, ids, True, f"{name}/model.gguf",
                        model_hash=reference.fingerprint(folder / "model.gguf"))
    if two:
        write_reference(folder / "reference-long.safetensors", model, prompts[1][0], False, f"{name}/hf")
    write_json(folder / "expected.json", {
        "greedy": [{"ids": p[0], "next": r[0], "margin": round(r[1], 4)} for p, r in zip(prompts, runs)],
        "texts": [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False).ids} for t in TEXTS]})
    sizes = {p.name: p.stat().st_size for p in sorted(folder.iterdir()) if p.is_file()}
    sizes["hf"] = sum(p.stat().st_size for p in (folder / "hf").iterdir())
    print(f"{name}: {sizes}, margins {[round(r[1], 3) for r in runs]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-cpp", required=True, type=pathlib.Path)
    parser.add_argument("--to", type=pathlib.Path, default=ROOT / "tests" / "data" / "families")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(ROWS)}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for name in args.names or ROWS:
        make(name, ROWS[name], args.llama_cpp, args.to)


if __name__ == "__main__":
    main()
