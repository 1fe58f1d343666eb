"""Digits as the words they are read as, in English: simple rules, no guess at what a number means."""

from __future__ import annotations

import re

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_GROUPS = ("", "thousand", "million", "billion", "trillion")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_SIGNS = {"%": "percent", "&": "and", "+": "plus", "=": "equals", "@": "at", "#": "number", "°": "degrees"}
_CURRENCIES = {"$": ("dollar", "dollars"), "£": ("pound", "pounds"), "€": ("euro", "euros"), "¥": ("yen", "yen")}
_NUMBER = re.compile(r"(?P<sign>(?<![\w.])[-−])?(?P<unit>[$£€¥])?(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
                     r"(?:\.(?P<part>[0-9]+))?(?P<rank>(?:st|nd|rd|th)\b)?")  # fmt: skip


def spell_out(text: str) -> str:
    """The text with its numbers and signs in words; other characters stay as they are.

    Four digits from 1100 to 1999 without a comma are read as years are; more than fifteen digits, and those that begin
    with a zero, one by one.

    >>> spell_out("In 1984, 3.5% of 1,200 paid $20")
    'In nineteen eighty four, three point five percent of one thousand two hundred paid twenty dollars'
    """
    text = _NUMBER.sub(_read, text)
    return re.sub("[%&+=@#°]", lambda sign: f" {_SIGNS[sign.group()]} ", text).replace("  ", " ").strip()


def _read(found: re.Match[str]) -> str:
    whole, part, unit = found["whole"], found["part"], found["unit"]
    words = _year(whole) if not (part or unit or found["rank"]) else cardinal(whole.replace(",", ""))
    if part:
        words += " point " + _digits(part)
    elif found["rank"]:
        words = _ordinal(words)
    if unit:
        one, more = _CURRENCIES[unit]
        words += f" {one if words == 'one' else more}"
    # What touches the number is said beside it ("5km", "B2").
    before = found.string[found.start() - 1 : found.start()].isalnum()
    after = found.string[found.end() : found.end() + 1].isalnum()
    return f"{' ' if before else ''}{'minus ' if found['sign'] else ''}{words}{' ' if after else ''}"


def cardinal(digits: str) -> str:
    """A whole number in words.

    >>> cardinal("40017"), cardinal("007")
    ('forty thousand seventeen', 'zero zero seven')
    """
    if len(digits) > 15 or (len(digits) > 1 and digits[0] == "0"):
        return _digits(digits)
    if not int(digits):
        return _ONES[0]
    words = []
    for group in range(len(_GROUPS) - 1, -1, -1):
        value = int(digits) // 1000**group % 1000
        if value:
            words += [*_below_thousand(value), *_GROUPS[group].split()]
    return " ".join(words)


def _below_thousand(value: int) -> list[str]:
    hundreds, rest = divmod(value, 100)
    words = [_ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words.append(_TENS[rest // 10 - 2])
        rest %= 10
    return [*words, _ONES[rest]] if rest else words


def _year(whole: str) -> str:
    if len(whole) == 4 and 1100 <= int(whole.replace(",", "") or 0) <= 1999:
        century, rest = cardinal(whole[:2]), int(whole[2:])
        if not rest:
            return f"{century} hundred"
        return f"{century} {'oh ' if rest < 10 else ''}{cardinal(str(rest))}"
    return cardinal(whole.replace(",", ""))


def _ordinal(words: str) -> str:
    head, _, last = words.rpartition(" ")
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return f"{head} {last}".strip()


def _digits(digits: str) -> str:
    return " ".join(_ONES[int(digit)] for digit in digits)
