#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the seed corpus of tests/fuzz: small files, good ones and one for each way to be broken.

Usage: make-fuzz-corpus.py [FOLDER]    (default: tests/data/fuzz beside this tool's folder)
It writes cache/, folder/, gguf/, reference/ and safetensors/ below FOLDER, the same bytes each time. Inputs that a fuzzer found are kept
beside them as found-*, what plumb itself wrote as real-*; this tool leaves both alone. Needs only Python 3.
"""
import json
import pathlib
import struct
import sys

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q",
        I64: "<q", F64: "<d"}
# ggml type: number, elements per block, bytes per block
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22),
         "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176),
         "Q6_K": (14, 256, 210), "I32": (26, 1, 4), "F64": (28, 1, 8), "BF16": (30, 1, 2), "Q2_K": (10, 256, 84),
         "Q3_K": (11, 256, 110), "IQ4_NL": (20, 32, 18), "IQ4_XS": (23, 256, 136), "MXFP4": (39, 32, 17)}


def string(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def value(kind, v):
    if kind == STRING:
        return string(v)
    if kind == ARRAY:
        of, items = v
        return struct.pack("<IQ", of, len(items)) + b"".join(value(of, i) for i in items)
    return struct.pack(PACK[kind], v)


def meta(key, kind, v):
    return string(key) + struct.pack("<I", kind) + value(kind, v)


def row(name, dims, number, offset):
    """A row of the tensor table; dims innermost first, as in the file."""
    return (string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
            + struct.pack("<IQ", number, offset))


def header(tensors, metas, version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, metas)


def gguf(metas=(), rows=(), data=b"", version=3, alignment=32):
    out = header(len(rows), len(metas), version) + b"".join(metas) + b"".join(rows)
    return out + b"\0" * (-len(out) % alignment) + data if data else out


def pattern(n):
    return bytes(i * 7 % 251 for i in range(n))


def packed(tensors, alignment=32):
    """Rows and data of tensors {name: (type, dims)} laid out one after the other."""
    rows, data = [], b""
    for name, (kind, dims) in tensors.items():
        number, block, size = TYPES[kind]
        count = 1
        for d in dims:
            count *= d
        data += b"\0" * (-len(data) % alignment)
        rows.append(row(name, dims, number, len(data)))
        data += pattern(count // block * size)
    return rows, data


SCALARS = [meta("a.u8", U8, 255), meta("a.i8", I8, -128), meta("a.u16", U16, 65535), meta("a.i16", I16, -2),
           meta("a.u32", U32, 2**32 - 1), meta("a.i32", I32, -3), meta("a.f32", F32, 0.5), meta("a.bool", BOOL, 1),
           meta("a.string", STRING, "qwen2"), meta("a.u64", U64, 2**63 - 1), meta("a.i64", I64, -2**63),
           meta("a.f64", F64, 1e-6)]
ARRAYS = [meta("t.tokens", ARRAY, (STRING, ["a", "", "Ġthe", "<|im_end|>"])), meta("t.type", ARRAY, (I32, [1, -1, 3])),
          meta("t.scores", ARRAY, (F32, [0.0, -1.5])), meta("t.f64", ARRAY, (F64, [2.5])),
          meta("t.bool", ARRAY, (BOOL, [0, 1])), meta("t.empty", ARRAY, (STRING, [])), meta("t.u8", ARRAY, (U8, [9, 8])),
          meta("t.u64", ARRAY, (U64, [1, 2**40]))]


def gguf_files():
    two = {"blk.0.w": ("F32", [4, 2]), "blk.0.b": ("F32", [3])}
    rows, data = packed(two)
    every = {f"w.{k}": (k, [256, 2]) for k in TYPES}
    every_rows, every_data = packed(every)
    yield "good-v3", gguf(SCALARS, rows, data)
    yield "good-v2", gguf(SCALARS, rows, data, version=2)
    yield "good-arrays", gguf(ARRAYS)
    yield "good-types", gguf([], every_rows, every_data)
    yield "good-empty", gguf()
    yield "good-rank4", gguf([], *packed({"r": ("F16", [2, 3, 4, 5])}))
    rows64, data64 = packed(two, 64)
    yield "good-align64", gguf([meta("general.alignment", U32, 64)], rows64, data64, alignment=64)
    one = [row("w", [8], 0, 0)]
    yield "bad-version1", gguf([], one, pattern(32), version=1)
    yield "bad-version9", gguf([], one, pattern(32), version=9)
    yield "bad-big-endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    yield "bad-tensor-count", header(2**60, 0) + bytes(64)
    yield "bad-meta-count", header(0, 2**60) + bytes(64)
    yield "bad-array-count", header(0, 1) + string("a") + struct.pack("<IIQ", ARRAY, STRING, 2**61) + bytes(64)
    yield "bad-array-nested", header(0, 1) + string("a") + struct.pack("<IIQ", ARRAY, ARRAY, 1) + bytes(64)
    yield "bad-string-length", header(0, 1) + struct.pack("<Q", 2**64 - 1) + b"key" + bytes(32)
    yield "bad-value-type", header(0, 1) + string("a") + struct.pack("<I", 13) + bytes(16)
    yield "bad-bool", header(0, 1) + string("a") + struct.pack("<IB", BOOL, 2)
    yield "good-u64", gguf([meta("a", U64, 2**63)])
    yield "bad-key-twice", gguf([meta("a", U8, 1), meta("a", U8, 2)])
    yield "bad-alignment", gguf([meta("general.alignment", U32, 24)], one, pattern(32))
    yield "bad-alignment-type", gguf([meta("general.alignment", STRING, "32")], one, pattern(32))
    yield "bad-name-twice", gguf([], [row("w", [8], 0, 0), row("w", [8], 0, 32)], pattern(64))
    yield "bad-overlap", gguf([], [row("w", [16], 0, 0), row("v", [8], 0, 32)], pattern(64))
    yield "bad-outside", gguf([], [row("w", [9], 0, 0)], pattern(32))
    yield "bad-offset", gguf([], [row("w", [8], 0, 2**64 - 32)], pattern(32))
    yield "bad-unaligned", gguf([], [row("w", [4], 0, 16)], pattern(32))
    yield "bad-rank0", gguf([], [row("w", [], 0, 0)], pattern(32))
    yield "bad-rank5", gguf([], [row("w", [1] * 5, 0, 0)], pattern(32))
    yield "bad-dimension0", gguf([], [row("w", [8, 0], 0, 0)], pattern(32))
    yield "bad-product", gguf([], [row("w", [2**32, 2**32], 0, 0)], pattern(32))
    yield "bad-bytes", gguf([], [row("w", [2**62], 28, 0)], pattern(32))
    yield "bad-block", gguf([], [row("w", [33], 8, 0)], pattern(64))
    yield "bad-type-lacking", gguf([], [row("w", [256], 23, 0)], pattern(160))
    yield "bad-type-unknown", gguf([], [row("w", [8], 1000, 0)], pattern(32))
    yield "bad-magic", b"GGML" + gguf()[4:]
    yield "bad-short", b"GG"
    yield "bad-nothing", b""


def safetensors(head, data=b""):
    head = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(head)) + head + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def padded(head):
    text = json.dumps(head).encode()
    return text + b" " * (-len(text) % 8)


def safetensors_files():
    good = {"__metadata__": {"format": "pt", "ids": "[9707]"}, "b": entry("F64", [1], 0, 8), "a": entry("F32", [2, 2], 8, 24),
            "i": entry("I32", [], 24, 28), "h": entry("F16", [1, 1, 2], 28, 32), "g": entry("BF16", [2], 32, 36)}
    one = {"w": entry("F32", [2], 0, 8)}
    yield "good", safetensors(padded(good), pattern(36))
    yield "good-empty", safetensors(b"{}")
    yield "good-escape", safetensors(padded({"a\"\u00e9\n\U0001f600": entry("F32", [2], 0, 8)}), pattern(8))
    yield "bad-length", struct.pack("<Q", 2**63) + padded(one) + pattern(8)
    yield "bad-length-past", struct.pack("<Q", 1000) + padded(one) + pattern(8)
    yield "bad-length0", struct.pack("<Q", 0) + b"{}"
    yield "bad-json", safetensors(b'{"w": {"dtype": "F32", ', pattern(8))
    yield "bad-utf8", safetensors(b'{"\xff\xfe": {}}', pattern(8))
    yield "bad-nul", safetensors(b'{"a\\u0000b": {}}', pattern(8))
    yield "bad-deep", safetensors(b'{"w": ' + b"[" * 3000 + b"]" * 3000 + b"}")
    yield "bad-name-twice", safetensors(b'{"w": {}, "w": {}}')
    yield "bad-entry", safetensors({"w": 3})
    yield "bad-no-dtype", safetensors({"w": {"shape": [1], "data_offsets": [0, 4]}}, pattern(4))
    yield "bad-no-shape", safetensors({"w": {"dtype": "F32", "data_offsets": [0, 4]}}, pattern(4))
    yield "bad-no-offsets", safetensors({"w": {"dtype": "F32", "shape": [1]}}, pattern(4))
    yield "bad-dtype", safetensors(padded({"w": entry("I64", [1], 0, 8)}), pattern(8))
    yield "bad-rank5", safetensors(padded({"w": entry("F32", [1] * 5, 0, 4)}), pattern(4))
    yield "bad-dimension0", safetensors(padded({"w": entry("F32", [0], 0, 0)}))
    yield "bad-dimension-negative", safetensors(padded({"w": entry("F32", [-1], 0, 4)}), pattern(4))
    yield "bad-dimension-real", safetensors(padded({"w": entry("F32", [1.0], 0, 4)}), pattern(4))
    yield "bad-product", safetensors(padded({"w": entry("F32", [2**40, 2**40], 0, 4)}), pattern(4))
    yield "bad-bytes", safetensors(padded({"w": entry("F64", [2**62], 0, 8)}), pattern(8))
    yield "bad-size", safetensors(padded({"w": entry("F32", [3], 0, 8)}), pattern(8))
    yield "bad-outside", safetensors(padded({"w": entry("F32", [4], 0, 16)}), pattern(8))
    yield "bad-order", safetensors(padded({"w": entry("F32", [1], 8, 4)}), pattern(8))
    yield "bad-overlap", safetensors(padded({"w": entry("F32", [2], 0, 8), "v": entry("F32", [2], 4, 12)}), pattern(12))
    yield "bad-hole", safetensors(padded({"w": entry("F32", [1], 0, 4), "v": entry("F32", [1], 8, 12)}), pattern(12))
    yield "bad-tail", safetensors(padded(one), pattern(9))
    yield "bad-unaligned", safetensors(padded({"h": entry("F16", [1], 0, 2), "w": entry("F32", [1], 2, 6)}), pattern(6))
    yield "bad-metadata", safetensors({"__metadata__": []})
    yield "bad-metadata-value", safetensors({"__metadata__": {"a": 1}})


NAMES = ["reference.json", "meta.json", "r.safetensors", "s.safetensors", "after_embeddings.bin", "after_layer_0.bin", "after_layer_1.bin",
         "after_layer_2.bin", "after_layer_3.bin", "final_norm.bin", "final_logits.bin", "logits.bin", "L0.q_proj.bin", "L1.attn_scores.bin",
         "L2.ffn_act.bin", "other.bin"]  # as in tests/fuzz/reference.c


def folder(files):
    return b"".join(struct.pack("<BH", NAMES.index(name), len(data)) + data for name, data in files.items())


FOLDER_NAMES = ["config.json", "model.safetensors", "model.safetensors.index.json", "generation_config.json", "tokenizer_config.json",
                "tokenizer.json", "chat_template.jinja", "a.safetensors", "b.safetensors"]  # as in tests/fuzz/folder.c


def model_folder(**files):
    """Files by their names without what follows the first dot; chat_template.jinja is `chat_template`."""
    by_name = {name.split(".")[0] + ("_index" if "index" in name else ""): i for i, name in enumerate(FOLDER_NAMES)}
    data = b""
    for name, text in files.items():
        text = json.dumps(text).encode() if isinstance(text, (dict, list)) else text
        data += bytes([by_name[name]]) + struct.pack("<H", len(text)) + text
    return data


def folder_files():
    """A config.json of each family; beside it what a folder may have. Weights are the fuzz entry's where none are here."""
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "vocab_size": 4, "tie_word_embeddings": True}
    window = {"sliding_window": 4, "use_sliding_window": True, "max_window_layers": 1}
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "attention_factor": 1.2, "beta_fast": 32}
    long = {"type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [2, 3]}
    kinds = {"full_attention": {"rope_type": "linear", "factor": 8, "rope_theta": 1e6}, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
    layers = ["sliding_attention", "full_attention"] * 2
    configs = {"qwen2": {**window, "architectures": ["Qwen2ForCausalLM"], "rope_scaling": yarn}, "qwen3": {"head_dim": 4, "layer_types": layers, **window},
               "llama": {"rope_scaling": llama3, "attention_bias": False, "eos_token_id": [1, 2]}, "mistral": {"rope_parameters": llama3, "sliding_window": 4},
               "smollm3": {"no_rope_layers": [1, 1, 1, 0]}, "granite": {"embedding_multiplier": 12.0, "attention_multiplier": 0.5, "logits_scaling": 8.0},
               "gemma3_text": {"rope_parameters": kinds, "query_pre_attn_scalar": 16, "sliding_window_pattern": 2, "final_logit_softcapping": 30.0},
               "phi3": {"rope_scaling": long, "partial_rotary_factor": 1.0}, "olmo2": {"quantization_config": {"bits": 4}, "unknown": [1, {"a": None}]}}
    for kind, more in configs.items():
        yield "good-" + kind, model_folder(config={"model_type": kind, **sizes, **more})
    plain = {"model_type": "llama", **sizes}
    yield "good-pictures", model_folder(config={"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", **sizes}, "vision_config": {"a": 1}})
    yield "good-text", model_folder(config=plain, generation_config={"eos_token_id": [1, 2], "bos_token_id": 3}, tokenizer=b"{}", chat_template=b"{{ x }}",
                                    tokenizer_config={"add_bos_token": True, "chat_template": [{"name": "default", "template": "t"}], "model_max_length": 10**30})
    one, two = ("model.embed_tokens.weight", "BF16", [4, 8], 64), ("model.layers.0.input_layernorm.weight", "F32", [8], 32)
    a, b = (safetensors(padded({t[0]: entry(t[1], t[2], 0, t[3])}), pattern(t[3])) for t in (one, two))
    index = {"metadata": {"total_size": 96}, "weight_map": {one[0]: "a.safetensors", two[0]: "b.safetensors"}}
    yield "good-parts", model_folder(config=plain, model_index=index, a=a, b=b)
    yield "bad-part-missing", model_folder(config=plain, model_index=index, a=a)
    yield "bad-part-cut", model_folder(config=plain, model_index=index, a=a, b=b[:-1])
    yield "bad-part-outside", model_folder(config=plain, model_index={"weight_map": {one[0]: "../a.safetensors"}}, a=a)
    yield "bad-tensor-missing", model_folder(config=plain, model_index={"weight_map": {**index["weight_map"], "lm_head.weight": "b.safetensors"}}, a=a, b=b)
    yield "bad-tensor-unnamed", model_folder(config=plain, model_index={"weight_map": {one[0]: "a.safetensors", "x": "b.safetensors"}}, a=a, b=b)
    yield "bad-map", model_folder(config=plain, model_index={"weight_map": {"x": 1}})
    yield "bad-heads", model_folder(config={**plain, "num_attention_heads": 0})
    yield "bad-layers", model_folder(config={**plain, "num_hidden_layers": 1000000})
    yield "bad-nested", model_folder(config=b'{"a":' + b"[" * 3000)
    yield "bad-utf8", model_folder(config=b'{"model_type":"\xff"}')
    yield "bad-type", model_folder(config={**plain, "model_type": ["llama"]})


def floats(n, order="<", first=1.0):
    return struct.pack(f"{order}{n}f", *(first + i % 13 for i in range(n)))


def counted(n, order="<"):
    return struct.pack(order + "i", n) + floats(n, order)


def reference_files():
    """The model of tests/fuzz/reference.c: 3 layers, 64 wide, 320 tokens."""
    layer = "after_layer_0.bin"
    manifest = {"token_ids": [3, 147], "position": -1, "dtype": "bfloat16", "convention": "raw", "model_hash": "0"}
    told = json.dumps(manifest).encode()
    yield "good-bins", folder({"reference.json": told, "after_embeddings.bin": counted(64), layer: counted(64), "after_layer_1.bin": counted(64),
                               "after_layer_2.bin": counted(64), "final_norm.bin": counted(64), "final_logits.bin": counted(320)})
    yield "good-all-positions", folder({"meta.json": told, layer: counted(128)})
    yield "good-positions-untold", folder({layer: counted(192)})
    yield "good-big-endian", folder({layer: counted(64, ">")})
    yield "good-no-header", folder({layer: floats(64)})
    yield "good-header16", folder({layer: struct.pack("<iiq", 1, 1, 64) + floats(64)})
    yield "good-tokens-of-embeddings", folder({"after_embeddings.bin": struct.pack("<i64f", 64, *[5.0] * 64)})
    points = {"embeddings": [2, 64], "L0.output": [1, 2, 64], "L1.attn_scores": [4, 2, 2], "L2.ffn_act": [160], "logits": [2, 320]}
    entries, data = {"__metadata__": {"token_ids": "[3, 147]", "position": "1"}}, b""
    for name, shape in points.items():
        count = 1
        for d in shape:
            count *= d
        entries[name] = entry("F32", shape, len(data), len(data) + 4 * count)
        data += floats(count)
    whole = safetensors(padded(entries), data)
    yield "good-safetensors", folder({"r.safetensors": whole})
    yield "good-safetensors-manifest", folder({"reference.json": told, "r.safetensors": whole, "s.safetensors": whole})
    yield "bad-safetensors-cut", folder({"r.safetensors": whole[:-4]})
    yield "bad-safetensors-width", folder({"r.safetensors": safetensors(padded({"L0.output": entry("F32", [2, 63], 0, 504)}), floats(126))})
    yield "bad-safetensors-unknown", folder({"r.safetensors": safetensors(padded({"weight": entry("F32", [2], 0, 8)}), floats(2))})
    yield "bad-gguf", folder({"r.safetensors": gguf()})
    yield "bad-nan", folder({layer: struct.pack("<i", 64) + floats(63) + struct.pack("<f", float("nan"))})
    yield "bad-zero", folder({layer: struct.pack("<i", 64) + bytes(256)})
    yield "bad-cut", folder({layer: counted(64)[:-40]})
    yield "bad-longer", folder({layer: counted(64) + bytes(12)})
    yield "bad-count", folder({layer: struct.pack("<i", 7) + floats(64)})
    yield "bad-count-negative", folder({layer: struct.pack("<i", -1) + floats(64)})
    yield "bad-halves", folder({layer: struct.pack("<i", 64) + pattern(128)})
    yield "bad-stranger", folder({layer: counted(96)})
    yield "bad-short", folder({layer: b"\1\0"})
    yield "bad-unknown", folder({"other.bin": counted(64)})
    yield "bad-scores", folder({"L1.attn_scores.bin": counted(64)})
    for name, change in (("token", {"token_ids": [3, 320]}), ("token-negative", {"token_ids": [-1]}), ("token-real", {"token_ids": [1.5]}),
                         ("tokens-kind", {"token_ids": "3"}), ("position", {"position": 2}), ("position-kind", {"position": "last"}), ("dtype", {"dtype": 7})):
        yield "bad-manifest-" + name, folder({"reference.json": json.dumps({**manifest, **change}).encode(), layer: counted(64)})
    yield "bad-manifest-list", folder({"reference.json": b"[1]", layer: counted(64)})
    yield "bad-manifest-cut", folder({"reference.json": told[:-5], layer: counted(64)})
    yield "bad-manifest-utf8", folder({"reference.json": b'{"dtype": "\xff"}', layer: counted(64)})
    yield "bad-manifest-alone", folder({"meta.json": told})


def fnv(data, h=0xcbf29ce484222325):
    for c in data:
        h = (h ^ c) * 0x100000001b3 % 2**64
    return h


def cache_files():
    """The device of tests/fuzz/cache.c: its kernels are one line each."""
    text = b'#line 1 "types.cl"\nx\n\n#line 1 "matmul.cl"\nx\n\n'
    hashes = "%d %016x %016x" % (len(text), fnv(text), fnv(text, 0xcbf29ce484222325 ^ (2**64 - 1)))
    key = f"Platform\nDevice\nOpenCL 3.0\n1.0\ntune 1 cpu\nmatmul.cl {hashes}\n"
    one = {"type": "q8_0", "n": 64, "k": 32, "m_low": 2, "m_high": 0, "m": 8, "fixed": "mt4", "chosen": "block",
           "ways": {"mt4": {"seconds": 0.5, "timings": 5, "wrong": False}, "block": {"seconds": 1e-6, "timings": 9, "wrong": False}}}
    tuning = lambda rows, k=key, kind=0: bytes([kind]) + json.dumps({"key": k, "rows": rows}).encode()
    yield "tune-good", tuning([one, {**one, "type": "f32", "chosen": "mt8"}])
    yield "tune-good-gpu", tuning([one], key.replace("cpu", "gpu"), 2)
    yield "tune-bad-gpu-mt8", tuning([{**one, "chosen": "mt8"}], key.replace("cpu", "gpu"), 2)
    yield "tune-clblast", tuning([{**one, "chosen": "clblast"}])
    yield "tune-bad-key", tuning([one], "x" + key)
    yield "tune-bad-rows", b'\0{"key": 1, "rows": 7}'
    yield "tune-bad-second", tuning([one, 3])
    for name, change in (("type", {"type": "q9"}), ("way", {"chosen": "magic"}), ("negative", {"m_low": -5}), ("zero", {"n": 0}), ("real", {"k": 1.5}),
                         ("large", {"m_high": 2**63 - 1}), ("ways", {"ways": []}), ("seconds", {"ways": {"mt4": {"seconds": -1, "timings": 1}}}),
                         ("timings", {"ways": {"mt4": {"seconds": 1, "timings": 2**40}}})):
        yield "tune-bad-" + name, tuning([{**one, **change}])
    yield "tune-bad-cut", tuning([one])[:-30]
    yield "tune-bad-deep", b"\0" + b"[" * 3000
    yield "tune-bad-infinite", tuning([one]).replace(b"0.5", b"1e999")
    yield "tune-bad-empty", b"\0"
    body = b"a program"
    item = struct.pack("<8sQQQ", b"plumbcl1", 3, len(body), fnv(body)) + b"key" + body
    yield "entry-good", b"\1" + item
    yield "entry-bad-sum", b"\1" + item[:-1] + b"n"
    yield "entry-bad-key", b"\1" + item.replace(b"key", b"kex")
    yield "entry-bad-size", b"\1" + item[:16] + b"\xff" * 8 + item[24:]
    yield "entry-bad-key-size", b"\1" + item[:8] + b"\xff" * 8 + item[16:]
    yield "entry-bad-cut", b"\1" + item[:20]
    yield "entry-bad-longer", b"\1" + item + b"more"


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "fuzz"
    to = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root
    for kind, files in (("cache", cache_files()), ("folder", folder_files()), ("gguf", gguf_files()), ("reference", reference_files()), ("safetensors", safetensors_files())):
        (to / kind).mkdir(parents=True, exist_ok=True)
        count = total = 0
        for name, data in files:
            (to / kind / name).write_bytes(data)
            count, total = count + 1, total + len(data)
        print(f"{to / kind}: {count} files, {total} bytes")


if __name__ == "__main__":
    main()
