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

--dtype is that of weights and activations. As in Transformers, RoPE's angles, RMSNorm and softmax are computed in
float32 then; with float64 they are lifted to float64 too, which makes the nearest to a truth there is.

Examples
  export-reference.py --model Qwen/Qwen2.5-0.5B-Instruct --tokens 9707 --out hello
  export-reference.py --model ./qwen2.5-folder --chat "Write a haiku." --dtype bfloat16 --out chat-bf16
  export-reference.py --model qwen2.5-0.5b-instruct-q4_k_m.gguf --prompt "Hello" --format bin --convention hf --out seed
then
  plumb diag report model.gguf hello

Needs: pip install torch transformers (and gguf and accelerate, to read .gguf files)"""
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
    from transformers.models.qwen2 import modeling_qwen2 as hf
except ImportError as missing:  # also the answer to --help without them
    sys.exit(f"{__doc__}\n\nMissing here: {missing.name}")

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
POINTS = ["input_norm", "q_proj", "k_proj", "v_proj", "q_rope", "k_rope", "attn_scores", "attn_softmax", "attn_context",
          "attn_out", "attn_residual", "post_attn_norm", "ffn_gate", "ffn_up", "ffn_act", "ffn_down", "output"]


# ---- the model ----
def load(path, dtype):
    """(model, tokenizer or None) from a folder, a hub name or a GGUF file (dequantised)."""
    options = dict(dtype=DTYPES[dtype], attn_implementation="eager")
    source = pathlib.Path(path)
    if source.suffix == ".gguf":
        folder, options["gguf_file"] = str(source.resolve().parent), source.name
        if hasattr(transformers, "GgufConfig"):  # newer ones keep blocks and multiply in float32, whatever the dtype
            options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    else:
        folder = path
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **options)
    assert model.dtype == DTYPES[dtype], model.dtype
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, **({"gguf_file": source.name} if source.suffix == ".gguf" else {}))
    except Exception as error:  # only --prompt and --chat need it
        print(f"no tokenizer: {error}", file=sys.stderr)
        tokenizer = None
    return model.eval().requires_grad_(False), tokenizer


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
class Inside:
    """Within `with Inside(taps, lift):` attention shows what no module holds (RoPE'd Q and K, scores, softmax); lift: the
    float32 islands of Transformers' Qwen2 work in float64."""

    def __init__(self, taps, lift):
        self.taps, self.lift = taps, lift

    def attention(self, module, q, k, v, mask, scaling, dropout=0.0, **_):
        groups, n = q.shape[1] // k.shape[1], q.shape[2]
        scores = q @ hf.repeat_kv(k, groups).transpose(2, 3) * scaling
        hidden = torch.ones(n, n, dtype=torch.bool).triu(1)
        soft = scores.masked_fill(hidden, -torch.inf).softmax(-1, dtype=torch.float64 if self.lift else torch.float32)
        soft = soft.to(q.dtype)
        rows = lambda x: x[0].transpose(0, 1).reshape(n, -1)
        name = f"L{module.layer_idx}."
        self.taps.update({name + "q_rope": rows(q), name + "k_rope": rows(k),
                          name + "attn_scores": scores[0].masked_fill(hidden, -torch.inf), name + "attn_softmax": soft[0]})
        return (soft @ hf.repeat_kv(v, groups)).transpose(1, 2).contiguous(), soft

    @staticmethod
    def norm(module, x):
        return module.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon))

    @staticmethod
    def rope(module, x, position_ids):
        config = module.config
        dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        parameters = getattr(config, "rope_parameters", None) or {"rope_theta": config.rope_theta}
        kind = parameters.get("rope_type", "default")
        if kind not in ("default", "linear"):
            sys.exit(f"RoPE of the type {kind} is not computed in float64 here; take another --dtype")
        inverse = parameters["rope_theta"] ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        inverse /= parameters.get("factor", 1) if kind == "linear" else 1
        angle = position_ids[..., None].to(torch.float64) * inverse
        angle = torch.cat((angle, angle), -1)
        return angle.cos(), angle.sin()

    def __enter__(self):
        self.saved = hf.eager_attention_forward, hf.Qwen2RMSNorm.forward, hf.Qwen2RotaryEmbedding.forward
        hf.eager_attention_forward = self.attention
        if self.lift:
            hf.Qwen2RMSNorm.forward = lambda module, x: self.norm(module, x)
            hf.Qwen2RotaryEmbedding.forward = lambda module, x, position_ids: self.rope(module, x, position_ids)
        return self

    def __exit__(self, *_):
        hf.eager_attention_forward, hf.Qwen2RMSNorm.forward, hf.Qwen2RotaryEmbedding.forward = self.saved


def capture(model, ids, lift):
    """{point: tensor}, by hooks on the modules and Inside()."""
    taps, hooks = {}, []

    def on(module, after=None, before=None):
        def hook(_, inputs, output):
            if before:
                taps[before] = inputs[0][0]
            if after:
                taps[after] = (output[0] if isinstance(output, tuple) else output)[0]
        hooks.append(module.register_forward_hook(hook))

    on(model.model.embed_tokens, "embeddings")
    on(model.model.norm, "final_norm")
    for i, layer in enumerate(model.model.layers):
        p, a, m = f"L{i}.", layer.self_attn, layer.mlp
        on(layer.input_layernorm, p + "input_norm")
        for part in ("q_proj", "k_proj", "v_proj"):
            on(getattr(a, part), p + part)
        on(a.o_proj, p + "attn_out", p + "attn_context")
        on(layer.post_attention_layernorm, p + "post_attn_norm", p + "attn_residual")
        on(m.gate_proj, p + "ffn_gate")
        on(m.up_proj, p + "ffn_up")
        on(m.down_proj, p + "ffn_down", p + "ffn_act")
        on(layer, p + "output")
    with torch.no_grad(), Inside(taps, lift):
        taps["logits"] = model(torch.tensor([ids]), use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    names = ["embeddings"] + [f"L{i}.{p}" for i in range(len(model.model.layers)) for p in POINTS] + ["final_norm", "logits"]
    absent = [n for n in names if n not in taps]
    if absent:
        sys.exit(f"this model shows no {absent[0]} (and {len(absent) - 1} more points): only Qwen2-like models are known")
    return {n: taps[n].float().numpy() for n in names}


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
    parser.add_argument("--model", required=True, help="folder or hub name of a Qwen2 model, or a .gguf file")
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--tokens", help="ids, with commas or blanks between")
    prompt.add_argument("--prompt", help="plain text")
    prompt.add_argument("--chat", help="a message, put into the model's chat template")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
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
    model, tokenizer = load(args.model, args.dtype)
    ids = tokens_of(args, tokenizer)
    vocabulary = model.config.vocab_size
    if not ids or min(ids) < 0 or max(ids) >= vocabulary:
        parser.error(f"token ids must be 0 to {vocabulary - 1}: {ids[:20]}")
    position = len(ids) - 1 if args.position is None else args.position
    if not 0 <= position < len(ids):
        parser.error(f"--position {position} is outside the prompt of {len(ids)} tokens")
    tensors = capture(model, ids, args.dtype == "float64")
    told = {"token_ids": ids, "position": position, "dtype": args.dtype, "convention": args.convention, "model": args.model,
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
