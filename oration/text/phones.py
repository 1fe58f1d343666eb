"""The phones of English, and how other sets of labels fold onto them. Knows no audio."""

from __future__ import annotations

from oration.core import BadInput

ARPABET = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K",
    "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
"""The 39 phones of the CMU dictionary, without stress."""

SILENCE = "SIL"

PHONES = (SILENCE, *ARPABET)
"""Silence is symbol 0."""

INDEX = {phone: number for number, phone in enumerate(PHONES)}
"""Phone -> its place in PHONES."""

_TIMIT_SILENCES = ("pcl", "tcl", "kcl", "bcl", "dcl", "gcl", "h#", "pau", "epi", "q", "sil")
_TIMIT = {
    "ao": "AA", "ax": "AH", "ax-h": "AH", "axr": "ER", "hv": "HH", "ix": "IH", "el": "L", "em": "M", "en": "N",
    "nx": "N", "eng": "NG", "zh": "SH", "ux": "UW", "dx": "D",
}  # fmt: skip
"""Lee & Hon 1989, table II. Their set of 39 keeps `dx` (flap) apart, which the CMU dictionary writes D or T."""

_FLITE = {"ax": "AH", "pau": SILENCE, "sil": SILENCE, "brth": SILENCE, "h#": SILENCE}


def fold_arpabet(label: str) -> str:
    """A phone of the CMU dictionary or of an aligner, without its stress; any name of silence or noise becomes SIL.

    >>> fold_arpabet("AO1"), fold_arpabet("sil"), fold_arpabet("+SPN+")
    ('AO', 'SIL', 'SIL')
    """
    plain = label.upper().rstrip("012")
    if plain in INDEX:
        return plain
    if plain in ("", "SP", "SPN", "<SIL>", "<S>", "</S>", "PAU") or plain.startswith(("+", "[")):
        return SILENCE
    raise BadInput(
        f"{label!r} is no ARPAbet phone; expected one of {', '.join(ARPABET)}, with or without stress 0 to 2"
    )


def fold_timit(label: str) -> str:
    """One of TIMIT's 61 labels -> one of PHONES, by Lee & Hon (1989): AO joins AA, ZH joins SH, closures are silence.

    The glottal stop `q`, which they delete, becomes silence, because frames need a label. The flap `dx` joins D.

    >>> [fold_timit(label) for label in ("ix", "tcl", "ao", "iy")]
    ['IH', 'SIL', 'AA', 'IY']
    """
    label = label.lower()
    if label in _TIMIT_SILENCES:
        return SILENCE
    folded = _TIMIT.get(label, label.upper())
    if folded not in INDEX:
        raise BadInput(f"{label!r} is none of TIMIT's 61 phone labels; expected one such as 'ix', 'tcl' or 'h#'")
    return folded


def fold_39(phone: str) -> str:
    """One of PHONES -> the classes that `fold_timit` can give, so that both sides of a comparison agree.

    >>> fold_39("AO"), fold_39("ZH"), fold_39("SIL")
    ('AA', 'SH', 'SIL')
    """
    return {"AO": "AA", "ZH": "SH"}.get(phone, phone)


def fold_flite(label: str) -> str:
    """A phone of flite's English voices -> one of PHONES: the schwa `ax` becomes AH, the pause `pau` SIL.

    >>> fold_flite("ax"), fold_flite("pau"), fold_flite("dh")
    ('AH', 'SIL', 'DH')
    """
    folded = _FLITE.get(label.lower(), label.upper().rstrip("012"))
    if folded not in INDEX:
        raise BadInput(f"{label!r} is no phone of flite's English voices; expected one such as 'ax', 'pau' or 'dh'")
    return folded
