"""How words, numbers and whole texts are pronounced; the error rate of the letter rules; text that is no English."""

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oration.core import BadInput
from oration.text import letters
from oration.text.letters import distance, error_rates, kept_back, learn, pronounce_letters, read_dictionary, spellings
from oration.text.numbers import cardinal, spell_out
from oration.text.phones import ARPABET, PHONES
from oration.text.pronounce import cmudict, pronounce, pronounce_word, words_of

with_dictionary = pytest.mark.skipif(
    importlib.util.find_spec("pocketsphinx") is None, reason="the dictionary comes with pocketsphinx"
)

BOOK = """;;; a comment
CAT  K AE1 T
cat(2) K AA1 T
hat HH AE1 T # said so
that DH AE1 T
bat B AE T
"""


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "small.dict"
    path.write_text(BOOK, encoding="utf-8")
    return path


def said(text, book):
    return " ".join(phone for _, phones in pronounce(text, str(book)) for phone in phones)


def test_a_dictionary_in_either_style(book):
    assert read_dictionary(book) == {
        "cat": ("K", "AE", "T"), "hat": ("HH", "AE", "T"), "that": ("DH", "AE", "T"), "bat": ("B", "AE", "T")
    }  # fmt: skip


def test_words_are_looked_up_in_any_case_and_possessives_by_their_stem(book):
    assert said("Cat HAT", book) == "K AE T HH AE T"
    assert said("the cat's hat's", book).endswith("K AE T S HH AE T S")
    assert said("'cat'", book) == "K AE T"


def test_unknown_words_by_rule_and_letters_one_by_one(book):
    assert said("rat", book) == "R AE T"
    assert said("NTP", book) == "EH N T IY P IY"
    assert said("hmm", book).split()[:2] == ["EY", "CH"]


def test_punctuation_is_silence_once():
    assert words_of("Well-known, and/or... «so» — (yes)!") == [
        "Well", "known", "SIL", "and", "or", "SIL", "so", "SIL", "yes", "SIL"
    ]  # fmt: skip
    assert words_of("rock'n'roll 'tis dogs'") == ["rock'n'roll", "'tis", "dogs'"]
    assert words_of("") == words_of(" \n") == []
    assert words_of("😀") == ["SIL"]


def test_accents_and_ligatures_are_english_letters():
    assert words_of("Müller’s café, ﬁve straße") == ["Muller's", "cafe", "SIL", "five", "strasse"]


@pytest.mark.parametrize("text", ["привет", "中文", "the α", "٣"])
def test_other_scripts_are_refused(text):
    with pytest.raises(BadInput, match="expected English"):
        words_of(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("In 1984", "In nineteen eighty four"),
        ("1900 and 1905, 2024", "nineteen hundred and nineteen oh five, two thousand twenty four"),
        ("$1, £2.50", "one dollar, two point five zero pounds"),
        ("1st 2nd 3rd 12th 30th 101st", "first second third twelfth thirtieth one hundred first"),
        ("-5 but 3-5", "minus five but three-five"),
        ("1,234,567", "one million two hundred thirty four thousand five hundred sixty seven"),
        ("007", "zero zero seven"),
        ("5km, B2", "five km, B two"),
        ("50% of A&B", "fifty percent of A and B"),
        ("no digits.", "no digits."),
        ("0", "zero"),
        ("9" * 20, " ".join(["nine"] * 20)),
    ],
)
def test_numbers_are_read_out(text, read):
    assert spell_out(text) == read


@given(st.integers(0, 10**15 - 1))
def test_every_number_has_a_name_of_its_own(number):
    assert _value(cardinal(str(number))) == number


def _value(words):
    ones = {cardinal(str(n)): n for n in range(20)}
    tens = {cardinal(str(n)): n for n in range(20, 100, 10)}
    total = group = 0
    for word in words.split():
        if word == "hundred":
            group *= 100
        elif word in ("thousand", "million", "billion", "trillion"):
            total += group * 1000 ** (1 + ["thousand", "million", "billion", "trillion"].index(word))
            group = 0
        else:
            group += ones.get(word, 0) + tens.get(word, 0)
    return total + group


@given(st.text("abcdefghijklmnopqrstuvwxyz'", max_size=30))
def test_any_letters_can_be_pronounced(word):
    assert set(pronounce_letters(word)) <= set(ARPABET)


@given(st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["Cs"]), max_size=60))
def test_any_latin_text_is_phones_or_a_clear_refusal(text):
    try:
        found = pronounce(text, "")
    except BadInput:
        with pytest.raises(BadInput, match="expected English"):
            words_of(text)
        return
    assert {phone for _, phones in found for phone in phones} <= set(PHONES)


@pytest.mark.parametrize("text", ["'" * 300_000, "a" * 300_000, "1," * 100_000 + "1", "\0" * 1000, "é" * 100_000])
def test_long_hostile_texts_take_no_long_time(text):
    assert pronounce(text, "") is not None


def test_rules_learned_from_a_few_words_read_them_back():
    words = {"cat": ("K", "AE", "T"), "city": ("S", "IH", "T", "IY"), "tact": ("T", "AE", "K", "T")} | {
        f"{first}at": (sound, "AE", "T")
        for first, sound in zip("bfhmprs", ("B", "F", "HH", "M", "P", "R", "S"), strict=True)
    }
    rules = learn(words, least=1)
    assert error_rates(words.items(), rules) == (0.0, 0.0)
    assert rules == learn(dict(reversed(words.items())), least=1)
    assert pronounce_letters("pact", rules) == ["P", "AE", "K", "T"]


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_distance(left, right):
    assert distance(left, right) == distance(right, left)
    assert abs(len(left) - len(right)) <= distance(left, right) <= max(len(left), len(right))
    assert (distance(left, right) == 0) == (left == right)


@with_dictionary
def test_the_phone_error_rate_on_words_kept_back_from_learning():
    held = [(w, p) for w, p in spellings(read_dictionary(cmudict())).items() if kept_back(w)]
    assert len(held) > 10_000
    phones, words = error_rates(held)
    assert phones < 0.105
    assert words < 0.45


@with_dictionary
def test_measuring_from_the_command_line(capsys, book):
    letters.main(["measure", str(book)])
    assert "phone error rate" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="usage"):
        letters.main(["learn", str(book)])


@with_dictionary
def test_the_dictionary_of_pocketsphinx_pronounces_what_rules_would_not():
    assert pronounce_word("colonel") == ("K", "ER", "N", "AH", "L")
    assert pronounce_word("choir") == ("K", "W", "AY", "ER")


def test_learning_from_the_command_line(tmp_path, book, capsys):
    letters.main(["learn", str(book), str(tmp_path / "rules.txt")])
    assert "rules" in capsys.readouterr().out
    assert "CMU" in (tmp_path / "rules.txt").read_text(encoding="utf-8").splitlines()[0]


@pytest.mark.parametrize(("content", "why"), [("", "holds no word"), ("cat K QQ", "line 1 .*no entry")])
def test_files_that_are_no_dictionary(tmp_path, content, why):
    path = tmp_path / "bad.dict"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=why):
        pronounce("cat", str(path))


def test_a_dictionary_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        pronounce("cat", str(tmp_path / "gone.dict"))
