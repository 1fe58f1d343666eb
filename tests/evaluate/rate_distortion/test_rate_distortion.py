"""Rates, entropies, intervals and winners, on systems whose answers are known."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from oration.core import BadInput, Spec, Stream, Waveform
from oration.core import Example as Streams
from oration.evaluate.rate_distortion.compare import ORIGINAL, rate_distortion, steps
from oration.evaluate.rate_distortion.models import Ours
from oration.evaluate.rate_distortion.page import matches, sections
from oration.evaluate.rate_distortion.peers import Coded
from oration.evaluate.report import Table, Text, page

RATE = 16_000
WITHOUT = ("dnsmos", "wer", "voice", "pesq", "stoi")


@dataclass(frozen=True)
class Noisy:
    """A codec of others that adds noise and takes so many kbit/s."""

    kbps: float
    noise: float
    late: int = 0
    missing: str | None = None

    name = "Noisy"
    how = "made up"

    @property
    def setting(self) -> str:
        return f"{self.kbps:g} kbit/s"

    def trouble(self):
        return self.missing

    def code(self, number, wave):
        noise = self.noise * np.random.default_rng(number).standard_normal(len(wave))
        samples = np.r_[np.zeros(self.late), wave.samples + noise]
        return Coded(Waveform(samples, RATE), 1000 * self.kbps * wave.seconds)


class Halves:
    """Two levels of 16 symbols at 50 Hz that say nothing; the sound comes back, noisier where one is left out."""

    def __init__(self, waves):
        self.waves = waves

    def encode(self, waves):
        rng = np.random.default_rng(len(waves[0]))
        size = math.ceil(50 * waves[0].seconds)
        return [{f"codec.{n}": Stream(rng.integers(0, 8, size)) for n in range(2)} for _ in waves]

    def decode(self, examples: list[Streams]):
        length = len(examples[0]["codec.0"]) * RATE // 50
        wave = next(wave for wave in self.waves if math.ceil(50 * wave.seconds) * RATE // 50 == length)
        noise = np.random.default_rng(length).standard_normal(len(wave)) * (0.01 if len(examples[0]) == 2 else 0.1)
        return [Waveform(wave.samples + noise.astype(np.float32), RATE)]


@pytest.fixture(scope="module")
def waves(hum):
    return [Waveform(hum.samples[: round(seconds * RATE)], RATE) for seconds in (1.0, 1.1, 1.3, 1.5)]


@pytest.fixture(scope="module")
def codec(waves):
    specs = {f"codec.{n}": Spec(16, Fraction(50)) for n in range(2)}
    return Ours("halves", Halves(waves), tuple(specs), specs)


@pytest.fixture(scope="module")
def result(waves, codec):
    told = []
    systems = [
        Noisy(0.2, 0.05), Noisy(1.0, 0.001, late=500), Noisy(9.0, 0.1, missing="it is not installed"), *codec.at(())
    ]  # fmt: skip
    found = rate_distortion(
        waves, [None] * 4, systems, show=(1,), without=WITHOUT, advance=lambda: told.append(1), workers=1
    )
    assert len(told) == steps(len(waves), len(systems))
    return found


def point(result, label):
    return next(one for one in result.points if one.label == label)


def test_bits_are_counted(result, waves):
    assert [one.label for one in result.points] == [
        ORIGINAL, "Noisy, 0.2 kbit/s", "Noisy, 1 kbit/s", "halves, 1 level", "halves, 2 levels"
    ]  # fmt: skip
    two = point(result, "halves, 2 levels")
    items = sum(math.ceil(50 * wave.seconds) for wave in waves)
    assert two.kbps.value == pytest.approx(2 * 4 * items / sum(wave.seconds for wave in waves) / 1000)
    assert point(result, "halves, 1 level").kbps.value == pytest.approx(two.kbps.value / 2)
    assert two.entropy.value == pytest.approx(0.3, abs=0.01), "eight of sixteen symbols are used: 3 of 4 bits"
    assert two.entropy.low <= two.entropy.value <= two.entropy.high < two.kbps.value
    assert point(result, "Noisy, 1 kbit/s").kbps.value == pytest.approx(1)
    assert point(result, ORIGINAL).kbps is None


def test_delays_are_taken_out(result, waves):
    late = point(result, "Noisy, 1 kbit/s")
    assert late.lag.samples == 500
    assert late.scores["si_sdr"].value > 30
    assert len(late.shown[1]) == len(waves[1])
    assert set(late.shown) == {1}


def test_winners_are_paired_by_clip(result):
    pairs = {(one.measure, one.first, one.second): one for one in result.comparisons}
    better = pairs["si_sdr", "Noisy, 1 kbit/s", "halves, 2 levels"]
    assert better.winner == better.first
    assert better.gain.value == pytest.approx(20, abs=1)
    worse = pairs["mel", "Noisy, 0.2 kbit/s", "halves, 2 levels"]
    assert worse.winner == worse.second, "lower is better"
    assert worse.gain.high < 0
    assert len(pairs) == len(result.comparisons) == 2 * 2 * len(result.measures())


def test_peers_stand_beside_the_nearest_rates(result):
    assert [(a.label, b.label) for a, b in matches(result)] == [
        ("Noisy, 0.2 kbit/s", "halves, 1 level"),
        ("Noisy, 1 kbit/s", "halves, 2 levels"),
    ]


def test_the_page_says_who_wins_and_what_is_missing(result):
    made = sections(result, [None, "what is said", None, None])
    texts = [item.text for section in made for item in section.items if isinstance(item, Text)]
    (said,) = [text for text in texts if text.startswith("Noisy at 1 kbit/s")]
    assert "beside halves, 2 levels (0.40 kbit/s, 0.40 times the bits): Noisy is better in mel distance" in said
    assert "halves is better in nothing" in said
    tables = {item.caption: item for section in made for item in section.items if isinstance(item, Table)}
    row = next(row for row in tables["Noisy beside halves"].rows if row[0] == "SI-SDR, dB")
    assert row[2].startswith("Noisy by 20")
    assert row[1].startswith(("Noisy by", "halves by"))
    assert "Noisy, 9 kbit/s: not computed: it is not installed" in tables["Rates"].note
    assert tables["Rates"].rows[-1] == ("Noisy, 9 kbit/s", None, None, None)
    assert "too few to believe" in made[0].lead
    html = page(made)
    assert html.count("<audio") == len(result.points)
    assert "what is said" in html
    assert html.count('class="plot"') == len(result.measures())


def test_peers_alone_are_drawn_but_nobody_wins(waves):
    found = rate_distortion(waves[:1], [None], [Noisy(1.0, 0.01)], without=WITHOUT)
    assert found.comparisons == ()
    assert next(section.title for section in sections(found, [None])) == "What a kilobit buys"
    assert math.isnan(found.points[1].scores["mel"].low), "one clip leaves no interval"


def test_levels_are_those_that_there_are(codec):
    assert [at.levels for at in codec.at(())] == [1, 2]
    assert [at.levels for at in codec.at((2, 8, 2))] == [2]
    specs = {f"codec.{n}": Spec(4, Fraction(25)) for n in range(6)}
    assert [at.levels for at in Ours("six", None, tuple(specs), specs).at(())] == [1, 2, 4, 6]
    one = {"codec.0": Spec(4, Fraction(25))}
    assert [at.levels for at in Ours("one", None, tuple(one), one).at(())] == [1]
    for levels in ((0, 1), (3,), (-1,)):
        with pytest.raises(BadInput, match="halves has 1 to 2 levels"):
            codec.at(levels)


def test_bad_input(waves):
    with pytest.raises(BadInput, match="no measure 'loudness'"):
        rate_distortion(waves, [None] * 4, [], without=("loudness",))
    with pytest.raises(BadInput, match="expected one a clip"):
        rate_distortion(waves, [None], [])
    with pytest.raises(BadInput, match="at least one clip"):
        rate_distortion([], [], [])
