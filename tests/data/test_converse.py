"""Made-up dialogues: what the marks say is what the channels hold."""

from importlib.resources import files

import numpy as np
import pytest

from oration.audio.io import read, write
from oration.core import BadInput, Waveform
from oration.data.converse import Cast, Manners, compose, ends
from oration.data.dialogues import cast, read_marks, write_dialogues
from oration.data.manifest import Clip, read_manifest

RATE = 16_000


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Real speech of two voices, a noise and an impulse response."""
    folder = tmp_path_factory.mktemp("clips")
    spoken = read_manifest(files("oration").joinpath("samples"))
    rng = np.random.default_rng(0)
    made = {"agent": [], "users": []}
    for number, clip in enumerate(spoken[:6]):
        party = "agent" if number % 2 else "users"
        path = write(clip.wave(rate=RATE).cut(0, 2.2), folder / f"{party}-{number}.wav")
        made[party].append(Clip(f"{party}-{number}", path, 2.2, speaker=party, corpus=party, licence="CC0"))
    noise = write(Waveform(rng.standard_normal(RATE * 2) * 0.1, RATE), folder / "noise.wav")
    room = np.zeros(RATE // 2)
    room[[100, 900, 3000]] = 0.9, 0.4, 0.2
    made["noises"] = [Clip("noise", noise, 2.0)]
    made["rooms"] = [Clip("room", write(Waveform(room, RATE), folder / "room.wav"), 0.5)]
    return made


def loud(wave, start, stop):
    part = wave.samples[round(start * RATE) : round(stop * RATE)]
    return 10 * np.log10(np.mean(np.square(part)) + 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_marks_say_what_is_heard(clips, seed):
    plain = Manners(echo=0.0, background=0.0)
    got = compose(Cast(**clips), plain, np.random.default_rng(seed), 40.0)
    assert len(got.agent) == len(got.user) == 40 * RATE
    silent = np.ones(len(got.agent), bool)
    for mark in got.marks:
        assert 0 <= mark.start < mark.stop <= 40.0
        if mark.kind == "reply":
            assert loud(got.agent, mark.start, mark.stop) > -45
            silent[round(mark.start * RATE) : round(mark.stop * RATE)] = False
        elif mark.kind in ("turn", "barge-in"):
            assert loud(got.user, mark.start, mark.stop) > -45
    assert not got.agent.samples[silent].any(), "the agent says nothing but replies"
    kinds = {mark.kind for mark in got.marks}
    assert {"turn", "reply"} <= kinds


def test_the_agent_answers_in_time_and_stops_in_time(clips):
    manners = Manners(barge_in=1.0, bystander=0.0, noise=0.0)
    found = 0
    for seed in range(5):
        marks = compose(Cast(**clips), manners, np.random.default_rng(seed), 30.0).marks
        replies = [mark for mark in marks if mark.kind == "reply"]
        asked = [mark for mark in marks if mark.kind in ("turn", "barge-in")]
        for reply in replies:
            before = [mark for mark in asked if mark.stop <= reply.start]
            assert manners.gap[0] - 0.01 <= reply.start - max(m.stop for m in before) <= manners.gap[1] + 0.01
            for mark in marks:
                if mark.kind == "barge-in" and reply.start < mark.start < reply.stop:
                    assert manners.stops[0] - 0.01 <= reply.stop - mark.start <= manners.stops[1] + 0.01
                    found += 1
        for pause in (mark for mark in marks if mark.kind == "pause"):
            assert not any(r.start < pause.stop and pause.start < r.stop for r in replies), "a pause is no end"
    assert found >= 5


def test_echo_is_the_agents_voice_and_noise_gets_no_answer(clips):
    only = {name: clips[name] for name in ("agent", "users")}
    quiet = Manners(echo=1.0, echoed=(-20.0, -20.0), later=(0.1, 0.1), level=(-80, -80), background=0.0)
    got = compose(Cast(**only), quiet, np.random.default_rng(1), 20.0)
    late = round(0.1 * RATE)
    heard, said = got.user.samples[late:], got.agent.samples[:-late]
    assert np.corrcoef(heard, said)[0, 1] > 0.98
    marks = compose(Cast(**clips), Manners(noise=1.0, barge_in=0.0), np.random.default_rng(2), 40.0).marks
    for noise in (mark for mark in marks if mark.kind == "noise"):
        starts = [m.start for m in marks if m.kind == "reply"]
        ends_ = [m.stop for m in marks if m.kind in ("turn", "barge-in")]
        for start in starts:
            assert any(0 < start - stop < 0.2 for stop in ends_), "replies follow turns, not noises"
        assert noise.stop > noise.start


def test_what_is_said_begins_and_ends_where_it_is_loud():
    samples = np.zeros(RATE)
    samples[4000:9000] = np.random.default_rng(0).standard_normal(5000) * 0.1
    first, last = ends(samples, RATE)
    assert first == pytest.approx(4000, abs=160)
    assert last == pytest.approx(9000, abs=160)
    assert ends(np.zeros(7), RATE) == (0, 7)
    assert ends(np.zeros(RATE), RATE) == (0, RATE)


def test_a_corpus_goes_on_where_it_was(clips, tmp_path):
    casts = {"train": Cast(**clips), "dev": Cast(**clips)}
    made = write_dialogues(casts, tmp_path / "a", hours=20 * 6 / 3600, seconds=6.0, seed=3)
    assert [clip.split for clip in made].count("dev") == 1
    assert read_manifest(tmp_path / "a") == made
    for side in range(2):
        assert any(clip.call()[side].samples.any() for clip in made)
    marks = dict(read_marks(tmp_path / "a"))
    assert set(marks) == {clip.id for clip in made}
    before = read(made[4].path, channel=1).samples
    for path in (made[4].path, made[9].path.with_suffix(".json")):
        path.unlink()
    again = write_dialogues(casts, tmp_path / "a", hours=20 * 6 / 3600, seconds=6.0, seed=3)
    assert again == made
    assert np.array_equal(read(made[4].path, channel=1).samples, before)
    assert dict(read_marks(tmp_path / "a")) == marks
    with pytest.raises(BadInput, match="asked for otherwise"):
        write_dialogues(casts, tmp_path / "a", hours=0.1, seconds=6.0, seed=4)
    with pytest.raises(BadInput, match="at least one dialogue"):
        write_dialogues(casts, tmp_path / "b", hours=0.0)


def test_casting(clips):
    spoken = [*clips["agent"], *clips["users"]]
    got = cast(spoken, "agent", {"noises": clips["noises"]}, "train", 6.0)
    assert {c.corpus for c in got.agent} == {"agent"}
    assert {c.corpus for c in got.users} == {"users"}
    assert got.noises == clips["noises"]
    with pytest.raises(BadInput, match="0 clips by 'nobody'"):
        cast(spoken, "nobody", {}, "train", 6.0)
    with pytest.raises(BadInput, match="two parties"):
        Cast(agent=[], users=clips["users"])
