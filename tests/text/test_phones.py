"""Every label of every set folds onto the 39 phones or silence."""

import pytest

from oration.core import BadInput
from oration.text.phones import ARPABET, INDEX, PHONES, SILENCE, fold_39, fold_arpabet, fold_flite, fold_timit

# fmt: off
TIMIT = {
    "iy", "ih", "eh", "ey", "ae", "aa", "aw", "ay", "ah", "ao", "oy", "ow", "uh", "uw", "ux", "er", "ax", "ix", "axr",
    "ax-h", "jh", "ch", "b", "d", "g", "p", "t", "k", "dx", "s", "sh", "z", "zh", "f", "th", "v", "dh", "m", "n", "ng",
    "em", "nx", "en", "eng", "l", "r", "w", "y", "hh", "hv", "el", "bcl", "dcl", "gcl", "pcl", "tcl", "kcl", "q", "pau",
    "epi", "h#",
}
# fmt: on
FLITE = {"pau", "ax", *(phone.lower() for phone in ARPABET)}


def test_the_inventory():
    assert len(ARPABET) == len(set(ARPABET)) == 39
    assert (SILENCE, *ARPABET) == PHONES
    assert INDEX[SILENCE] == 0
    assert [PHONES[INDEX[phone]] for phone in PHONES] == list(PHONES)


def test_timit_folds_to_38_phones_and_silence():
    assert len(TIMIT) == 61
    folded = {fold_timit(label) for label in TIMIT}
    assert folded <= set(PHONES)
    # Lee and Hon's 39 without the flap, which the dictionary writes D.
    assert len(folded) == 38
    assert folded == {fold_39(phone) for phone in PHONES}


@pytest.mark.parametrize(
    "same", ["ao aa", "ax ah ax-h", "er axr", "hh hv", "ix ih", "el l", "em m", "en nx n", "eng ng", "zh sh", "ux uw",
             "pcl tcl kcl bcl dcl gcl h# pau epi q"]
)  # fmt: skip
def test_timit_labels_that_are_one_class(same):
    assert len({fold_timit(label) for label in same.split()}) == 1


def test_flite_and_the_dictionary_fold_onto_the_inventory():
    assert {fold_flite(label) for label in FLITE} == set(PHONES)
    assert {fold_arpabet(phone + stress) for phone in ARPABET for stress in ("", "0", "1", "2")} == set(ARPABET)
    assert {fold_arpabet(label) for label in ("SIL", "sil", "+SPN+", "+NSN+", "<sil>", "spn", "sp", "")} == {SILENCE}


@pytest.mark.parametrize("fold", [fold_timit, fold_flite, fold_arpabet])
def test_other_labels_are_refused(fold):
    with pytest.raises(BadInput, match="'qqq'"):
        fold("qqq")
