"""Turn by turn, with the model that comes with the package and with a cascade, on real speech and a simulated clock."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oration.audio.io import read
from oration.core import BadInput, Waveform
from oration.dialogue.events import Audio, Began, Ended, Flush, Heard, Said, Speech, Trouble
from oration.dialogue.measures import latencies, stop_times
from oration.dialogue.policy import Addressed, Endpoint, Policy, Silence
from oration.live import Echo, Full, Options, open_engine
from oration.live.cascade import Cascade, Repeat
from oration.live.client import Client
from oration.live.turns import Turns
from oration.model import SpeechLM
from oration.recipe import find

SAMPLES = Path(__file__).parents[2] / "oration" / "samples"
RATE, PIECE = 16_000, 320


class Tone:
    """A voice: a word is 0.3 s of a tone."""

    rate = RATE

    def say(self, words, seed):
        return Waveform(0.1 * np.sin(np.arange(round(0.3 * RATE * len(words.split()))) / 5).astype(np.float32), RATE)


class Fixed:
    """A recogniser that always hears the same."""

    name = "fixed"

    def transcribe(self, waves):
        return ["one two three four five six seven eight"] * len(waves)


@cache
def words(start, seconds):
    return read(SAMPLES / "jfk.flac", rate=RATE).cut(start, start + seconds).samples


def silence(seconds):
    return (1e-4 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def cascade(slots=4, **policy):
    return Cascade(slots=slots, policy=Policy(**policy), recogniser=Fixed(), thinker=Repeat(), voice=Tone())


def converse(engine, sound, *, options=None, seed=0, client=None, begin=0.0):
    client = client or Client(engine, engine.open(options or Options(), seed))
    played = [
        client.turn(sound[at : at + PIECE], begin + at / RATE) for at in range(0, len(sound) // PIECE * PIECE, PIECE)
    ]
    client.session.ledger.balance()
    return client, np.concatenate([np.zeros(0, np.float32), *played])


def of(client, kind):
    return [event for event in client.events if isinstance(event, kind)]


QUESTION = np.concatenate([silence(0.5), words(0.3, 1.9), silence(6.0)])


def test_a_question_is_answered_after_it_is_over():
    client, played = converse(cascade(), QUESTION)
    on, off = of(client, Speech)
    assert (on.on, off.on) == (True, False)
    (began,), (ended,) = of(client, Began), of(client, Ended)
    assert ended.why == "done"
    assert [event.text for event in of(client, Heard)] == ["one two three four five six seven eight"]
    assert (
        "".join(event.text for event in of(client, Said)).strip() == "You said one two three four five six seven eight"
    )
    (latency,) = latencies(client.session.ledger)
    assert 0.45 * RATE < latency.samples < 0.65 * RATE
    assert client.session.ledger.counts.played == round(3.0 * RATE)
    assert np.flatnonzero(np.abs(played) > 0.01)[0] >= began.heard - PIECE


def test_silence_and_noise_are_not_answered():
    noise = (0.02 * np.random.default_rng(1).standard_normal(3 * RATE)).astype(np.float32)
    client, played = converse(cascade(), np.concatenate([silence(2.0), noise, silence(1.0)]))
    assert not of(client, Began)
    assert not played.any()


def test_speech_from_afar_is_not_answered():
    client, _ = converse(cascade(addressed=Addressed(level=-20.0)), QUESTION * 0.1)
    assert of(client, Speech)
    assert not of(client, Began)


INTERRUPTED = np.concatenate([silence(0.5), words(0.3, 1.9), silence(1.6), words(5.4, 2.4), silence(5.0)])


def test_an_interruption_stops_the_sound_and_the_past_holds_what_was_heard():
    client, _ = converse(cascade(), INTERRUPTED)
    session = client.session
    (flush,) = of(client, Flush)
    first, _second = of(client, Began)
    assert flush.epoch == first.epoch
    assert len(of(client, Ended)) == 2
    (stop,) = stop_times(session.ledger)
    assert stop.samples <= 0.4 * RATE
    heard = session.ledger.heard(first.epoch)
    assert 0 < heard < round(3.0 * RATE)
    (turn,) = session.past.turns
    said = ["You", "said", "one", "two", "three", "four", "five", "six", "seven", "eight"]
    count = len(turn["model"].split())
    assert turn["model"].split() == said[:count]
    assert abs(count * 0.3 - heard / RATE) < 0.5
    assert session.past.seconds == [pytest.approx(heard / RATE)]


def test_after_a_cancel_nothing_of_it_comes_and_twice_is_once():
    engine = cascade()
    client, _ = converse(engine, QUESTION[: 4 * RATE])
    assert client.session.state == "speaking"
    client.session.cancel(4.0)
    client.session.cancel(4.0)
    client.collect(4.0)
    assert client.loudspeaker.waiting == 0
    epoch = of(client, Began)[-1].epoch
    assert len([e for e in of(client, Ended) if e.epoch == epoch]) == 1
    for _ in range(20):
        engine.step(4.0)
    assert not [event for event in client.session.take() if isinstance(event, Audio)]
    client.session.ledger.balance()


def test_cancelled_before_its_first_sample_it_never_sounds_and_the_next_turn_is_answered():
    engine = cascade()
    client = Client(engine, engine.open(Options(), 0))
    client.session.push(Waveform(QUESTION[: 4 * RATE], RATE), 0.0)
    while not of(client, Began):
        engine.step(0.0)
        client.events += [event for event in client.session.take() if not isinstance(event, Audio | Flush)]
    client.session.cancel(0.0)
    heard = client.session.ledger.heard(1)
    assert heard == 0
    _, played = converse(engine, QUESTION, client=client, begin=4.0)
    assert played.any()
    assert of(client, Began)[-1].epoch > 1


def test_a_false_interruption_gives_the_reply_back_where_it_was_heard():
    cough = np.concatenate([silence(0.5), words(0.3, 1.9), silence(1.5), words(0.3, 0.3), silence(5.0)])
    client, played = converse(cascade(), cough)
    began = of(client, Began)
    assert [event.resumes for event in began] == [None, began[0].epoch]
    ledger = client.session.ledger
    assert ledger.heard(1) + ledger.heard(2) == round(3.0 * RATE)  # all of it, once
    assert len(latencies(ledger)) == 1
    assert abs(int((np.abs(played) > 0).sum()) - 3.0 * RATE) < 0.02 * RATE


def test_who_ends_their_turn_themselves_is_answered_at_once():
    engine = cascade(endpoint=Endpoint(silence=30.0))
    client, _ = converse(engine, QUESTION[: 2 * RATE])
    assert not of(client, Began)
    client.session.commit()
    converse(engine, silence(1.0), client=client, begin=2.0)
    assert len(of(client, Began)) == 1


def test_without_replies_of_its_own_it_waits_to_be_asked():
    engine = cascade(endpoint=Endpoint(create=False))
    client, _ = converse(engine, QUESTION[: 4 * RATE])
    assert len(of(client, Speech)) == 2
    assert not of(client, Began)
    client.session.respond()
    converse(engine, silence(0.5), client=client, begin=4.0)
    assert len(of(client, Began)) == 1


def test_what_is_typed_is_answered_and_a_long_silence_is_broken():
    engine = cascade(silence=Silence(after=1.0))
    client = Client(engine, engine.open(Options(), 0))
    client.session.text("hello there")
    converse(engine, silence(3.5), client=client)
    first, second = of(client, Began)
    assert second.heard - client.session.ledger.turn(first.epoch).last.received > 0.9 * RATE


def test_a_client_that_confirms_nothing_does_not_wedge_the_session():
    engine = cascade()
    session = engine.open(Options(lead=0.5), 0)
    events = []
    for at in range(0, 16 * RATE, PIECE * 5):
        sound = np.concatenate([QUESTION, silence(20.0)])[at : at + PIECE * 5]
        session.push(Waveform(sound, RATE), at / RATE)
        for _ in range(5):
            engine.step(at / RATE)
        events += session.take()
    (trouble,) = [event for event in events if isinstance(event, Trouble)]
    assert trouble.kind == "unconfirmed"
    assert [event.why for event in events if isinstance(event, Ended)] == ["failed"]
    assert session.ledger.emitted == round(0.5 * RATE)
    session.ledger.balance()


def test_all_slots_taken_is_told_and_a_closed_one_is_free_again():
    for engine in (cascade(slots=1), Echo(slots=1)):
        session = engine.open(Options(), 0)
        with pytest.raises(Full, match="all 1 sessions"):
            engine.open(Options(), 0)
        session.close(0.0)
        session.close(0.0)
        with pytest.raises(BadInput, match="closed"):
            session.push(Waveform(np.zeros(10, np.float32), RATE), 0.0)
        engine.step(0.0)
        engine.open(Options(), 0)


def test_another_rate_is_brought_to_the_engines_and_may_not_change():
    session = cascade().open(Options(), 0)
    session.push(Waveform(np.zeros(24_000, np.float32), 24_000), 0.0)
    assert 15_000 < session.ledger.received <= 16_000
    with pytest.raises(BadInput, match="expected 24000 Hz"):
        session.push(Waveform(np.zeros(160, np.float32), RATE), 0.0)


def test_more_input_than_is_waited_for_drops_the_oldest():
    session = cascade().open(Options(), 0)
    for _ in range(12):
        session.push(Waveform(silence(1.0), RATE), 0.0)
    session.ledger.balance()
    assert session.ledger.counts.dropped == {"late": 2 * RATE}
    assert session.ledger.waiting == 10 * RATE


def test_the_echo_engine_says_back_what_it_hears_a_frame_later():
    engine = Echo(rate=RATE, frame=PIECE)
    client, played = converse(engine, words(0.3, 1.0))
    assert np.array_equal(played, words(0.3, 1.0)[: len(played)])
    client.session.cancel(1.0)
    client.session.push(Waveform(words(0.3, 0.1), RATE), 1.0)
    engine.step(1.0)
    assert {e.epoch for e in client.session.take() if isinstance(e, Audio)} == {2}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_the_cascade_of_real_parts_says_what_it_recognised():
    pytest.importorskip("pocketsphinx")
    client, played = converse(Cascade(), QUESTION)
    (heard,) = of(client, Heard)
    assert "americans" in heard.text
    assert "".join(event.text for event in of(client, Said)).startswith("You said")
    assert np.abs(played).max() > 0.05


wish = st.one_of(
    st.tuples(st.just("push"), st.sampled_from([0.02, 0.3, 1.0]), st.booleans()),
    st.tuples(st.just("step"), st.integers(1, 6), st.just(0)),
    st.tuples(st.just("played"), st.integers(-1000, 60_000), st.just(0)),
    st.tuples(st.sampled_from(["cancel", "commit", "respond", "text", "take", "resume"]), st.just(0), st.just(0)),
)


@given(st.lists(wish, max_size=40))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_client_does_nothing_of_an_old_epoch_leaves_and_the_ledger_balances(wishes):
    engine, now, over, began, ended = cascade(), 0.0, 0, [], []
    session = engine.open(Options(lead=1.0), 0)
    for what, much, loud in [*wishes, ("take", 0, 0)]:
        now += 0.02
        if what == "push":
            session.push(Waveform(words(0.3, much) if loud else silence(much), RATE), now)
        elif what == "step":
            for _ in range(much):
                engine.step(now)
        elif what == "played":
            session.played(much, now)
        elif what == "cancel":
            session.cancel(now)
            over = max(over, session.epoch)
        elif what == "text":
            session.text("hello")
        elif what == "resume":
            session.ledger.resume(session.ledger.confirmed, now)
        elif what in ("commit", "respond"):
            getattr(session, what)()
        for event in session.take() if what in ("take", "cancel") else ():
            if isinstance(event, Audio):
                assert event.epoch > over
                session.ledger.send(event.stop, now)
            began += [event.epoch] if isinstance(event, Began) else []
            ended += [event.epoch] if isinstance(event, Ended) else []
        session.ledger.balance()
    assert len(set(began)) == len(began)
    assert len(set(ended)) == len(ended)
    assert set(began) - set(ended) <= {session.epoch}
    session.close(now)
    session.ledger.balance()
    assert session.ledger.counts.unsent == session.ledger.counts.sent == session.ledger.waiting == 0


@cache
def pocket():
    return SpeechLM.load(weights="fp32")


def test_the_models_reply_is_cut_to_what_was_heard_to_the_frame():
    engine = open_engine(pocket(), slots=2)
    assert isinstance(engine, Turns)
    sound = np.concatenate([silence(0.5), words(0.3, 1.9), silence(1.5), words(5.4, 1.0), silence(1.2)])
    client, played = converse(engine, sound, options=Options(longest=2.0, lead=1.0))
    session = client.session
    question, reply = session.past.turns
    heard = session.past.seconds[0]
    assert heard == pytest.approx(session.ledger.heard(1) / RATE)
    assert len(reply["units"]) == int(heard * 50 + 1e-6)
    assert 0 < heard < 2.0
    assert len(question["units"]) > 50
    assert np.abs(played).max() > 0.01


@pytest.mark.slow
def test_a_session_among_others_says_what_it_says_alone():
    options = Options(longest=0.6)
    sounds = [np.concatenate([silence(0.2), words(0.3, 1.0 + 0.3 * k), silence(1.6)]) for k in range(2)]

    def run(which):
        engine = open_engine(pocket(), slots=2)
        clients = [Client(engine, engine.open(options, seed=k)) for k in which]
        found = [[] for _ in which]
        for at in range(0, len(sounds[0]), PIECE):
            for client, k, out in zip(clients, which, found, strict=True):
                out.append(client.turn(sounds[k][at : at + PIECE], at / RATE, steps=1))
        return [np.concatenate(out) for out in found]

    both, alone = run([0, 1]), [run([k])[0] for k in range(2)]
    for k in range(2):
        assert np.abs(both[k]).max() > 0.01
        assert np.array_equal(sound_of(both[k]), sound_of(alone[k]))


def sound_of(played):
    """Without the silence around it: when it begins depends on how often the engine steps."""
    at = np.flatnonzero(played)
    return played[at[0] : at[0] + RATE // 2]


@pytest.mark.slow
def test_a_cascade_in_one_recipe_is_driven_as_it_is():
    model = SpeechLM(find("cascade").tiny())
    engine = open_engine(model, slots=1, policy=Policy(endpoint=Endpoint(silence=0.3)))
    assert engine.name == "cascade"
    client, _ = converse(engine, QUESTION[: 4 * RATE], options=Options(longest=0.5))
    assert of(client, Began)
    client.session.ledger.balance()


def test_the_model_finds_speech_likelier_to_be_a_query_than_noise():
    responder = open_engine(pocket()).responder
    units = pocket().part("units")
    noise = (0.1 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
    waves = [words(0.3, 2.0), read(SAMPLES / "LJ001-0026.flac", rate=RATE).cut(0.0, 2.0).samples, noise]
    first, second, other = (responder.query(units.encode([Waveform(wave, RATE)])[0]) for wave in waves)
    assert min(first, second) > 1.5 * other
    client, _ = converse(cascade(addressed=Addressed(query=0.5)), QUESTION[: 4 * RATE])
    assert of(client, Began)
