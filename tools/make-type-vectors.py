#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write tests/data/types.safetensors: blocks of every weight type and the float32 values they stand for.

For each type T two tensors: "T.bytes", the raw blocks as I32 words (little-endian, whole words by choice of
the block count), and "T.f32", what the gguf package's dequantize makes of them, to be met bit for bit. Blocks
are random bytes with sane scales, and the first ones have scales of both signs, zero, subnormal and the
largest. NaNs (f16, bf16) are quiet ones, whose bits every conversion keeps. Before anything is written the
values are compared, bit for bit, with a second implementation: the plain loops below, written after the
block structs of ggml. --ggml LIB adds a third: the dequantize_row_* functions of a built libggml-base.so.

A scale has 11 significant bits, and all products of it with a block's small integers fit float32's 24, so only
the subtraction of a minimum rounds: fused multiply-add or not, there is one right answer.

Same versions, same bytes. Needs: pip install gguf numpy (the committed file: gguf 0.19.0, numpy 2.4.6)."""
import argparse
import ctypes
import hashlib
import json
import pathlib
import struct

try:
    import gguf
    import numpy as np
except ImportError as missing:  # also the answer to --help without them
    raise SystemExit(f"{__doc__}\n\nMissing here: {missing.name}")

Q = gguf.GGMLQuantizationType
SEED = 20250703
TYPES = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "Q2_K",
         "Q3_K", "IQ4_NL", "IQ4_XS", "MXFP4"]
# byte offsets of the f16 scales (and minima) in a block
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208], "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": []}
# f16 bits: 0, -0, smallest and largest subnormal of both signs, smallest normal, 1, -1, largest of both signs
SPECIAL = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF]


# exponents of MXFP4: the smallest, whose scales are subnormal, one, the largest, whose products are infinite
EXPONENTS = [0, 1, 2, 3, 127, 128, 129, 253, 254, 255]


# ---- bytes ----
def plain_patterns(rng, special):
    return np.concatenate([np.array(special, np.uint16), rng.integers(0, 0x7000, 120, dtype=np.uint16),
                           rng.integers(0x8000, 0xF000, 120, dtype=np.uint16)])[:254].view(np.uint8)


def blocks(rng, name):
    if name == "F16":
        return plain_patterns(rng, SPECIAL + [0x7C00, 0xFC00, 0x7E00, 0xFE01, 0x7FFF, 0x0200, 0x8155])
    if name == "BF16":
        return plain_patterns(rng, [0, 0x8000, 1, 0x8001, 0x7F, 0x807F, 0x80, 0x3F80, 0xBF80, 0x7F7F, 0xFF7F, 0x7F80,
                                    0xFF80, 0x7FC0, 0xFFC1, 0x7FFF])
    count = 24 if gguf.GGML_QUANT_SIZES[Q[name]][0] == 256 else 64
    raw = rng.integers(0, 256, (count, gguf.GGML_QUANT_SIZES[Q[name]][1]), dtype=np.uint8)
    if name == "MXFP4":
        raw[:, 0] = rng.integers(80, 150, count)
        raw[:len(EXPONENTS), 0] = EXPONENTS
    for turn, at in enumerate(SCALES[name]):
        value = (rng.normal(0, 1, count) * 10.0 ** rng.uniform(-5, 0, count)).astype(np.float16).view(np.uint16)
        value[:len(SPECIAL)] = np.roll(SPECIAL, 3 * turn)  # the minimum is special where the scale is not
        raw[:, at:at + 2] = value.reshape(-1, 1).view(np.uint8)
    return raw.ravel()


# ---- the second implementation: block structs of ggml, one value at a time ----
def half(b, at):
    bits = b[at] | b[at + 1] << 8
    sign, exponent, fraction = bits >> 15, bits >> 10 & 31, bits & 1023
    if exponent == 31:
        return np.uint32(sign << 31 | 0x7F800000 | fraction << 13).view(np.float32)
    size = fraction * 2.0 ** -24 if exponent == 0 else (1024 + fraction) * 2.0 ** (exponent - 25)
    return np.float32(-size if sign else size)


def loop_q8_0(b):
    return [half(b, 0) * np.float32(struct.unpack_from("b", b, 2 + j)[0]) for j in range(32)]


def loop_q4(b, d, m, qs, offset):
    low = [d * np.float32((b[qs + j] & 15) - offset) + m for j in range(16)]
    return low + [d * np.float32((b[qs + j] >> 4) - offset) + m for j in range(16)]


def loop_q5(b, d, m, qh, qs, offset):
    high = struct.unpack_from("<I", b, qh)[0]
    low = [(b[qs + j] & 15) | ((high >> j & 1) << 4) for j in range(16)]
    both = low + [(b[qs + j] >> 4) | ((high >> (j + 16) & 1) << 4) for j in range(16)]
    return [d * np.float32(q - offset) + m for q in both]


def scale_min(s, j):
    """get_scale_min_k4: the 6-bit scale and minimum of sub-block j out of 12 bytes."""
    if j < 4:
        return s[j] & 63, s[j + 4] & 63
    return (s[j + 4] & 15) | (s[j - 4] >> 6 << 4), (s[j + 4] >> 4) | (s[j] >> 6 << 4)


def loop_k(b, qs, qh):
    """Q4_K (qh None) and Q5_K: eight sub-blocks of 32; two share 32 bytes of nibbles and one bit each of qh."""
    d, dmin, out = half(b, 0), half(b, 2), []
    for j in range(8):
        scale, least = scale_min(b[4:16], j)
        for i in range(32):
            q = b[qs + 32 * (j // 2) + i] >> (4 * (j % 2)) & 15
            if qh is not None:
                q += 16 * (b[qh + i] >> j & 1)
            out.append(d * np.float32(scale) * np.float32(q) - dmin * np.float32(least))
    return out


def loop_q6_k(b):
    """Two halves of 128: ql 64 bytes, qh 32, scales 8 signed bytes each; d last."""
    d, out = half(b, 208), np.zeros(256, np.float32)
    for h in range(2):
        ql, qh, sc = 64 * h, 128 + 32 * h, 192 + 8 * h
        for i in range(32):
            top = b[qh + i]
            quads = ((b[ql + i] & 15) | (top & 3) << 4, (b[ql + i + 32] & 15) | (top >> 2 & 3) << 4,
                     b[ql + i] >> 4 | (top >> 4 & 3) << 4, b[ql + i + 32] >> 4 | (top >> 6 & 3) << 4)
            for part, q in enumerate(quads):
                scale = struct.unpack_from("b", b, sc + i // 16 + 2 * part)[0]
                out[128 * h + 32 * part + i] = d * np.float32(scale) * np.float32(q - 32)
    return list(out)


def loop_twos(b, qs):
    """Q2_K, Q3_K: 2 bits of element n in 64 bytes."""
    return [b[qs + 32 * (n // 128) + n % 32] >> 2 * (n % 128 // 32) & 3 for n in range(256)]


def loop_q2_k(b):
    """Sixteen bytes: scale low, minimum high, of 16 elements each; 2 bits; d; dmin."""
    d, dmin = half(b, 80), half(b, 82)
    return [d * np.float32(b[n // 16] & 15) * np.float32(q) - dmin * np.float32(b[n // 16] >> 4)
            for n, q in enumerate(loop_twos(b, 16))]


def loop_q3_k(b):
    """32 bytes of third bits (0 takes 4 off); 2 bits; 16 scales of 6 bits in 12 bytes, as ggml's kmask words; d."""
    d, out = half(b, 108), []
    a0, a1, tmp = struct.unpack_from("<III", b, 96)
    low, two = 0x0F0F0F0F, 0x03030303
    words = [a0 & low | (tmp & two) << 4, a1 & low | (tmp >> 2 & two) << 4, a0 >> 4 & low | (tmp >> 4 & two) << 4,
             a1 >> 4 & low | (tmp >> 6 & two) << 4]
    scales = struct.pack("<IIII", *words)
    for n, q in enumerate(loop_twos(b, 32)):
        q -= 0 if b[n % 32] >> (n // 32) & 1 else 4
        out.append(d * np.float32(scales[n // 16] - 32) * np.float32(q))
    return out


IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def loop_codes(b, qs, d, values):
    return [d * np.float32(values[b[qs + j] & 15]) for j in range(16)] + \
        [d * np.float32(values[b[qs + j] >> 4]) for j in range(16)]


def loop_iq4_xs(b):
    """d; two high bits of eight scales; their low four; 128 bytes of codes."""
    d, high, out = half(b, 0), struct.unpack_from("<H", b, 2)[0], []
    for j in range(8):
        scale = (b[4 + j // 2] >> 4 * (j % 2) & 15) | (high >> 2 * j & 3) << 4
        out += loop_codes(b, 8 + 16 * j, d * np.float32(scale - 32), IQ4)
    return out


def loop_mxfp4(b):
    """The OCP format: 2^(e - 127) times numbers of a sign, two bits of exponent and one of fraction. ggml doubles
    the numbers, so that they are integers; its zero has no sign, and 2^-128 has no bits to lose."""
    scale = np.float32(2.0 ** (b[0] - 128))
    return loop_codes(b, 1, scale, [2 * v for v in E2M1] + [-2 * v if v else 0 for v in E2M1])


# Without a minimum the sum must not be made: -0 + 0 is 0. NEVER + x is x for every x.
NEVER = np.float32(-0.0)
LOOPS = {
    "F16": lambda b: [half(b, 0)],
    "BF16": lambda b: [np.frombuffer(b"\0\0" + b, np.float32)[0]],
    "Q8_0": loop_q8_0,
    "Q4_0": lambda b: loop_q4(b, half(b, 0), NEVER, 2, 8),
    "Q4_1": lambda b: loop_q4(b, half(b, 0), half(b, 2), 4, 0),
    "Q5_0": lambda b: loop_q5(b, half(b, 0), NEVER, 2, 6, 16),
    "Q5_1": lambda b: loop_q5(b, half(b, 0), half(b, 2), 4, 8, 0),
    "Q4_K": lambda b: loop_k(b, 16, None),
    "Q5_K": lambda b: loop_k(b, 48, 16),
    "Q6_K": loop_q6_k,
    "Q2_K": loop_q2_k,
    "Q3_K": loop_q3_k,
    "IQ4_NL": lambda b: loop_codes(b, 2, half(b, 0), IQ4),
    "IQ4_XS": loop_iq4_xs,
    "MXFP4": loop_mxfp4,
}


def from_ggml(lib, name, raw, count):
    """ggml's own C: void dequantize_row_T(const block_T *, float *, int64_t)."""
    function = {"F16": "ggml_fp16_to_fp32_row", "BF16": "ggml_bf16_to_fp32_row"}.get(
        name, "dequantize_row_" + (name[:-1] + "K" if name.endswith("_K") else name.lower()).replace("Q", "q", 1))
    out = np.zeros(count, np.float32)
    getattr(lib, function)(ctypes.c_void_p(raw.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(count))
    return out


def check(name, raw, values, lib):
    size = gguf.GGML_QUANT_SIZES[Q[name]][1]
    data = raw.tobytes()
    with np.errstate(all="ignore"):
        again = [v for at in range(0, len(data), size) for v in LOOPS[name](data[at:at + size])]
    again = np.array(again, np.float32)
    sources = [("the loops of this file", again)] + ([("ggml", from_ggml(lib, name, raw, len(values)))] if lib else [])
    for who, other in sources:
        wrong = np.nonzero(other.view(np.uint32) != values.view(np.uint32))[0]
        if len(wrong):
            i = wrong[0]
            raise SystemExit(f"{name}: gguf and {who} differ in {len(wrong)} values, first {i}: {values[i]} {other[i]}")
    return len(sources)


def write_safetensors(path, tensors, metadata):
    header, at = {"__metadata__": metadata}, 0
    for key, a in tensors.items():
        header[key] = {"dtype": {"float32": "F32", "int32": "I32"}[a.dtype.name], "shape": list(a.shape),
                       "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in tensors.values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent
                        / "tests" / "data" / "types.safetensors")
    parser.add_argument("--ggml", help="path of a libggml-base.so to compare with as well")
    args = parser.parse_args()
    lib = ctypes.CDLL(args.ggml) if args.ggml else None
    tensors = {}
    for number, name in enumerate(TYPES):
        raw = np.ascontiguousarray(blocks(np.random.default_rng([SEED, number]), name))
        values = np.ascontiguousarray(gguf.dequantize(raw, Q[name])).astype(np.float32, copy=False).ravel()
        agreeing = check(name, raw, values, lib)
        key = name.lower()
        tensors[key + ".bytes"] = raw.view(np.int32)
        tensors[key + ".f32"] = values
        print(f"{key}: {len(raw)} bytes, {len(values)} values, gguf agrees with {agreeing} other source(s) bit for bit;"
              f" {int(np.sum(values == 0))} zeros, {int(np.sum(np.isnan(values)))} NaN")
    write_safetensors(args.file, tensors, {"made_by": "tools/make-type-vectors.py", "gguf": "dequantize, bit for bit"})
    print(hashlib.sha256(args.file.read_bytes()).hexdigest(), args.file.stat().st_size, args.file)


if __name__ == "__main__":
    main()
