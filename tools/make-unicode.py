#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write src/text/unicode.h: what the reference tokenizers know of Unicode and Debian 12's PCRE2 does not.

usage: tools/make-unicode.py > src/text/unicode.h     (needs the tokenizers package, and a Python whose
unicodedata is that of PCRE2 10.42: Unicode 14, Python 3.11)

Every code point is put through the tokenizers' own matcher (Oniguruma), one property after the other, and
through its Digits (Rust's char::is_numeric, whose Unicode is another)."""
import sys
import unicodedata

from tokenizers import Regex, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xd800 <= c < 0xe000]
STEP = 0x4000


def matched(regex):
    split, found = pre_tokenizers.Split(Regex(regex), "removed", invert=True), set()
    for base in range(0, len(CODES), STEP):
        text = "".join(map(chr, CODES[base:base + STEP]))
        for piece, _ in split.pre_tokenize_str(text):
            found.update(map(ord, piece))
    return found


def digits():
    split, found = pre_tokenizers.Digits(individual_digits=True), set()
    for base in range(0, len(CODES), STEP):
        text = "".join("a" + chr(c) + "a" for c in CODES[base:base + STEP])
        found.update(ord(p) for p, _ in split.pre_tokenize_str(text) if len(p) == 1 and p != "a")
    return found


def known(prefix):
    return {c for c in CODES if unicodedata.category(chr(c)).startswith(prefix)}


def write(name, codes):
    ranges = []
    for c in sorted(codes):
        if ranges and ranges[-1][1] == c - 1:
            ranges[-1][1] = c
        else:
            ranges.append([c, c])
    words = [f"\\\\x{{{a:x}}}" + (f"-\\\\x{{{b:x}}}" if b > a else "") for a, b in ranges]
    print(f"#define NEW_{name}", end="")
    line = ""
    for w in words + [None]:
        if w is None or len(line) + len(w) > 100:
            print(f' \\\n\t"{line}"', end="")
            line = ""
        line += w or ""
    print()


def main():
    if unicodedata.unidata_version != "14.0.0":
        sys.exit("unicodedata is %s, wanted 14.0.0" % unicodedata.unidata_version)
    print("""/* SPDX-License-Identifier: Apache-2.0 */
/* Written by tools/make-unicode.py. The reference tokenizers know Unicode 16, Debian 12's PCRE2 (10.42) knows
 * 14. These are the code points assigned since, by property, as a class of PCRE2; with a newer PCRE2 they are
 * merely said twice. DIGIT: what Rust's is_numeric adds to N. */
#ifndef PLUMB_TEXT_UNICODE_H
#define PLUMB_TEXT_UNICODE_H
""")
    numbers = matched(r"\p{N}")
    for name in ("L", "N", "M", "P", "S", "Lu", "Ll", "Lm", "Lo"):
        codes = matched(r"\p{%s}" % name)
        if known(name) - codes:
            sys.exit(f"{name}: code points that changed their property")
        write(name, codes - known(name))
    if numbers - digits():
        sys.exit("Digits: a number that is none")
    write("DIGIT", digits() - numbers)
    print("\n#endif")


if __name__ == "__main__":
    main()
