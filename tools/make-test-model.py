#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write tests/data/tiny-*.gguf, small random Qwen2 models, and tiny-*.safetensors, what they compute.

The weights are random with a fixed seed, quantised by the gguf package (k and mix get random blocks, as that
package can't quantise their types). The references are what Transformers' Qwen2ForCausalLM computes
from the DEQUANTISED weights of the file, in float64 throughout (Transformers does RoPE, RMSNorm and
softmax in float32; the patches below lift those), rounded to float32 once. So a right implementation
agrees to its own rounding. Points are named as in include/plumb/model.h: L<i>.<point>, embeddings,
final_norm, logits; shapes {n, width}, attn_scores and attn_softmax {heads, n, n}, -inf where masked.
tiny-T.safetensors has an 11-token prompt, tiny-T-single.safetensors one token at position 0; f32, q8_0
and k hold every point, the others `embeddings`, `output` and `logits`. The metadata holds JSON strings:
token_ids, greedy (the next 16 tokens), min_margin (least distance of the two best logits on that way).

--break shows how much each bug (no RoPE, no mask, wrong KV head ...) would move the logits.
Same versions, same bytes. Needs: pip install torch transformers gguf numpy
(the committed files: torch 2.15.0, transformers 5.23.0, gguf 0.19.0, numpy 2.4.6)."""
import argparse
import hashlib
import json
import pathlib
import struct

try:
    import gguf
    import numpy as np
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from transformers.models.qwen2 import modeling_qwen2 as hf
except ImportError as missing:  # also the answer to --help without them
    raise SystemExit(f"{__doc__}\n\nMissing here: {missing.name}")

Q = gguf.GGMLQuantizationType
SEED = 20250703
CONTEXT, EPS, STEPS, PROMPT = 256, 1e-6, 16, 11

# ---- the model's shape and files ----
TINY = dict(layers=3, hidden=64, ffn=160, heads=4, kv_heads=2)
WIDE = dict(layers=2, hidden=256, ffn=256, heads=8, kv_heads=2)
ONE = dict(WIDE, layers=1)
# name: shape, weight types (cycled over the matrices), own output matrix, RoPE base, all points
MODELS = {
    "f32": (TINY, [Q.F32], False, 1e6, True),
    "f16": (TINY, [Q.F16], True, 1e4, False),
    "bf16": (TINY, [Q.BF16], False, 1e4, False),
    "q8_0": (TINY, [Q.Q8_0], True, 1e6, True),
    "q4_0": (TINY, [Q.Q4_0], False, 1e6, False),
    "q4_1": (TINY, [Q.Q4_1], True, 1e4, False),
    "q5_0": (TINY, [Q.Q5_0], True, 1e6, False),
    "q5_1": (TINY, [Q.Q5_1], False, 1e4, False),
    "k": (WIDE, [Q.Q4_K, Q.Q5_K, Q.Q6_K], False, 1e6, True),
    # every matrix another type, as in files that are mixed by how much each tensor matters
    "mix": (ONE, [Q.IQ4_XS, Q.Q2_K, Q.Q3_K, Q.IQ4_NL, Q.MXFP4, Q.Q4_K, Q.Q5_K, Q.Q6_K], False, 1e6, False),
}

# The first 60 merges of the Qwen2 tokenizer; "_" stands for U+0120, the alphabet's space.
MERGES = """_ _|__ __|i n|_ t|____ ____|e r|__ _|o n|_ a|r e|a t|s t|e n|o r|_t h|Ċ Ċ|_ c|l e|_ s|i t|a n|a r|a l
_th e|; Ċ|_ p|_ f|o u|_ =|i s|____ ___|in g|e s|_ w|i on|e d|i c|_ b|_ d|e t|_ m|_ o|ĉ ĉ|r o|a s|e l|c t
n d|_ in|_ h|en t|i d|_ n|a m|________ ___|_t o|_ re|- -|_ {|_o f""".replace("\n", "|").replace("_", "\u0120").split("|")
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = """{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant") %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def vocabulary():
    """Tokens and kinds (1 normal, 3 control, 5 unused): GPT-2's byte alphabet, merges, specials, one pad."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    tokens = [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]
    for merge in MERGES:
        left, right = merge.split(" ")
        assert left in tokens and right in tokens and left + right not in tokens
        tokens.append(left + right)
    kinds = [1] * len(tokens) + [3] * len(SPECIALS) + [5]
    tokens += SPECIALS + [f"[PAD{len(tokens) + len(SPECIALS)}]"]
    return tokens, kinds


# ---- weights ----
# type: where its scale is, the standard deviation of random blocks with scale 1, where their mean is in it
BLOCKS = {Q.Q4_K: (0, 271.0, 7.5), Q.Q5_K: (0, 550.0, 15.5), Q.Q6_K: (208, 1370, None), Q.Q2_K: (80, 13.9, 1.5),
          Q.Q3_K: (108, 43.3, None), Q.IQ4_NL: (0, 67.2, None), Q.IQ4_XS: (0, 1245, None), Q.MXFP4: (0, 5.87, None)}


def random_blocks(rng, qtype, rows, columns, std):
    """Random blocks whose values have mean near 0 and about the standard deviation asked for."""
    elements, size = gguf.GGML_QUANT_SIZES[qtype]
    raw = rng.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)
    half = lambda x: np.asarray(x, np.float16).reshape(-1, 1).view(np.uint8)
    sign = rng.choice([-1.0, 1.0], len(raw)) * rng.uniform(0.7, 1.3, len(raw))
    at, spread, middle = BLOCKS[qtype]
    if qtype == Q.MXFP4:  # an exponent, and that of the scale 1 is 128
        raw[:, 0] = 128 + np.round(np.log2(np.abs(sign) * std / spread))
    else:
        raw[:, at:at + 2] = half(sign * std / spread)
    if middle is not None:
        raw[:, at + 2:at + 4] = half(sign * std / spread * middle)
    return raw.reshape(rows, -1)


def make_weights(name):
    """{GGUF tensor name: (raw data, type, dequantised float32)} in file order."""
    shape, types, own_output, _, _ = MODELS[name]
    # the same numbers for all tiny models, so that types differ by their rounding alone
    rng = np.random.default_rng([SEED, shape["hidden"]])
    hidden, ffn = shape["hidden"], shape["ffn"]
    kv = hidden // shape["heads"] * shape["kv_heads"]
    unit = hidden ** -0.5  # a row of this deviation maps a normed vector to deviation 1
    out, count = {}, 0

    def matrix(key, rows, columns, std):
        nonlocal count
        qtype = types[count % len(types)]
        count += 1
        if len(types) > 1:
            raw = random_blocks(rng, qtype, rows, columns, std)
        else:
            raw = gguf.quantize(rng.normal(0, std, (rows, columns)).astype(np.float32), qtype)
        out[key] = (raw, qtype, gguf.dequantize(raw, qtype).reshape(rows, columns))

    def vector(key, width, mean, std):
        data = rng.normal(mean, std, width).astype(np.float32)
        out[key] = (data, Q.F32, data)

    if own_output:
        matrix("output.weight", len(vocabulary()[0]), hidden, 4 * unit)
    # a large tied embedding would make each token predict itself
    matrix("token_embd.weight", len(vocabulary()[0]), hidden, (4 if own_output else 2.5) * unit)
    for i in range(shape["layers"]):
        b = f"blk.{i}."
        vector(b + "attn_norm.weight", hidden, 1, 0.3)
        vector(b + "ffn_norm.weight", hidden, 1, 0.3)
        for part, rows, std in (("q", hidden, 2.0), ("k", kv, 2.0), ("v", kv, 1.0)):
            matrix(b + f"attn_{part}.weight", rows, hidden, std * unit)
            vector(b + f"attn_{part}.bias", rows, 0, 0.3)
        matrix(b + "attn_output.weight", hidden, hidden, 1.5 * unit)
        matrix(b + "ffn_gate.weight", ffn, hidden, 1.5 * unit)
        matrix(b + "ffn_up.weight", ffn, hidden, 1.0 * unit)
        matrix(b + "ffn_down.weight", hidden, ffn, 1.2 * ffn ** -0.5)
    vector("output_norm.weight", hidden, 1, 0.3)
    return out


def write_gguf(path, name, weights):
    shape, types, _, base, _ = MODELS[name]
    tokens, kinds = vocabulary()
    w = gguf.GGUFWriter(path, "qwen2")
    w.add_type("model")
    w.add_name(f"plumb test model, random, {name}")
    w.add_block_count(shape["layers"])
    w.add_context_length(CONTEXT)
    w.add_embedding_length(shape["hidden"])
    w.add_feed_forward_length(shape["ffn"])
    w.add_head_count(shape["heads"])
    w.add_head_count_kv(shape["kv_heads"])
    w.add_rope_freq_base(base)
    w.add_layer_norm_rms_eps(EPS)
    w.add_file_type(gguf.LlamaFileType[
        {"k": "MOSTLY_Q4_K_M", "mix": "MOSTLY_IQ4_XS", "f32": "ALL_F32"}.get(name, "MOSTLY_" + types[0].name)])
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges(MERGES)
    w.add_eos_token_id(tokens.index("<|im_end|>"))
    w.add_pad_token_id(tokens.index("<|endoftext|>"))
    w.add_bos_token_id(tokens.index("<|endoftext|>"))
    w.add_add_bos_token(False)
    w.add_chat_template(TEMPLATE)
    for key, (raw, qtype, _) in weights.items():
        w.add_tensor(key, raw, raw_dtype=qtype)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---- Transformers ----
NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
         "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
OUTER = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
         "output.weight": "lm_head.weight"}


def hf_name(key):
    if key in OUTER:
        return OUTER[key]
    _, layer, part, kind = key.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.{kind}"


def torch_model(weights, *, layers, hidden, ffn, heads, kv_heads, base, context, eps):
    """Qwen2ForCausalLM from {GGUF tensor name: float32 array}; llama.cpp does not permute qwen2's Q and K."""
    config = Qwen2Config(vocab_size=len(weights["token_embd.weight"]), hidden_size=hidden, intermediate_size=ffn,
                         num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads,
                         max_position_embeddings=context, rms_norm_eps=float(np.float32(eps)),
                         rope_parameters={"rope_type": "default", "rope_theta": float(base)},
                         tie_word_embeddings="output.weight" not in weights, attn_implementation="eager",
                         pad_token_id=None, bos_token_id=None, eos_token_id=None)
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
    state = {hf_name(k): torch.from_numpy(np.array(v)) for k, v in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    model.model.rotary_emb = hf.Qwen2RotaryEmbedding(config)
    return model.eval().requires_grad_(False)


class Exact:
    """Inside `with Exact(taps):` the float32 islands of Transformers' Qwen2 work in the model's own dtype, and
    taps (a dict) receives what only the attention function sees. bug: a mistake to make, for --break."""

    def __init__(self, taps=None, bug=""):
        self.taps, self.bug = taps, bug

    def norm(self, module, x):
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon)
        return x if self.bug == "norm weights ignored" else module.weight * x

    def rope(self, module, x, position_ids):
        dim = module.config.hidden_size // module.config.num_attention_heads
        base = module.config.rope_parameters["rope_theta"]
        if self.bug == "RoPE base x 10":
            base *= 10
        inv = base ** (-torch.arange(0, dim, 2, dtype=x.dtype) / dim)
        angle = position_ids[..., None].to(x.dtype) * inv * (0 if self.bug == "no RoPE" else 1)
        if self.bug == "angles 1 % off":
            angle = angle * 1.01
        angle = torch.cat((angle, angle), -1)
        return angle.cos(), angle.sin()

    def apply_rope(self, q, k, cos, sin, unsqueeze_dim=1):
        if self.bug != "interleaved RoPE pairs":
            return self.saved[2](q, k, cos, sin, unsqueeze_dim)
        half = q.shape[-1] // 2
        c, s = cos[:, None, :, :half], sin[:, None, :, :half]
        turn = lambda x: torch.stack((x[..., ::2] * c - x[..., 1::2] * s, x[..., 1::2] * c + x[..., ::2] * s),
                                     -1).flatten(-2)
        return turn(q), turn(k)

    def attention(self, module, q, k, v, mask, scaling, dropout=0.0, **_):
        groups, n = q.shape[1] // k.shape[1], q.shape[2]
        spread = (lambda x: x.repeat(1, groups, 1, 1)) if self.bug == "KV heads tiled" else \
            (lambda x: hf.repeat_kv(x, groups))
        scores = q @ spread(k).transpose(2, 3) * (1.0 if self.bug == "scores not scaled" else scaling)
        if self.bug != "no mask":
            scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -torch.inf)
        soft = scores.softmax(-1)
        if self.taps is not None:
            flat = lambda x: x[0].transpose(0, 1).reshape(n, -1)
            prefix = f"L{module.layer_idx}."
            self.taps.update({prefix + "q_rope": flat(q), prefix + "k_rope": flat(k),
                              prefix + "attn_scores": scores[0], prefix + "attn_softmax": soft[0]})
        return (soft @ spread(v)).transpose(1, 2).contiguous(), soft

    def __enter__(self):
        self.saved = (hf.Qwen2RMSNorm.forward, hf.Qwen2RotaryEmbedding.forward, hf.apply_rotary_pos_emb,
                      hf.eager_attention_forward)
        hf.Qwen2RMSNorm.forward = lambda module, x: self.norm(module, x)
        hf.Qwen2RotaryEmbedding.forward = lambda module, x, position_ids: self.rope(module, x, position_ids)
        hf.apply_rotary_pos_emb = self.apply_rope
        hf.eager_attention_forward = self.attention
        return self

    def __exit__(self, *_):
        (hf.Qwen2RMSNorm.forward, hf.Qwen2RotaryEmbedding.forward, hf.apply_rotary_pos_emb,
         hf.eager_attention_forward) = self.saved


def run(model, ids):
    """Logits {n, vocab} of one sequence, without cache."""
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def capture(model, ids, exact=True):
    """{point: tensor in the model's dtype}. exact=False leaves Transformers as it is (and lacks four points)."""
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
        on(a.q_proj, p + "q_proj")
        on(a.k_proj, p + "k_proj")
        on(a.v_proj, p + "v_proj")
        on(a.o_proj, p + "attn_out", p + "attn_context")
        on(layer.post_attention_layernorm, p + "post_attn_norm", p + "attn_residual")
        on(m.gate_proj, p + "ffn_gate")
        on(m.up_proj, p + "ffn_up")
        on(m.down_proj, p + "ffn_down", p + "ffn_act")
        on(layer, p + "output")
    if exact:
        with Exact(taps):
            taps["logits"] = run(model, ids)
    else:
        taps["logits"] = run(model, ids)
    for hook in hooks:
        hook.remove()
    return taps


def greedy(model, ids, steps):
    """The next tokens and the least margin between the two best logits on the way."""
    new, least = [], float("inf")
    for _ in range(steps):
        best = run(model, ids + new)[-1].topk(2)
        least = min(least, float(best.values[0] - best.values[1]))
        new.append(int(best.indices[0]))
    return new, least


def relative(a, b):
    """Relative L2 of a against b, over the finite entries."""
    a, b = a.double(), b.double()
    fine = torch.isfinite(b)
    return float((a[fine] - b[fine]).norm() / b[fine].norm())


# ---- files ----
def write_safetensors(path, tensors, metadata):
    """By hand, in a fixed order: the package does not promise one for the metadata."""
    header, at = {"__metadata__": metadata}, 0
    arrays = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    for key, a in arrays.items():
        header[key] = {"dtype": {"float32": "F32", "int32": "I32"}[a.dtype.name], "shape": list(a.shape),
                       "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in arrays.values()))


POINTS = ["input_norm", "q_proj", "k_proj", "v_proj", "q_rope", "k_rope", "attn_scores", "attn_softmax", "attn_context",
          "attn_out", "attn_residual", "post_attn_norm", "ffn_gate", "ffn_up", "ffn_act", "ffn_down", "output"]


def choose_prompt(model, length):
    """The first random prompt whose greedy way has clear margins, no special token and some variety."""
    usable = len(vocabulary()[0]) - len(SPECIALS) - 1
    for attempt in range(1000):
        ids = np.random.default_rng([SEED, length, attempt]).integers(0, usable, length).tolist()
        new, margin = greedy(model, ids, STEPS)
        if margin > 0.02 and max(new) < usable and len(set(new)) >= (6 if length == 1 else 10):
            return ids, new, margin
    raise SystemExit("no prompt has clear margins: change SEED")


def make(name, folder):
    shape, types, own_output, base, full = MODELS[name]
    weights = make_weights(name)
    path = folder / f"tiny-{name}.gguf"
    write_gguf(path, name, weights)
    facts = dict(shape, base=base, context=CONTEXT, eps=EPS)
    model32 = torch_model({k: v[2] for k, v in weights.items()}, **facts)
    model = torch_model({k: v[2] for k, v in weights.items()}, **facts).double()
    for suffix, length in (("", PROMPT), ("-single", 1)):
        with Exact():
            ids, new, margin = choose_prompt(model, length)
        taps = capture(model, ids)
        keep = ["embeddings"]
        for i in range(shape["layers"]):
            keep += [f"L{i}.{p}" for p in (POINTS if full else ["output"])]
        keep += ["final_norm", "logits"] if full else ["logits"]
        write_safetensors(folder / f"tiny-{name}{suffix}.safetensors",
                          {k: taps[k].float().numpy() for k in keep},
                          {"token_ids": json.dumps(ids), "greedy": json.dumps(new), "min_margin": f"{margin:.4f}",
                           "made_by": "tools/make-test-model.py: Transformers in float64, rounded to float32"})
        plain = capture(model32, ids, exact=False)
        worst = max((relative(plain[k], taps[k]), k) for k in keep if k in plain)
        same = greedy(model32, ids, STEPS)[0] == new
        print(f"{name}{suffix}: least margin {margin:.3f}, logits deviation {float(taps['logits'].std()):.2f};"
              f" unpatched float32 Transformers: worst relative L2 {worst[0]:.1e} at {worst[1]},"
              f" greedy {'same' if same else 'DIFFERS'}")
        if not same:
            raise SystemExit("float32 takes another greedy way")
    return model


BUGS = ["no RoPE", "interleaved RoPE pairs", "RoPE base x 10", "angles 1 % off", "no mask", "KV heads tiled",
        "scores not scaled", "norm weights ignored", "no q bias", "no k bias", "no v bias", "eps 1e-5"]


def show_breaks(name, model, folder):
    """Each bug's relative L2 on the prompt's logits; all must be far above any tolerance."""
    raw = (folder / f"tiny-{name}.safetensors").read_bytes()
    meta = json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]
    ids = json.loads(meta["token_ids"])
    with Exact():
        right = run(model, ids)
    for bug in BUGS:
        undo = []
        for layer in model.model.layers:
            if bug.endswith("bias"):
                bias = getattr(layer.self_attn, bug[3] + "_proj").bias
                undo.append((bias, bias.clone()))
                bias.zero_()
            if bug.startswith("eps"):
                layer.input_layernorm.variance_epsilon = layer.post_attention_layernorm.variance_epsilon = 1e-5
        with Exact(bug=bug):
            wrong = run(model, ids)
        for bias, old in undo:
            bias.copy_(old)
        for layer in model.model.layers:
            eps = float(np.float32(EPS))
            layer.input_layernorm.variance_epsilon = layer.post_attention_layernorm.variance_epsilon = eps
        last = relative(wrong[-1], right[-1])
        print(f"  {name}: {bug:28} moves all logits by {relative(wrong, right):.1e}, the last row by {last:.1e},"
              f" next token {'changes' if wrong[-1].argmax() != right[-1].argmax() else 'stays'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "tests" / "data")
    parser.add_argument("--only", choices=MODELS, action="append", help="make only this model (may be repeated)")
    parser.add_argument("--break", dest="breaks", action="store_true", help="also show what each bug would change")
    args = parser.parse_args()
    torch.set_num_threads(1)  # one order of summation
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.only or MODELS:
        model = make(name, args.folder)
        if args.breaks:
            show_breaks(name, model, args.folder)
    for path in sorted(args.folder.glob("tiny-*")):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.name)


if __name__ == "__main__":
    main()
