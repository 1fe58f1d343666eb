"""Whatever happens to a session, its ledger balances, and knows to the sample what was heard."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.core import BadInput
from oration.dialogue.ledger import Ledger
from oration.dialogue.measures import latencies, losses, stop_times

RATE, FRAME = 16_000, 320

small = st.integers(0, 900)
basic = st.one_of(
    st.tuples(st.just("emit"), small, st.integers(1, 6)),
    st.tuples(st.just("send"), st.integers(-100, 6000)),
    st.tuples(st.just("discard"), st.integers(0, 6000), small),
    st.tuples(st.just("cancel"), st.integers(1, 6)),
)
step = st.one_of(
    basic,
    st.tuples(st.just("receive"), small),
    st.tuples(st.just("consume"), small),
    st.tuples(st.just("drop"), small),
    st.tuples(st.just("begin"), st.integers(1, 6)),
    st.tuples(st.just("play"), st.integers(-100, 6000)),
    st.tuples(st.just("resume"), st.integers(-100, 6000)),
)


def do(ledger, what, now):
    name, *values = what
    if name == "emit":
        ledger.emit(values[0], values[1], now, heard=ledger.consumed)
    elif name == "drop":
        ledger.drop(values[0], "late", now)
    elif name == "discard":
        ledger.discard(values[0], values[0] + values[1], "slow", now)
    else:
        getattr(ledger, name)(values[0], now)


@given(st.lists(step, max_size=60))
@settings(max_examples=150, deadline=None)
def test_it_balances_after_any_sequence_of_operations(steps):
    ledger, heard, played, discarded = Ledger(RATE, FRAME), {}, 0, 0
    for k, what in enumerate(steps):
        do(ledger, what, 0.01 * k)
        ledger.balance()
        counts = ledger.counts
        assert counts.played >= played  # what was heard stays heard
        assert sum(counts.discarded.values()) >= discarded
        played, discarded = counts.played, sum(counts.discarded.values())
        for epoch in range(1, 7):
            assert ledger.heard(epoch) >= heard.get(epoch, 0)
            heard[epoch] = ledger.heard(epoch)
        assert sum(heard.values()) == played
        for turn in ledger.all_turns():
            assert turn.heard_samples + sum(turn.lost.values()) <= turn.stop - turn.start
    ledger.discard(0, ledger.emitted, "closed", 99.0)
    ledger.drop(ledger.waiting, "closed", 99.0)
    ledger.balance()
    counts = ledger.counts
    assert counts.unsent == counts.sent == counts.waiting == 0


def states(ledger_ops):
    """The same, sample by sample: slow and plain."""
    emitted, fence = [], 0  # [epoch, state] of each
    for name, *values in ledger_ops:
        if name == "emit" and values[1] > fence and all(values[1] >= epoch for epoch, _ in emitted):
            emitted += [[values[1], "unsent"] for _ in range(values[0])]
        elif name == "send":
            for cell in emitted[: max(0, values[0])]:
                cell[1] = "sent" if cell[1] == "unsent" else cell[1]
        elif name == "discard":
            for cell in emitted[values[0] : sum(values)]:
                cell[1] = "slow" if cell[1] in ("unsent", "sent") else cell[1]
        elif name == "cancel":
            fence = max(fence, values[0])
            mine = [i for i, (epoch, _) in enumerate(emitted) if epoch == values[0]]
            for i in mine:
                emitted[i][1] = "cancelled" if emitted[i][1] == "unsent" else emitted[i][1]
    return emitted


@given(st.lists(basic, max_size=30))
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_a_ledger_of_single_samples(steps):
    ledger = Ledger(RATE, FRAME)
    for k, what in enumerate(steps):
        do(ledger, what, 0.01 * k)
    plain, counts = states(steps), ledger.counts
    assert counts.emitted == len(plain)
    assert counts.unsent == sum(state == "unsent" for _, state in plain)
    assert counts.sent == sum(state == "sent" for _, state in plain)
    for why in ("slow", "cancelled"):
        assert counts.discarded.get(why, 0) == sum(state == why for _, state in plain)


def test_what_was_heard_is_exact_over_ten_thousand_interruptions():
    chance, ledger, now = np.random.default_rng(5), Ledger(RATE, FRAME), 0.0
    for epoch in range(1, 10_001):
        frames, now = int(chance.integers(0, 12)), now + 0.1
        truth, at = 0, ledger.confirmed
        start = ledger.emitted
        for _ in range(frames):  # made faster than real time, sent a little later, heard later still
            ledger.emit(FRAME, epoch, now, heard=ledger.consumed)
        sent = start + (int(chance.integers(0, frames * FRAME + 1)) if frames else 0)
        ledger.send(sent, now)
        at = max(at, start)
        for _ in range(int(chance.integers(0, 4))):
            at = min(sent, at + int(chance.integers(0, 2 * FRAME)))
            ledger.play(at, now)
        rest = ledger.cancel(epoch, now)
        assert rest.stop - rest.start == max(0, sent - max(at, start))
        if chance.random() < 0.3:
            assert ledger.cancel(epoch, now) == rest  # twice is once
        assert not ledger.emit(FRAME, epoch, now, heard=0)
        at = min(sent, at + int(chance.integers(0, FRAME)))  # it goes on sounding until the flush is there
        if chance.random() < 0.9 or at > ledger.confirmed:
            ledger.play(at, now)
        truth = max(0, at - start)
        assert ledger.heard(epoch) == truth, epoch
        ledger.balance()
    assert ledger.counts.noted["emitted after the end of its epoch"] == 10_000
    assert set(ledger.counts.discarded) <= {"cancelled", "flushed"}


def test_cancelled_before_its_first_frame_it_never_has_one():
    ledger = Ledger(RATE, FRAME)
    assert not ledger.cancel(1, 0.0)
    assert not ledger.emit(FRAME, 1, 0.1, heard=0)
    assert ledger.heard(1) == 0
    assert ledger.emit(FRAME, 2, 0.1, heard=0) == range(0, FRAME)


def test_a_client_that_is_flushed_and_moves_on_has_not_heard_the_rest():
    ledger = Ledger(RATE, FRAME)
    ledger.emit(1000, 1, 0.0, heard=0)
    ledger.send(800, 0.0)
    ledger.play(300, 0.0)
    assert ledger.cancel(1, 0.1) == range(300, 800)
    ledger.play(450, 0.2)
    ledger.emit(500, 2, 0.3, heard=0)
    ledger.send(1500, 0.3)
    ledger.play(1100, 0.4)
    assert (ledger.heard(1), ledger.heard(2)) == (450, 100)
    assert ledger.counts.discarded == {"cancelled": 200, "flushed": 350}
    ledger.balance()


def test_confirmations_beyond_what_was_sent_and_backwards_are_noted():
    ledger = Ledger(RATE, FRAME)
    ledger.emit(1000, 1, 0.0, heard=0)
    ledger.send(600, 0.0)
    assert ledger.play(5000, 0.1) == range(0, 600)
    assert not ledger.play(200, 0.1)
    assert ledger.heard(1) == 600
    assert ledger.counts.noted == {"confirmed beyond what was sent": 1, "confirmed backwards": 1}


def test_a_client_that_comes_back_is_sent_what_it_lacks_and_nothing_cancelled():
    ledger = Ledger(RATE, FRAME)
    ledger.emit(1000, 1, 0.0, heard=0)
    ledger.send(900, 0.0)
    ledger.play(200, 0.0)
    assert ledger.resume(500, 1.0) == range(500, 900)
    assert ledger.counts.unsent == 500
    ledger.send(1000, 1.1)
    ledger.cancel(1, 1.2)
    ledger.emit(300, 2, 1.3, heard=0)
    ledger.send(1300, 1.3)
    assert ledger.resume(700, 2.0) == range(1000, 1300)  # what was cancelled and did not arrive is not sent again
    ledger.balance()
    assert ledger.counts.discarded == {"cancelled": 300}


def test_memory_is_flat_over_a_day():
    ledger, frame, sizes = Ledger(24_000, 1920), 1920 * 18, []

    def size():
        parts = (ledger.turns, ledger.speech, ledger._open, ledger._holes, ledger.receipts._times)
        return sum(sys.getsizeof(part) + len(part) for part in parts)

    for k in range(60_000):  # a day in pieces of 18 frames
        now, epoch = 1.44 * k, 1 + k // 20
        ledger.receive(frame, now)
        ledger.consume(frame, now)
        ledger.emit(frame, epoch, now, heard=ledger.consumed)
        ledger.send(ledger.emitted, now)
        ledger.play(ledger.emitted - frame // 2, now)
        if k % 20 == 19:
            ledger.cancel(epoch, now)
            ledger.speaks(True, ledger.received, now)
        if k % 1999 == 0:
            sizes.append(size())
    assert max(sizes[12:]) - max(sizes[10:12]) < 100
    ledger.balance()


def test_latency_runs_from_the_last_sample_of_the_user_to_the_first_of_the_reply():
    ledger = Ledger(RATE, 160)
    for k in range(100):
        ledger.receive(160, 0.01 * (k + 1))
        ledger.consume(160, 0.01 * (k + 1))
        if k == 69:
            ledger.speaks(False, 50 * 160, 0.70)
            ledger.begin(1, 0.70)
        if k == 79:
            ledger.emit(800, 1, 0.80, heard=ledger.consumed)
        if k == 84:
            ledger.send(800, 0.85)
        if k == 94:
            ledger.play(160, 0.95)
    (latency,) = latencies(ledger)
    assert latency.samples == 35 * 160
    assert latency.seconds == pytest.approx(0.35)
    assert latency.stages == pytest.approx({"decide": 0.2, "make": 0.1, "send": 0.05, "play": 0.1})
    (labelled,) = latencies(ledger, ends=[40 * 160])
    assert labelled.samples == 45 * 160


def test_stop_time_runs_from_the_onset_of_the_user_to_the_last_sample_heard():
    ledger = Ledger(RATE, 160)
    ledger.emit(16_000, 1, 0.0, heard=0)
    ledger.send(16_000, 0.0)
    for k in range(60):
        ledger.receive(160, 0.01 * (k + 1))
        if k < 45:
            ledger.play(160 * (k + 1), 0.01 * (k + 1))
        if k == 39:
            ledger.speaks(True, 30 * 160, 0.40)
            ledger.cancel(1, 0.40)
    (stop,) = stop_times(ledger)
    assert stop.samples == 15 * 160
    assert stop.seconds == pytest.approx(0.15)
    ledger.drop(500, "late", 1.0)
    assert losses(ledger) == {"in: late": 500}


def test_a_ledger_needs_a_rate_and_a_frame():
    with pytest.raises(BadInput, match="0 Hz"):
        Ledger(0, 320)
