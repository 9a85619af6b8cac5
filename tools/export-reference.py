#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write what Transformers computes for a prompt as a reference that `plumb diag` reads: all capture points of plumb.

The folder gets reference.json (token ids, position, dtype, convention, model) and, with
  --format safetensors  reference.safetensors: L<i>.<point> {positions, width}, scores {heads, n, n}, embeddings,
                        final_norm, logits; every position
  --format bin          after_embeddings.bin, after_layer_<i>.bin, final_logits.bin: a little-endian int32 count, then
                        float32 values; the last position (or --position)
Values are stored as float32 (bfloat16 and float16 fit into it); float64 is rounded once.

--convention raw  every name means what it says (the default)
--convention hf   .bin: output_hidden_states as Transformers gives it, where the last layer's state is already normed:
                  after_layer_0 is still the output of layer 0, but after_layer_<last> holds the final norm's output

--pairs says in which order the channels of a head of Q and K stand (q_proj, k_proj, q_norm, k_norm, q_rope, k_rope): `half`,
as Transformers has them, i beside i + d/2 in RoPE; `interleaved`, 2i beside 2i + 1, as GGUF files of Llama-like families
(llama, smollm3, granite) have them. The default is what the model's file has.

--dtype is that of weights and activations. As in Transformers, RoPE's angles, RMSNorm and softmax are computed in
float32 then; with float64 they are lifted to float64 too, which makes the nearest to a truth there is.

Examples
  export-reference.py --model Qwen/Qwen2.5-0.5B-Instruct --tokens 9707 --out hello
  export-reference.py --model ./qwen2.5-folder --chat "Write a haiku." --dtype bfloat16 --out chat-bf16
  export-reference.py --model qwen2.5-0.5b-instruct-q4_k_m.gguf --prompt "Hello" --format bin --convention hf --out seed
then
  plumb diag report model.gguf hello

Families: Qwen2, Qwen3, Llama, Mistral, SmolLM2, SmolLM3, Granite (dense), Gemma 3 (text), Phi-3/Phi-4-mini, OLMo 2; another
is a row of FAMILIES.

Needs: pip install torch transformers (and gguf, to read .gguf files)"""
import argparse
import json
import os
import pathlib
import shutil
import struct
import sys

try:
    import numpy as np
    import torch
    import transformers
except ImportError as missing:  # also the answer to --help without them
    sys.exit(f"{__doc__}\n\nMissing here: {missing.name}")

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
POINTS = ["input_norm", "q_proj", "k_proj", "v_proj", "q_norm", "k_norm", "q_rope", "k_rope", "attn_scores", "attn_softmax",
          "attn_context", "attn_out", "attn_post_norm", "attn_residual", "post_attn_norm", "ffn_gate", "ffn_up", "ffn_act",
          "ffn_down", "ffn_post_norm", "output"]


# ---- families ----
# Where a decoder layer shows a point: (module, before it or after it). None: a family has no such point. What attention
# itself shows (q_rope to attn_softmax) is seen by capturing_attention().
LLAMA = {"input_norm": ("input_layernorm", "after"),
         "q_proj": ("self_attn.q_proj", "after"), "k_proj": ("self_attn.k_proj", "after"),
         "v_proj": ("self_attn.v_proj", "after"),
         "attn_context": ("self_attn.o_proj", "before"), "attn_out": ("self_attn.o_proj", "after"),
         "attn_residual": ("post_attention_layernorm", "before"), "post_attn_norm": ("post_attention_layernorm", "after"),
         "ffn_gate": ("mlp.gate_proj", "after"), "ffn_up": ("mlp.up_proj", "after"),
         "ffn_act": ("mlp.down_proj", "before"), "ffn_down": ("mlp.down_proj", "after"), "output": ("", "after")}
QK_NORM = {"q_norm": ("self_attn.q_norm", "after"), "k_norm": ("self_attn.k_norm", "after")}
POST_NORM = {"attn_post_norm": ("post_attention_layernorm", "after"),
             "ffn_post_norm": ("post_feedforward_layernorm", "after")}
FAMILIES = {  # by Transformers' model_type
    "qwen2": LLAMA, "llama": LLAMA, "mistral": LLAMA, "smollm3": LLAMA, "granite": LLAMA,
    "qwen3": LLAMA | QK_NORM,
    "gemma3_text": LLAMA | QK_NORM | POST_NORM | {"attn_residual": ("pre_feedforward_layernorm", "before"),
                                                  "post_attn_norm": ("pre_feedforward_layernorm", "after")},
    "olmo2": LLAMA | QK_NORM | POST_NORM | {"input_norm": None, "post_attn_norm": None, "attn_residual": ("mlp", "before")},
    "phi3": LLAMA | {"q_proj": ("self_attn.qkv_proj", "after"), "k_proj": None, "v_proj": None,
                     "ffn_gate": ("mlp.gate_up_proj", "after"), "ffn_up": None},
}
# The parts of an output that is several points' in one, by the point that its module is named at
FUSED = {"phi3": {"q_proj": ("q_proj", "k_proj", "v_proj"), "ffn_gate": ("ffn_gate", "ffn_up")}}
# Rows of Q and K as llama.cpp's converter writes them for these: channel i and i + d/2 of a head are neighbours
INTERLEAVED = ("llama", "smollm3", "granite")  # by general.architecture


def family_of(config):
    if config.model_type not in FAMILIES:
        sys.exit(f"models of the type {config.model_type} are not known; known are {', '.join(FAMILIES)}")
    return FAMILIES[config.model_type]


# ---- the model ----
def head_dim(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


class Metadata(dict):
    """A GGUF file's metadata; m["x"] is <architecture>.x, or None."""

    def __init__(self, reader):
        super().__init__({k: f.contents() for k, f in reader.fields.items()})
        self.architecture = self.get("general.architecture")

    def __missing__(self, key):
        return self.get(f"{self.architecture}.{key}")


def gguf_rope(m):
    """rope_parameters as Transformers names them."""
    rope = {"rope_type": m["rope.scaling.type"] or "default", "rope_theta": m["rope.freq_base"] or 10000.0}
    if rope["rope_type"] in ("none", "default"):
        return rope | {"rope_type": "default"}
    names = {"factor": "factor", "original_max_position_embeddings": "original_context_length",
             "beta_fast": "yarn_beta_fast", "beta_slow": "yarn_beta_slow", "attention_factor": "yarn_attn_factor"}
    return rope | {k: m["rope.scaling." + v] for k, v in names.items() if m["rope.scaling." + v] is not None}


def gguf_config(m, tensors):
    """Transformers' configuration of what a GGUF file's keys and tensors say."""
    kind = {"gemma3": "gemma3_text"}.get(m.architecture, m.architecture)
    window, layers = m["attention.sliding_window"] or None, m["block_count"]
    c = dict(vocab_size=int(tensors["token_embd.weight"].shape[1]), hidden_size=m["embedding_length"],
             intermediate_size=m["feed_forward_length"], num_hidden_layers=layers,
             num_attention_heads=m["attention.head_count"],
             num_key_value_heads=m["attention.head_count_kv"] or m["attention.head_count"],
             head_dim=m["attention.key_length"] or m["embedding_length"] // m["attention.head_count"],
             max_position_embeddings=m["context_length"], rms_norm_eps=m["attention.layer_norm_rms_epsilon"],
             rope_parameters=gguf_rope(m), tie_word_embeddings="output.weight" not in tensors,
             pad_token_id=None, bos_token_id=m.get("tokenizer.ggml.bos_token_id"),
             eos_token_id=m.get("tokenizer.ggml.eos_token_id"))
    if kind == "llama" and window:
        kind, c["sliding_window"] = "mistral", window
    if kind == "llama" and "blk.0.attn_q.bias" in tensors:
        c["attention_bias"] = True
    if kind == "granite":
        c.update(embedding_multiplier=m["embedding_scale"], residual_multiplier=m["residual_scale"],
                 attention_multiplier=m["attention.scale"], logits_scaling=m["logit_scale"])
    if kind == "gemma3_text":
        pattern = m["attention.sliding_window_pattern"] or 6
        full = [not p for p in pattern] if isinstance(pattern, list) else [(i + 1) % pattern == 0 for i in range(layers)]
        c.update(sliding_window=window, layer_types=["full_attention" if f else "sliding_attention" for f in full],
                 query_pre_attn_scalar=c["head_dim"] if not m["attention.scale"] else round(m["attention.scale"] ** -2),
                 rope_parameters={"full_attention": c["rope_parameters"], "sliding_attention": {
                     "rope_type": "default", "rope_theta": m["rope.freq_base_swa"] or 10000.0}})
    if kind == "phi3":
        rope = c["rope_parameters"]
        rope["partial_rotary_factor"] = m["rope.dimension_count"] / c["head_dim"]
        c.update(sliding_window=window, original_max_position_embeddings=m["rope.scaling.original_context_length"])
        if "rope_factors_long.weight" in tensors:
            rope.update(rope_type="longrope", original_max_position_embeddings=c["original_max_position_embeddings"])
            for n in ("long", "short"):
                rope[f"{n}_factor"] = [float(x) for x in tensors[f"rope_factors_{n}.weight"].data]
    return transformers.AutoConfig.for_model(kind, **c)


def gguf_values(tensor, architecture, heads):
    """A tensor's values as Transformers has them; heads: of Q's or K's rows, else 0."""
    import gguf
    a = torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32))
    a = a.reshape([int(n) for n in reversed(tensor.shape)])
    if heads and architecture in INTERLEAVED:
        a = a.reshape(heads, -1, 2, *a.shape[1:]).transpose(1, 2).reshape(a.shape)
    return a - 1 if architecture == "gemma3" and tensor.name.endswith("norm.weight") else a


def load_gguf(path, dtype):
    """The dequantised model. Transformers' own reader of GGUF knows fewer families, and neither rope_freqs nor the keys of
    windows and scales; this one names tensors by the table of the gguf package."""
    import gguf
    from transformers.initialization import no_init_weights
    reader = gguf.GGUFReader(path)
    m, tensors = Metadata(reader), {t.name: t for t in reader.tensors}
    arch = {v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}.get(m.architecture)
    config = gguf_config(m, tensors)
    family_of(config)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    with no_init_weights():
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    model.tie_weights()  # which the initialisation would have done
    used = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}
    for name, to in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        tensor = tensors[names.get_name(name, try_suffixes=(".weight", ".bias"))]
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2], 0)
        to.copy_(gguf_values(tensor, m.architecture, heads))
        used.add(tensor.name)
    if set(tensors) - used:
        sys.exit(f"{path}: tensors that are not known: {', '.join(sorted(set(tensors) - used))}")
    if "rope_freqs.weight" in tensors:
        model.model.rotary_emb.inv_freq /= torch.tensor(tensors["rope_freqs.weight"].data)
    return model.to(DTYPES[dtype]), m.architecture in INTERLEAVED


def load(path, dtype):
    """(model, tokenizer or None, whether the file interleaves Q and K) from a folder, a hub name or a GGUF file
    (dequantised)."""
    source, interleaved = pathlib.Path(path), False
    if source.suffix == ".gguf":
        with torch.no_grad():
            model, interleaved = load_gguf(path, dtype)
    else:
        model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=DTYPES[dtype], attn_implementation="eager")
    family_of(model.config)
    assert model.dtype == DTYPES[dtype], model.dtype
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(source.resolve().parent) if source.suffix == ".gguf" else path,
            **({"gguf_file": source.name} if source.suffix == ".gguf" else {}))
    except Exception as error:  # only --prompt and --chat need it
        print(f"no tokenizer: {error}", file=sys.stderr)
        tokenizer = None
    return model.eval().requires_grad_(False), tokenizer, interleaved


def tokens_of(args, tokenizer):
    if args.tokens:
        return [int(t) for t in args.tokens.replace(",", " ").split()]
    if not tokenizer:
        sys.exit("this model has no tokenizer that Transformers can read: give --tokens")
    if args.prompt is not None:
        return tokenizer(args.prompt, add_special_tokens=False).input_ids
    ids = tokenizer.apply_chat_template([{"role": "user", "content": args.chat}], add_generation_prompt=True)
    return list(ids["input_ids"] if hasattr(ids, "keys") else ids)


def fingerprint(path):
    """plumb's mark of a GGUF file: FNV-1a over each tensor's name and the first and last 64 bytes of its data."""
    import gguf
    value = 0xcbf29ce484222325
    for tensor in gguf.GGUFReader(path).tensors:
        data = tensor.data.reshape(-1).view(np.uint8)
        for part in (tensor.name.encode(), data[:64].tobytes(), data[-64:].tobytes()):
            for byte in part:
                value = (value ^ byte) * 0x100000001b3 % 2 ** 64
    return f"fnv1a64:{value:016x}"


# ---- capture ----
def capturing_attention(taps, lift):
    """Attention that shows what no module holds: RoPE'd Q and K, scores, softmax."""

    def attention(module, q, k, v, mask, scaling=None, softcap=None, **_):
        groups, n = q.shape[1] // k.shape[1], q.shape[2]
        repeated = lambda x: x.repeat_interleave(groups, 1)
        scores = q @ repeated(k).transpose(2, 3) * scaling
        if softcap is not None:
            scores = (scores / softcap).tanh() * softcap
        hidden = torch.ones(n, n, dtype=torch.bool).triu(1) if mask is None else mask[0, 0] < -1
        scores = scores.masked_fill(hidden, -torch.inf)
        soft = scores.softmax(-1, dtype=torch.float64 if lift else torch.float32).to(q.dtype)
        rows = lambda x: x[0].transpose(0, 1).reshape(n, -1)
        name = f"L{module.layer_idx}."
        taps.update({name + "q_rope": rows(q), name + "k_rope": rows(k), name + "attn_scores": scores[0],
                     name + "attn_softmax": soft[0]})
        return (soft @ repeated(v)).transpose(1, 2).contiguous(), soft

    return attention


def norm_in_float64(module):
    offset = type(module).__name__.startswith("Gemma")
    eps = module.eps if hasattr(module, "eps") else module.variance_epsilon
    return lambda x: (module.weight + offset) * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def frequencies(parameters, dim):
    """Angles per position, in float64."""
    kind, factor = parameters.get("rope_type", "default"), parameters.get("factor", 1)
    inverse = parameters["rope_theta"] ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    if kind == "linear":
        return inverse / factor
    if kind == "llama3":
        low, high = parameters["low_freq_factor"], parameters["high_freq_factor"]
        turns = parameters["original_max_position_embeddings"] * inverse / (2 * torch.pi)
        smooth = ((turns - low) / (high - low)).clamp(0, 1)
        return inverse * (smooth + (1 - smooth) / factor)
    if kind != "default":
        sys.exit(f"RoPE of the type {kind} is not computed in float64 here; take another --dtype")
    return inverse


def rope_in_float64(module):
    def rope(x, position_ids, layer_type=None):
        p = module.config.rope_parameters if layer_type is None else module.config.rope_parameters[layer_type]
        dim = int(head_dim(module.config) * p.get("partial_rotary_factor", 1))
        angle = position_ids[..., None].double() * frequencies(p, dim)
        angle = torch.cat((angle, angle), -1)
        return angle.cos(), angle.sin()

    return rope


class Inside:
    """Within `with Inside(model, taps, lift):` attention shows its parts; lift: the float32 islands of Transformers (norms,
    RoPE, softmax) work in float64."""
    NAME = "plumb_capture"

    def __init__(self, model, taps, lift):
        self.model = model
        self.lifted = [m for m in model.modules() if lift and type(m).__name__.endswith(("RMSNorm", "RotaryEmbedding"))]
        transformers.AttentionInterface.register(self.NAME, capturing_attention(taps, lift))
        transformers.masking_utils.AttentionMaskInterface.register(self.NAME, transformers.masking_utils.eager_mask)

    def __enter__(self):
        self.model.config._attn_implementation = self.NAME
        for m in self.lifted:
            m.forward = norm_in_float64(m) if type(m).__name__.endswith("RMSNorm") else rope_in_float64(m)

    def __exit__(self, *_):
        self.model.config._attn_implementation = "eager"
        for m in self.lifted:
            del m.forward


def fused_parts(config, value, points):
    """Q, K and V, or gate and up, of one output."""
    sizes = [value.shape[-1] // len(points)] * len(points)
    if "k_proj" in points:
        sizes = [n * head_dim(config) for n in (config.num_attention_heads,) + 2 * (config.num_key_value_heads,)]
    return zip(points, value.split(sizes, -1))


def flat(value, heads):
    """{positions, width} of one prompt, whether heads stand before positions or after."""
    value = value[0]
    if value.dim() == 3:
        value = (value.transpose(0, 1) if heads else value).flatten(1)
    return value


def interleave(value, heads):
    """Channels of each head as llama.cpp's files of Llama-like families have them."""
    return value.reshape(len(value), heads, 2, -1).transpose(2, 3).reshape(value.shape)


def capture(model, ids, lift=False, interleaved=False):
    """{point: tensor}, by hooks on the modules and attention."""
    taps, hooks, config = {}, [], model.config
    family, fused = family_of(config), FUSED.get(config.model_type, {})
    heads_first = config.model_type == "gemma3_text"  # its q_norm comes after the transpose

    def on(module, point, when):
        def hook(_, inputs, output):
            value = inputs[0] if when == "before" else output[0] if isinstance(output, tuple) else output
            value = flat(value, heads_first)
            prefix, _, name = point.rpartition(".")
            for part, v in fused_parts(config, value, fused[name]) if name in fused else [(name, value)]:
                taps[f"{prefix}.{part}" if prefix else part] = v
        hooks.append(module.register_forward_hook(hook))

    on(model.model.layers[0], "embeddings", "before")
    on(model.model.norm, "final_norm", "after")
    names = ["embeddings"]
    for i, layer in enumerate(model.model.layers):
        for point in POINTS:
            if family.get(point):
                on(layer.get_submodule(family[point][0]), f"L{i}.{point}", family[point][1])
        parts = {p for parts in fused.values() for p in parts}
        inside = ("q_rope", "k_rope", "attn_scores", "attn_softmax")
        names += [f"L{i}.{p}" for p in POINTS if family.get(p) or p in parts or p in inside]
    with torch.no_grad(), Inside(model, taps, lift):
        taps["logits"] = model(torch.tensor([ids]), use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    names += ["final_norm", "logits"]
    for name in names if interleaved else []:
        side = name.rpartition(".")[2][:2]
        if side in ("q_", "k_"):
            taps[name] = interleave(taps[name], config.num_attention_heads if side == "q_" else config.num_key_value_heads)
    return {n: taps[n].float().contiguous().numpy() for n in names}


# ---- files ----
def write_safetensors(path, tensors, told):
    metadata = {k: v if isinstance(v, str) else json.dumps(v) for k, v in told.items()}
    header, at = {"__metadata__": metadata}, 0
    for name, a in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for a in tensors.values():
            f.write(np.ascontiguousarray(a, "<f4").tobytes())


def write_bins(folder, tensors, layers, position, convention):
    rows = {"after_embeddings": "embeddings", "final_logits": "logits"}
    rows.update({f"after_layer_{i}": f"L{i}.output" for i in range(layers)})
    if convention == "hf":
        rows[f"after_layer_{layers - 1}"] = "final_norm"
    for name, point in rows.items():
        row = np.ascontiguousarray(tensors[point][position], "<f4")
        (folder / f"{name}.bin").write_bytes(struct.pack("<i", row.size) + row.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or hub name of a model, or a .gguf file")
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--tokens", help="ids, with commas or blanks between")
    prompt.add_argument("--prompt", help="plain text")
    prompt.add_argument("--chat", help="a message, put into the model's chat template")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--pairs", choices=["half", "interleaved"], help="default: as the model's file has them")
    parser.add_argument("--convention", choices=["raw", "hf"], default="raw")
    parser.add_argument("--format", choices=["safetensors", "bin"], default="safetensors")
    parser.add_argument("--position", type=int, help="of .bin files; default: the last")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder; must not be there, or be empty")
    args = parser.parse_args()
    if args.convention == "hf" and args.format != "bin":
        parser.error("--convention hf is about hidden states: it goes with --format bin; safetensors has final_norm by name")
    if args.position is not None and args.format != "bin":
        parser.error("--position goes with --format bin; safetensors holds every position")
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        parser.error(f"{args.out} is there and not an empty folder")
    model, tokenizer, interleaved = load(args.model, args.dtype)
    interleaved = args.pairs == "interleaved" if args.pairs else interleaved
    ids = tokens_of(args, tokenizer)
    vocabulary = model.config.vocab_size
    if not ids or min(ids) < 0 or max(ids) >= vocabulary:
        parser.error(f"token ids must be 0 to {vocabulary - 1}: {ids[:20]}")
    position = len(ids) - 1 if args.position is None else args.position
    if not 0 <= position < len(ids):
        parser.error(f"--position {position} is outside the prompt of {len(ids)} tokens")
    tensors = capture(model, ids, args.dtype == "float64", interleaved)
    told = {"token_ids": ids, "position": position, "dtype": args.dtype, "convention": args.convention, "model": args.model,
            "rope_pairs": "interleaved" if interleaved else "half",
            "made_by": f"export-reference.py: torch {torch.__version__}, transformers {transformers.__version__}"}
    if args.model.endswith(".gguf"):
        told["model_hash"] = fingerprint(args.model)
    # complete or not at all
    made = args.out.with_name(f"{args.out.name}.tmp-{os.getpid()}")
    made.mkdir(parents=True)
    try:
        if args.format == "bin":
            write_bins(made, tensors, len(model.model.layers), position, args.convention)
        else:
            write_safetensors(made / "reference.safetensors", tensors, told)
        (made / "reference.json").write_text(json.dumps(told, indent=1) + "\n")
        os.replace(made, args.out)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    best = int(tensors["logits"][position].argmax())
    print(f"{args.out}: {len(ids)} tokens, {len(tensors)} points computed, best next token at position {position}: {best}")


if __name__ == "__main__":
    main()
