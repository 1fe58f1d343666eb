"""Letters to sounds: how an English word that no dictionary has is likely pronounced.

Rules of one form, `context -> phones of one letter`, of which the one with the widest context that fits is used. They
were learned from a pronouncing dictionary: letters aligned to phones by expectation maximisation (as Damper et al.
2005 and others do), then every context kept whose majority differs from that of the narrower one.

    python -m oration.text.letters measure cmudict.dict      the phone error rate on words kept back from learning
    python -m oration.text.letters learn cmudict.dict FILE   write the rules anew
"""

from __future__ import annotations

import math
import re
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from oration.core import BadInput
from oration.core.files import reason, replace_file
from oration.text.phones import INDEX, fold_arpabet

RULES = Path(__file__).with_name("letters.txt")
"""The rules that come with the package."""

SHAPES = ((0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 4), (4, 4))
"""Letters to the left and to the right that a context has, from the narrowest to the widest; `.` is a word's edge."""

_EDGE = "." * 4
Phones = tuple[str, ...]
Rules = Mapping[tuple[int, str], Phones]
"""(shape's number, letters) -> phones of the letter in the middle."""


def pronounce_letters(word: str, rules: Rules | None = None) -> list[str]:
    """The phones of a word of the letters a to z and apostrophes.

    >>> " ".join(pronounce_letters("oration"))
    'AO R EY SH AH N'
    """
    rules = default_rules() if rules is None else rules
    padded = f"{_EDGE}{word}{_EDGE}"
    phones: list[str] = []
    for at in range(len(_EDGE), len(padded) - len(_EDGE)):
        for number in range(len(SHAPES) - 1, -1, -1):
            left, right = SHAPES[number]
            found = rules.get((number, padded[at - left : at + right + 1]))
            if found is not None:
                phones += found
                break
    return phones


@cache
def default_rules() -> Rules:
    """The rules in `RULES`."""
    rules = {}
    for line in RULES.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            number, context, *phones = line.split(" ")
            rules[int(number), context] = tuple(phones)
    return rules


@cache
def read_dictionary(path: Path | str) -> dict[str, Phones]:
    """Word -> its first pronunciation without stress, from a file in the format of the CMU dictionary.

    Raises:
        BadInput: there is no such file, or a line of it is no word with phones.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as failure:
        raise reason(failure, path) from failure
    words: dict[str, Phones] = {}
    folded: dict[str, str] = {label: label for label in INDEX}
    for number, line in enumerate(lines, 1):
        word, *labels = line.partition("#")[0].split() or [""]
        if not word or line.startswith(";;;") or word.lower() in words or re.search(r"\(\w+\)$", word):
            continue
        try:
            words[word.lower()] = tuple(folded.get(p) or folded.setdefault(p, fold_arpabet(p)) for p in labels)
        except BadInput as wrong:
            raise BadInput(
                f"line {number} of {str(path)!r} is no entry of a pronouncing dictionary ({wrong}); expected a word "
                "and its ARPAbet phones, separated by spaces"
            ) from wrong
    if not words:
        raise BadInput(f"{str(path)!r} holds no word; expected a pronouncing dictionary such as cmudict.dict")
    return words


def kept_back(word: str) -> bool:
    """Whether a word is left out of learning, to measure with: a tenth of them, by a checksum."""
    return zlib.crc32(word.encode()) % 10 == 0


def spellings(words: Mapping[str, Phones]) -> dict[str, Phones]:
    """Those words that are written in letters and apostrophes alone."""
    return {word: phones for word, phones in words.items() if re.fullmatch("[a-z']*[a-z][a-z']*", word)}


def learn(words: Mapping[str, Phones], *, rounds: int = 3, least: int = 2) -> Rules:
    """Rules from a dictionary's words.

    Args:
        rounds: of expectation maximisation (by best paths).
        least: how many words more than the narrower context a rule must get right.
    """
    counts = [defaultdict[str, Counter[Phones]](Counter) for _ in SHAPES]
    for word, parts in _aligned(words, rounds):
        padded = f"{_EDGE}{word}{_EDGE}"
        for at, phones in enumerate(parts, len(_EDGE)):
            for number, (left, right) in enumerate(SHAPES):
                counts[number][padded[at - left : at + right + 1]][phones] += 1
    rules: dict[tuple[int, str], Phones] = {}
    for number, (left, _) in enumerate(SHAPES):
        for context, found in sorted(counts[number].items()):
            best, times = min(found.items(), key=lambda item: (-item[1], item[0]))
            if number:
                now = _narrower(rules, number, context, left)
                if now == best or times - found[now] < least:
                    continue
            rules[number, context] = best
    return rules


def _narrower(rules: Rules, number: int, context: str, left: int) -> Phones:
    """What the rules with less context say of the same letter."""
    for below in range(number - 1, -1, -1):
        fewer, more = SHAPES[below]
        found = rules.get((below, context[left - fewer : left + more + 1]))
        if found is not None:
            return found
    return ()


def _aligned(words: Mapping[str, Phones], rounds: int) -> list[tuple[str, list[Phones]]]:
    """Each word with the phones of each of its letters: none, one or two."""
    counts: defaultdict[str, Counter[Phones]] = defaultdict(Counter)
    for word, phones in words.items():
        for at, letter in enumerate(word):
            counts[letter][()] += 1
            for number, phone in enumerate(phones):
                if abs(number - at * len(phones) / len(word)) < 2:
                    counts[letter][(phone,)] += 1
    aligned: list[tuple[str, list[Phones]]] = []
    for _ in range(rounds):
        cost = _costs(counts)
        aligned = [(word, parts) for word, phones in words.items() if (parts := _align(word, phones, cost))]
        counts = defaultdict(Counter)
        for word, parts in aligned:
            for letter, part in zip(word, parts, strict=True):
                counts[letter][part] += 1
    return aligned


def _costs(counts: Mapping[str, Counter[Phones]]) -> Callable[[str, Phones], float]:
    """Nats of phones given a letter; what was never seen costs much, but is possible."""
    table: dict[tuple[str, Phones], float] = {}
    for letter, found in counts.items():
        total = sum(found.values())
        table |= {(letter, phones): math.log(total / times) for phones, times in found.items()}
    return lambda letter, phones: table.get((letter, phones), 10.0 + 5.0 * len(phones))


def _align(word: str, phones: Sequence[str], cost: Callable[[str, Phones], float]) -> list[Phones]:
    """The cheapest way to give each letter up to two phones; empty if there are too many."""
    best = [0.0] + [math.inf] * len(phones)
    steps: list[list[int]] = []
    for letter in word:
        after, taken = [math.inf] * len(best), [0] * len(best)
        for at, before in enumerate(best):
            if before == math.inf:
                continue
            for count in range(min(2, len(phones) - at) + 1):
                total = before + cost(letter, tuple(phones[at : at + count]))
                if total < after[at + count]:
                    after[at + count], taken[at + count] = total, count
        best = after
        steps.append(taken)
    if best[-1] == math.inf:
        return []
    parts: list[Phones] = []
    at = len(phones)
    for taken in reversed(steps):
        parts.append(tuple(phones[at - taken[at] : at]))
        at -= taken[at]
    return parts[::-1]


def distance(left: Sequence[str], right: Sequence[str]) -> int:
    """Insertions, deletions and substitutions between two sequences."""
    row = list(range(len(right) + 1))
    for at, mine in enumerate(left, 1):
        before, row[0] = row[0], at
        for number, theirs in enumerate(right, 1):
            before, row[number] = row[number], min(row[number] + 1, row[number - 1] + 1, before + (mine != theirs))
    return row[-1]


def error_rates(words: Iterable[tuple[str, Phones]], rules: Rules | None = None) -> tuple[float, float]:
    """Phone and word error rate of the rules against a dictionary, in 0 to 1 (and more)."""
    errors = phones = wrong = count = 0
    for word, truth in words:
        off = distance(pronounce_letters(word, rules), truth)
        errors, phones, wrong, count = errors + off, phones + len(truth), wrong + (off > 0), count + 1
    return errors / max(1, phones), wrong / max(1, count)


def main(arguments: Sequence[str]) -> None:
    """`measure DICTIONARY` or `learn DICTIONARY FILE`."""
    if (len(arguments), *arguments[:1]) not in ((2, "measure"), (3, "learn")):
        raise SystemExit("usage: python -m oration.text.letters measure DICTIONARY | learn DICTIONARY FILE")
    words = spellings(read_dictionary(arguments[1]))
    if arguments[0] == "learn":
        rules = learn({word: phones for word, phones in words.items() if not kept_back(word)})
        head = (
            "# Learned by oration.text.letters from the CMU Pronouncing Dictionary (Carnegie Mellon University, BSD)\n"
        )
        body = "".join(f"{number} {' '.join((context, *phones))}\n" for (number, context), phones in rules.items())
        replace_file(Path(arguments[2]), head + body)
        print(f"{len(rules)} rules")
        return
    held = [(word, phones) for word, phones in words.items() if kept_back(word)]
    phone_errors, word_errors = error_rates(held)
    print(f"{len(held)} words kept back: phone error rate {phone_errors:.3f}, words with an error {word_errors:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
