"""The traps of turn-taking, one row each: frames of 20 ms in, consequences out."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput
from oration.dialogue.policy import Backchannel, Endpoint, Interrupt, Policy, Silence
from oration.dialogue.turns import Frame, TurnTaking

RATE, HOP = 16_000, 320
PLAIN = Policy(
    endpoint=Endpoint(speech=0.1, silence=0.5, prefix=0.3),
    thinking=Interrupt(speech=0.16, gap=0.1),
    speaking=Interrupt(speech=0.16, confirm=0.4, resume=0.5, gap=0.1),
)
BACK = replace(PLAIN, backchannel=Backchannel(allowed=True, longest=0.6))
DEAF = replace(PLAIN, speaking=Interrupt(allowed=False))
AGAIN = replace(PLAIN, silence=Silence(after=1.0, times=2))
SPLIT = replace(PLAIN, thinking=Interrupt(speech=0.06, gap=0.1), speaking=Interrupt(speech=0.5, confirm=0.5, gap=0.1))


def play(policy, script):
    """`"L:s0.5 .1"`: while the model is Listening, half a second of speech, then 0.1 s of silence -> kinds, in order.

    The model behaves: it thinks when a turn is over, falls silent when interrupted, and goes on when told to resume.
    """
    turns, at, acts, state = TurnTaking(RATE, policy), 0, [], "listening"
    names = {"L": "listening", "T": "thinking", "S": "speaking"}
    for part in script.split():
        if part in names:
            state = names[part]
            continue
        kind, seconds = part[0], float(part[1:])
        for _ in range(round(seconds * RATE / HOP)):
            chance, level = {"s": (0.9, -25), "q": (0.9, -70), ".": (0.05, -70)}[kind]
            for act in turns.hear(Frame(chance, level, at, at + HOP), state):
                acts.append(act)
                state = {"interrupt": "listening", "end": "thinking", "resume": "speaking"}.get(act.kind, state)
            at += HOP
    return acts


MERGED = "onset offset end onset interrupt offset end"
TRAPS = [
    ("a turn", PLAIN, "L .0.5 s1 .0.6", "onset offset end"),
    ("a click is no turn", PLAIN, "L .0.5 s0.06 .1", ""),
    ("clicks do not add up to a turn", PLAIN, "L s0.06 .0.3 s0.06 .0.3 s0.06 .1", ""),
    ("a pause in a sentence does not end it", PLAIN, "L s0.5 .0.4 s0.5 .0.6", "onset offset end"),
    ("no speech, no turn, however long", PLAIN, "L .20", ""),
    ("an interruption, then a turn of its own", PLAIN, "S .1 s1 .0.6", "onset interrupt confirm offset end"),
    ("a false one gives the floor back", PLAIN, "S .1 s0.2 .0.6", "onset interrupt offset resume"),
    ("and back again", PLAIN, "S s0.2 .0.6 s0.2 .0.6", "onset interrupt offset resume " * 2),
    ("after a false one a real one counts", PLAIN, "S s0.2 .0.6 s1 .0.6",
     "onset interrupt offset resume onset interrupt confirm offset end"),
    ("a cough shorter than speech does nothing", PLAIN, "S .0.5 s0.1 .1", "backchannel"),
    ("coughs do not add up to an interruption", PLAIN, "S s0.08 .0.2 s0.08 .0.2 s0.08 .0.2", ""),
    ("quiet speech from afar does not interrupt", PLAIN, "S q2 .1", "backchannel"),
    ("mm-hmm does not stop the model", BACK, "S .1 s0.4 .0.6", "backchannel"),
    ("two of them neither", BACK, "S s0.4 .0.4 s0.4 .0.4", "backchannel backchannel"),
    ("but longer speech does", BACK, "S .1 s1 .0.6", "onset interrupt confirm offset end"),
    ("mm-hmm while it thinks is more of the turn", BACK, "L s1 .0.6 s0.4 .0.6", MERGED),
    ("a slow speaker goes on while the model thinks", PLAIN, "L s1 .0.6 s1 .0.6", MERGED),
    ("hard to interrupt while speaking", SPLIT, "S s0.3 .0.3", "backchannel"),
    ("and kind to slow speakers while thinking", SPLIT, "L s1 .0.6 s0.1 .0.6", MERGED),
    ("a model that may not be interrupted is not", DEAF, "S s3 .1", "backchannel"),
    ("a long silence is broken", AGAIN, "L .1.1", "prompt"),
    ("but not for ever", AGAIN, "L .9", "prompt prompt"),
    ("and not while the model speaks", AGAIN, "S .9", ""),
    ("a turn begins the count anew", AGAIN, "L .2.5 s0.5 .0.6 L .1.1", "prompt prompt onset offset end prompt"),
    ("an endless turn is ended", replace(PLAIN, endpoint=Endpoint(longest=2.0)), "L s2.1", "onset offset end"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "policy", "script", "expected"), TRAPS, ids=[trap[0] for trap in TRAPS])
def test_traps(why, policy, script, expected):
    assert " ".join(act.kind for act in play(policy, script)) == expected.strip()


def test_the_turn_keeps_what_was_before_its_onset():
    onset, _offset, end = play(PLAIN, "L .1 s1 .0.6")
    assert onset.at == RATE
    assert end.start == RATE - round(0.3 * RATE)
    assert end.voiced == RATE
    assert end.level == pytest.approx(-25, abs=0.1)
    assert end.at == RATE * 25 // 10


def test_the_interrupting_word_is_not_cut_off():
    acts = play(PLAIN, "S .1 s1 .0.6")
    onset, interrupt, end = acts[0], acts[1], acts[-1]
    assert onset.at == interrupt.at == RATE
    assert end.start == RATE - round(0.3 * RATE)


def test_who_goes_on_while_the_model_thinks_has_one_turn():
    first, second = [act for act in play(PLAIN, "L .1 s1 .0.6 s1 .0.6") if act.kind == "end"]
    assert first.start == second.start
    assert second.voiced == 2 * RATE


def test_a_turn_that_follows_another_does_not_take_of_it():
    ends = [act for act in play(PLAIN, "L .1 s1 .0.6 L .0.1 s1 .0.6") if act.kind == "end"]
    assert ends[1].start == ends[0].at


def test_the_user_may_end_their_turn_themselves():
    turns = TurnTaking(RATE, PLAIN)
    for k in range(20):
        turns.hear(Frame(0.9, -25, k * HOP, (k + 1) * HOP), "listening")
    offset, end = turns.commit(20 * HOP)
    assert (offset.kind, end.kind, end.at) == ("offset", "end", 20 * HOP)
    assert not turns.hear(Frame(0.0, -70, 20 * HOP, 21 * HOP), "listening")
    (silent,) = turns.commit(30 * HOP)
    assert (silent.start, silent.voiced) == (20 * HOP, 0)


def test_a_policy_may_change_between_two_frames():
    turns = TurnTaking(RATE, PLAIN)
    for k in range(30):
        turns.hear(Frame(0.9, -25, k * HOP, (k + 1) * HOP), "listening")
    turns.policy = PLAIN.changed({"endpoint": {"silence": 0.1}})
    acts = [a for k in range(30, 36) for a in turns.hear(Frame(0.0, -70, k * HOP, (k + 1) * HOP), "listening")]
    assert [act.kind for act in acts] == ["offset", "end"]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(-90, 0), st.sampled_from(["listening", "thinking", "speaking"]))),
    st.sampled_from([PLAIN, BACK, DEAF, AGAIN, SPLIT]),
)
@settings(max_examples=200, deadline=None)
def test_whatever_is_heard_every_onset_has_one_offset_and_turns_do_not_overlap(frames, policy):
    turns, speaking, state = TurnTaking(RATE, policy), False, "listening"
    for k, (chance, level, wish) in enumerate(frames):
        state = "listening" if turns.turn is not None else wish
        for act in turns.hear(Frame(chance, level, k * HOP, (k + 1) * HOP), state):
            if act.kind in ("onset", "offset"):
                assert speaking == (act.kind == "offset")
                speaking = not speaking
            if act.kind in ("end", "resume"):
                assert not speaking
            if act.kind == "end":
                assert 0 <= act.start <= act.at == (k + 1) * HOP
    assert speaking == (turns.turn is not None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"endpoint": {"silense": 1}}, "has no 'silense'"),
        ({"endpoints": {}}, "endpoints"),
        ({"endpoint": 3}, "expected an object"),
        ({"endpoint": {"silence": "long"}}, "expected a value such as 0.5"),
        ({"endpoint": {"silence": -1}}, "0 to 3600"),
        ({"endpoint": {"silence": 0}}, "at once"),
        ({"endpoint": {"create": 1}}, "such as True"),
        ({"silence": {"times": 1.5}}, "such as 1"),
        ({"endpoint": {"silence": float("nan")}}, "0 to 3600"),
    ],
)
def test_what_a_client_may_not_make_a_policy(changes, says):
    with pytest.raises(BadInput, match=says):
        Policy().changed(changes)


def test_what_a_client_may_make_a_policy():
    policy = Policy().changed({"silence": {"after": 7}, "speaking": {"allowed": False, "speech": 0.3}})
    assert policy.silence.after == 7
    assert not policy.speaking.allowed
    assert policy.endpoint == Endpoint()
    assert Policy().changed({"silence": {"after": None}}) == Policy()
