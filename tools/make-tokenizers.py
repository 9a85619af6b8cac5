#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write tests/data/text/tokenizers: a small tokenizer.json of each family, and what Hugging Face's tokenizers make of
odd strings.

usage: tools/make-tokenizers.py [--real NAME=FILE.gguf ...]    (needs the tokenizers package, 0.23; for --real gguf)

Each is trained on a licence and the words below with the normaliser, pre-tokeniser, model and decoder of the family's
own tokenizer.json. FAMILY.json is the tokenizer, odd.json the strings, and FAMILY.ids of each string the FNV-1a of its
ids (32 bits each, little-endian) and of the text that they decode to, with control tokens parsed and as text: a line of
four numbers of 8 hexadecimal digits (both halves of the hash, folded). --real writes NAME.ids alone, for the
vocabulary of a GGUF, from which a tokenizer is made as the model's own tokenizer.json has it."""
import json
import pathlib
import random
import struct
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def words(number):
    return CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|" + number + r"| ?[^\s\p{L}\p{N}]+[\r\n]*" + REST


def cased(ending, number):
    start = r"[^\r\n\p{L}\p{N}]?"
    return (start + UPPER + "*" + LOWER + "+" + ending + "|" + start + UPPER + "+" + LOWER + "*" + ending + "|" + number
            + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*" + REST)


QWEN35 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + REST
WORDS = """the quick brown fox Hello world isn't WE'LL I'M naïve façade Straße ÅNGSTRÖM Ελλάδα Привет мир こんにちは 世界
日本語テキスト 한국어 안녕하세요 العربية שלום हिन्दी नमस्ते ไทย ภาษา தமிழ் বাংলা 1234567890 3.14159 0x1F CamelCaseWord
snake_case kebab-case HTTPServer iPhone XMLHttpRequest""".split()
CODE = ["for (int i = 0; i < n; i++) {\n\tsum += a[i];\n}\n", "def f(x):\n    return x**2  # square\n",
        "<div class=\"a\">\n  <b>x</b>\n</div>", "SELECT * FROM t WHERE a='b';", "\\frac{1}{2}\\\\\n\\end{align}",
        "#include <stdio.h>\r\nint main(void){return 0;}\r\n", "{\"a\": [1, 2.5e-3, null], \"b\": \"\\u00e9\"}",
        "```python\nprint('hi')\n```\n\n\n"]
SIGNS = ["😀", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "❤️", "🏳️‍🌈", "☃", "½", "²", "Ⅷ", "①", "٣", "५", "㊿", "𝟘", "𝔘𝔫𝔦", "ﬁ", "ǅ", "İ", "ı", "ſ", "ẞ",
         "ﷺ", "\u212b", "A\u030a", "\u2126", "가", "\u1100\u1161\u11a8", "퟿", "\u2581", "<0x0A>", "<0xC3>"]
MARKS = [chr(c) for c in (0x301, 0x323, 0x327, 0x483, 0x64b, 0x651, 0x93c, 0x94d, 0xe31, 0x20dd, 0xfe0f, 0x200d, 0x1abb,
                          0x897, 0x1e08f)]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\n\n", "\u00a0", "\u2003", "\u3000", "\u202f", "\u1680", "\u180e",
          "\u200b", "\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\ufeff"]
CONTROLS = [chr(c) for c in [*range(9), *range(14, 32), 127, 128, 0x9f, 0xad, 0x2060, 0xfff9, 0xfffd, 0xffff, 0xe000,
                             0x10ffff, 0xe0001]]
NEW = [chr(c) for c in (0x1c89, 0xa7cb, 0xa7da, 0x105c0, 0x10d40, 0x10d4a, 0x11f02, 0x11f50, 0x1e4d0, 0x1e4f0, 0x2ebf0,
                        0x31350, 0x1ccf0, 0x1f6dc, 0x10d6e, 0x11de0, 0x16ff4, 0x1df25)]
APOSTROPHES = ["'s", "'S", "'t", "'T", "'re", "'RE", "'ve", "'m", "'ll", "'Ll", "'d", "'ſ", "’s", "'", "''", "'x"]
POINTS = list("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "—", "“", "«", "»", "¿", "。", "、", "！", "///", "->", "::"]
SPECIALS = ["<|bos|>", "<|eos|>", "<|im_end|>", "<tool>", "<tool_call>", "<wide>", "<word>", "<norm é>"]


def any_character(r):
    while True:
        c = chr(r.randrange(r.choice([0x80, 0x250, 0x3000, 0x10000, 0x110000])))
        if unicodedata.category(c) not in ("Cs", "Cn"):  # tokenizers and utf8proc know different ones
            return c


def odd_string(r):
    pools = [WORDS, WORDS, WORDS, SPACES, SPACES, POINTS, CODE, SIGNS, MARKS, CONTROLS, NEW, APOSTROPHES]
    kind = r.randrange(10)
    if kind == 0:
        return " ".join(r.choice(WORDS) for _ in range(r.randrange(1, 12)))
    if kind in (1, 2):
        return "".join(r.choice(r.choice(pools)) for _ in range(r.randrange(1, 10)))
    if kind in (3, 4):
        return "".join(any_character(r) for _ in range(r.randrange(1, 14)))
    if kind == 5:
        return r.choice(r.choice(pools)) * r.choice([2, 3, 5, 9, 33])
    if kind == 6:
        return "".join(r.choice(SPACES) * r.randrange(1, 6) + r.choice(WORDS + POINTS) for _ in range(r.randrange(1, 5)))
    if kind == 7:
        return "".join(r.choice("0123456789,. aB'sſ\n") for _ in range(r.randrange(1, 24)))
    if kind == 8:
        return "".join(r.choice(WORDS) + r.choice(APOSTROPHES) + r.choice(SPACES + POINTS) for _ in range(r.randrange(1, 5)))
    parts = [SPECIALS, SPECIALS, WORDS, SPACES, POINTS, [s[:-1] for s in SPECIALS], ["x", "_", "é", "e\u0301"]]
    return "".join(r.choice(r.choice(parts)) for _ in range(r.randrange(1, 8)))


def odd_strings(count):
    r = random.Random(20250214)
    first = ["", " ", "  ", "\n", "a", " a", "a ", "\u2581", "\u2581a", "a\u2581b", " \u2581 ", "<0x0A>", "\x00", "a\x00b"]
    return first + [odd_string(r) for _ in range(count - len(first))]


def corpus():
    texts = (ROOT / "tests/data/real/GPL-3.txt").read_text().split("\n\n")
    return texts + [" ".join(WORDS)] * 20 + CODE * 10 + SIGNS[:24] * 3 + ["\n\n\n    \t\t  " * 10]


def byte_level(split, behaviour="isolated", invert=False, normalizer=None, ignore_merges=False, regex=False):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.normalizer = normalizer
    steps = [] if split is None else [split] if not isinstance(split, str) else [
        pre_tokenizers.Split(Regex(split), behaviour, invert=invert)]
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex))
    t.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    t.decoder = decoders.ByteLevel()
    return t


def marked(prefix):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix == "legacy":
        t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    elif prefix == "none":
        t.normalizer = normalizers.Replace(" ", "\u2581")
        t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prefix, split=False)
    if prefix != "none":
        steps.append(decoders.Strip(" ", 1, 0))
    t.decoder = decoders.Sequence(steps)
    return t


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    t.decoder = decoders.Metaspace(prepend_scheme="always", split=True)
    return t


def digits():
    return pre_tokenizers.Digits(individual_digits=True)


FAMILIES = {
    "qwen2": lambda: byte_level(words(r"\p{N}"), normalizer=normalizers.NFC()),
    "qwen35": lambda: byte_level(QWEN35, normalizer=normalizers.NFC()),
    "llama3": lambda: byte_level(words(r"\p{N}{1,3}"), ignore_merges=True),
    "olmo2": lambda: byte_level(words(r"\p{N}{1,3}"), "removed", True),
    "smollm2": lambda: byte_level(digits(), regex=True),
    "gpt2": lambda: byte_level(None, regex=True),
    "phi4-mini": lambda: byte_level(cased(CONTRACTION + "?", r"\p{N}{1,3}"), "removed", True),
    "tekken": lambda: byte_level(cased("", r"\p{N}"), ignore_merges=True),
    "gemma": lambda: marked("none"),
    "llama2": lambda: marked("legacy"),
    "mistral": lambda: marked("first"),
    "always": lambda: marked("always"),
    "unigram": unigram,
}


def trained(make):
    t = make()
    if make is unigram:
        t.train_from_iterator(corpus(), trainers.UnigramTrainer(
            vocab_size=500, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>"))
        state = json.loads(t.to_str())
        state["added_tokens"] = [a for a in state["added_tokens"] if a["content"] == "<unk>"]
        return Tokenizer.from_str(json.dumps(state))
    bytes_made = isinstance(t.decoder, decoders.ByteLevel)
    extra = [] if bytes_made else ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)]
    size = 700 + (0 if bytes_made else 257)
    alphabet = {"initial_alphabet": sorted(pre_tokenizers.ByteLevel.alphabet())} if bytes_made else {"limit_alphabet": 150}
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=extra, **alphabet)
    if bytes_made:
        t.train_from_iterator(corpus(), trainer)
    else:  # without a split nothing would keep words apart while it is trained
        whole = t.pre_tokenizer
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
        t.train_from_iterator(corpus(), trainer)
        t.pre_tokenizer = whole
        state = json.loads(t.to_str())
        state["added_tokens"] = [a for a in state["added_tokens"] if a["content"] == "<unk>"]
        t = Tokenizer.from_str(json.dumps(state))
    return t


def train(make):
    t = trained(make)
    state = json.loads(t.to_str())
    if state["model"].get("ignore_merges"):  # tokens that no merge makes: a whole piece becomes them
        state["model"]["merges"] = [m for i, m in enumerate(state["model"]["merges"]) if i % 10 != 5]
        t = Tokenizer.from_str(json.dumps(state))
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIALS[:3]])
    t.add_tokens([AddedToken("<tool>", special=False, normalized=False),
                  AddedToken("<tool_call>", special=False, normalized=False),
                  AddedToken("<wide>", special=False, normalized=False, lstrip=True, rstrip=True),
                  AddedToken("<word>", special=False, normalized=False, single_word=True),
                  # where a normaliser puts a blank in front, it does so with the token, too, which nobody wants
                  AddedToken("<norm é>", special=False, normalized=make is not FAMILIES["llama2"])])
    bos = t.token_to_id("<|bos|>")
    t.post_processor = processors.TemplateProcessing(
        single="<|bos|> $A", pair="<|bos|> $A <|bos|> $B", special_tokens=[("<|bos|>", bos)])
    return t


def real(path):
    from gguf import GGUFReader
    fields = GGUFReader(path).fields
    kinds = fields["tokenizer.ggml.token_type"].contents()
    tokens = fields["tokenizer.ggml.tokens"].contents()
    added, user = [t for t, k in zip(tokens, kinds) if k == 3], []
    if fields["tokenizer.ggml.model"].contents() == "gpt2":
        t = byte_level({"smollm": digits}[fields["tokenizer.ggml.pre"].contents()](), regex=True)
        merges = [tuple(m.split(" ", 1)) for m in fields["tokenizer.ggml.merges"].contents()]
        t.model = models.BPE({x: i for i, x in enumerate(tokens)}, merges)
    else:
        t = marked("none")
        scores = fields["tokenizer.ggml.scores"].contents()
        # llama.cpp's converter writes blanks for the marks of user-defined tokens
        tokens = [x.replace(" ", "\u2581") if k == 4 else x for x, k in zip(tokens, kinds)]
        normal = {x: i for i, (x, k) in enumerate(zip(tokens, kinds)) if k == 1}
        merges = [(-scores[i], normal[x[:j]], normal[x[j:]], x[:j], x[j:]) for x, i in normal.items()
                  for j in range(1, len(x)) if x[:j] in normal and x[j:] in normal]
        t.model = models.BPE({x: i for i, x in enumerate(tokens)}, [m[3:] for m in sorted(merges)], unk_token="<unk>",
                             fuse_unk=True, byte_fallback=True)
        user = [x for x, k in zip(tokens, kinds) if k == 4]
    t.add_tokens([AddedToken(x, special=False, normalized=True) for x in user])
    t.add_special_tokens([AddedToken(x, special=True, normalized=False) for x in added])
    bos = fields["tokenizer.ggml.bos_token_id"].contents()
    t.post_processor = processors.TemplateProcessing(
        single="[B] $A", pair="[B] $A [B] $B", special_tokens=[("[B]", bos)])
    return t


def fold(data):
    h = 0xcbf29ce484222325
    for b in data:
        h = (h ^ b) * 0x100000001b3 & 0xffffffffffffffff
    return h >> 32 ^ h & 0xffffffff


def lines(t, strings):
    for s in strings:
        row = []
        for as_text in (False, True):
            t.encode_special_tokens = as_text
            ids = t.encode(s).ids
            text = t.decode(ids[1:], skip_special_tokens=False)
            row += [fold(struct.pack(f"<{len(ids)}i", *ids)), fold(text.encode())]
        yield " ".join(f"{n:08x}" for n in row) + "\n"


def main(args):
    folder = ROOT / "tests/data/text/tokenizers"
    folder.mkdir(parents=True, exist_ok=True)
    strings = odd_strings(2000)
    if args[:1] == ["--real"]:
        for name, path in (a.split("=", 1) for a in args[1:]):
            (folder / f"{name}.ids").write_text("".join(lines(real(path), strings)))
        return
    if args:
        sys.exit(__doc__)
    (folder / "odd.json").write_text("[" + ",\n".join(map(json.dumps, strings)) + "]\n")
    for name, make in FAMILIES.items():
        t = train(make)
        (folder / f"{name}.json").write_text(json.dumps(json.loads(t.to_str()), ensure_ascii=False, separators=(",", ":")))
        (folder / f"{name}.ids").write_text("".join(lines(t, strings)))


if __name__ == "__main__":
    main(sys.argv[1:])
