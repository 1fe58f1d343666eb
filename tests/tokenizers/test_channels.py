"""Two parties through one tokenizer: where a recording is cut, and what each channel says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import TICKS, BadInput, Waveform
from oration.tokenizers import F0, Channels, MelRvq, SpeakerTable, Units
from oration.tokenizers.channels import floor, pause
from oration.tokenizers.features import MfccFeatures


def spoken(*spans: tuple[float, float], seconds: float, rate: int = 16000, level: float = 0.2) -> Waveform:
    """Noise in the spans, silence around it."""
    samples = np.random.default_rng(0).standard_normal(round(seconds * rate)) * level
    t = np.arange(len(samples)) / rate
    return Waveform(samples * np.any([(t >= a) & (t < b) for a, b in spans], axis=0), rate)


def built(**numbers):
    torch.manual_seed(0)
    return Channels(**{"of": MelRvq(levels=2, rate=50.0)} | numbers).tiny().build()


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_cut_lies_in_the_longest_pause_near_the_middle(rate):
    wave = spoken((0.0, 0.9), (1.0, 1.5), (1.9, 2.4), (2.6, 3.0), seconds=4.0, rate=rate)
    assert pause(wave) / rate == pytest.approx(1.7, abs=0.03)  # not the longer silence at the end
    assert pause(wave) == pause(Waveform(wave.samples * 0.01, rate))


def test_without_a_pause_it_lies_where_it_is_quietest_and_in_silence_in_the_middle():
    loud = np.full(32000, 0.2)
    loud[17000:17400] = 0.1
    assert 17000 <= pause(Waveform(loud, 16000)) <= 17400
    assert pause(Waveform(np.zeros(32000), 16000)) == pytest.approx(16000, abs=160)
    assert pause(Waveform(np.ones(7), 16000)) == 3
    assert pause(Waveform(np.zeros(0), 16000)) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9000), st.integers(0, 99), st.sampled_from(["pause", "middle"]))
def test_the_two_channels_are_the_recording(length, seed, cut):
    wave = Waveform(np.random.default_rng(seed).standard_normal(length), 8000)
    agent, user = built(cut=cut, of=F0()).split(wave)
    assert len(agent) == len(user) == length
    assert np.array_equal(agent.samples + user.samples, wave.samples)
    at = int(np.flatnonzero(user.samples)[-1]) + 1 if user.samples.any() else 0
    assert not agent.samples[:at].any()


def test_streams_of_both_parties_are_those_of_the_tokenizer_alone():
    part = built()
    wave = spoken((0.1, 0.8), (1.2, 1.9), seconds=2.0)
    (example,) = part.encode([wave])
    assert list(example) == ["codec.0", "codec.1", "user.codec.0", "user.codec.1"] == list(part.specs())
    assert {len(stream) for stream in example.values()} == {100}
    for prefix, side in zip(("", "user."), part.split(wave), strict=True):
        (alone,) = part.inner.encode([side])
        for name, stream in alone.items():
            assert np.array_equal(example[prefix + name].ids, stream.ids)
    (other,) = part.join([part.split(wave)])
    assert all(np.array_equal(other[name].ids, example[name].ids) for name in example)


def test_what_is_heard_before_a_reply_is_the_users_alone():
    part = built(prefixes=("agent.", "user."))
    wave = spoken((0.0, 1.0), seconds=1.0)
    (example,), (alone,), (silence,) = part.hear([wave]), part.inner.encode([wave]), part.inner.encode([
        Waveform(np.zeros(16000), 16000)
    ])  # fmt: skip
    for name in alone:
        assert np.array_equal(example["user." + name].ids, alone[name].ids)
        assert np.array_equal(example["agent." + name].ids, silence[name].ids)


def test_the_agents_channel_is_what_is_decoded():
    config = Channels(of=MelRvq(levels=2, rate=12.5)).tiny()
    decoder = config.vocoder()
    assert (decoder.of, decoder.needs, decoder.rate) == ("codec.0", ("codec.0", "codec.1"), 16000)
    part = config.build()
    (example,) = part.encode([spoken((0.0, 0.4), (0.6, 1.0), seconds=1.0)])
    (sound,), (alone,) = part.decode([example]), part.inner.decode([{n: example[n] for n in decoder.needs}])
    assert np.array_equal(sound.samples, alone.samples)
    named = Channels(of=MelRvq(levels=1), prefixes=("agent.", "user.")).vocoder()
    assert (named.of, named.needs) == ("agent.codec.0", ("agent.codec.0",))
    with pytest.raises(BadInput, match="F0 is no codec"):
        Channels(of=F0()).vocoder()


def test_tiny_keeps_the_parties_and_the_tokenizers_shape():
    config = Channels(of=MelRvq(levels=3, rate=25.0), prefixes=("a.", "b."), cut="middle").tiny()
    assert (config.prefixes, config.cut, config.of.levels, config.of.rate) == (("a.", "b."), "middle", 3, 25.0)
    assert config.of.size == 16


def test_weights_are_those_of_one_tokenizer():
    part = Channels(of=Units(encoder=MfccFeatures(), clusters=10)).tiny().build()
    assert {name.partition(".")[0] for name in part.state_dict()} == {"inner"}
    assert part.rate == 16000
    assert part.specs().keys() == {"units", "user.units"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Channels(prefixes=("", "")), "two that differ"),
        (lambda: Channels(of=SpeakerTable(names=("ann",))), "SpeakerTable needs"),
        (lambda: built().join([(Waveform(np.zeros(9), 16000), Waveform(np.zeros(8), 16000))]), "equally long"),
        (lambda: built().join([(Waveform(np.zeros(9), 16000), Waveform(np.zeros(9), 8000))]), "equally long"),
    ],
)
def test_what_is_no_dialogue_is_refused(make, says):
    with pytest.raises(BadInput, match=says):
        make()


def test_live_pieces_have_one_rate():
    live = built().live()
    live.push(Waveform(np.zeros(100), 16000))
    with pytest.raises(BadInput, match="flush first"):
        live.push(Waveform(np.zeros(100), 8000))


def test_the_floor_is_with_whoever_is_louder_and_a_cough_does_not_take_it():
    user = spoken((0.0, 1.0), (2.5, 2.55), (4.0, 5.0), seconds=6.0)
    agent = spoken((1.2, 3.9), seconds=6.0)
    held = floor(agent, user)
    assert held.ids.tolist() == [1, 0, 1]
    assert held.onsets / TICKS == pytest.approx([0.0, 1.1, 3.95], abs=0.2)
    nothing = Waveform(np.zeros(0), 16000)
    assert floor(nothing, nothing).ids.tolist() == [1]
    (example,) = built(floor=True).join([(agent, user)])
    assert example["floor"].ids.tolist() == [1, 0, 1]
