"""The sample ledger: what became of every sample of a session, both ways. All metrics derive from it.

Input is received, then consumed or dropped. Output is emitted, then sent, then played (as the client confirms) or
discarded. Each sample has a position on its own clock, counted from the session's first, and at any moment one state;
the sums always balance. Settled samples live on as counts only, so memory does not grow with the session.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from oration.core import BadInput
from oration.dialogue.marks import Marks

REPLIES = 1000
"""Replies, and changes of the user's speech, that are remembered after they are over."""


class Unbalanced(AssertionError):
    """The ledger's sums do not agree: a defect of the toolkit, not of its input."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many samples are in which state. `received = consumed + dropped + waiting`, and
    `emitted = unsent + sent + played + discarded`."""

    received: int
    consumed: int
    dropped: Mapping[str, int]
    """Why -> samples that were received and will never be consumed."""
    waiting: int
    """Received, neither consumed nor dropped yet."""
    emitted: int
    unsent: int
    sent: int
    """Sent, and not yet known to be played or discarded."""
    played: int
    discarded: Mapping[str, int]
    """Why -> samples of replies that nobody heard and nobody will."""
    noted: Mapping[str, int]
    """What was asked for and could not be, such as confirmations beyond what was sent: how often."""


@dataclass(frozen=True)
class Moment:
    """When something happened, on both clocks."""

    received: int
    """Input samples received by then: the clock of latencies."""
    now: float
    """Seconds on the clock that was passed in."""


@dataclass(eq=False)
class Turn:
    """One reply on the ledger: where its samples are and when they went from state to state."""

    epoch: int
    start: int
    stop: int
    heard: int
    """Input samples consumed when its first sample was made."""
    begun: Moment
    emitted: Moment | None = None
    sent: Moment | None = None
    played: Moment | None = None
    """Each of the first sample that got there."""
    last: Moment | None = None
    """When the last sample that was played was confirmed."""
    cancelled: Moment | None = None
    edge: int = 0
    """Of a cancelled one, where that ends which was sent."""
    quiet: bool = False
    """No reply: what a model that never stops sends between replies."""
    heard_samples: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    resumes: int | None = None
    """The reply that it takes up again."""


@dataclass(frozen=True)
class Change:
    """The user began or stopped to speak at input position `at`, which was noticed at `moment`."""

    on: bool
    at: int
    moment: Moment


class Ledger:
    """One per session. Positions are samples at `rate` Hz; `now` in seconds stamps entries and decides nothing."""

    def __init__(self, rate: int, frame: int, *, keep: float = 60.0) -> None:
        """`frame`: samples per step of the engine; `keep`: seconds for which receipts are known by time."""
        if rate <= 0 or frame <= 0:
            raise BadInput(f"a ledger counts samples at a rate and in frames above 0, but got {rate} Hz and {frame}")
        self.rate, self.frame = rate, frame
        self.received = self.consumed = self.emitted = self.played = 0
        self.sent = self.confirmed = 0
        """Output positions: all before is sent (played) or discarded."""
        self.fence = 0
        """No reply of an epoch up to this one may emit anything more."""
        self.noted: Counter[str] = Counter()
        self.receipts = Marks(max(16, round(keep * rate / frame)), frame)
        self.turns: deque[Turn] = deque(maxlen=REPLIES)
        self.speech: deque[Change] = deque(maxlen=REPLIES)
        self.on_lost: Callable[[int, int], None] | None = None
        """Called with the positions of output that was given up: how a model learns what nobody heard."""
        self._taken = 0
        self._dropped: Counter[str] = Counter()
        self._discarded: Counter[str] = Counter()
        self._holes: list[tuple[int, int]] = []  # discarded, not before `confirmed`; apart, in order
        self._open: deque[Turn] = deque()  # those with samples at or after `confirmed`, and the latest

    @property
    def waiting(self) -> int:
        """Input samples that are received and neither consumed nor dropped."""
        return self.received - self._taken

    @property
    def taken(self) -> int:
        """Input position: all before is consumed or dropped."""
        return self._taken

    # Input

    def receive(self, samples: int, now: float) -> range:
        """Samples arrive -> their positions."""
        start = self.received
        self.received += samples
        self.receipts.add(self.received, now)
        return range(start, self.received)

    def consume(self, samples: int, now: float) -> range:
        """The oldest waiting samples go into the model -> their positions; not more than wait."""
        taken = self._take(samples, "consumed beyond what waits")
        self.consumed += len(taken)
        return taken

    def drop(self, samples: int, why: str, now: float) -> range:
        """The oldest waiting samples are given up -> their positions; not more than wait."""
        taken = self._take(samples, "dropped beyond what waits")
        if taken:
            self._dropped[why] += len(taken)
        return taken

    def _take(self, samples: int, beyond: str) -> range:
        start, wanted = self._taken, max(0, samples)
        if wanted > self.received - start:
            self.noted[beyond] += 1
            wanted = self.received - start
        self._taken = start + wanted
        return range(start, self._taken)

    def speaks(self, on: bool, at: int, now: float) -> None:
        """The user's speech begins or ends at input position `at`, as a policy sees it."""
        self.speech.append(Change(on, at, Moment(self.received, now)))

    # Output

    def begin(self, epoch: int, now: float, *, resumes: int | None = None) -> None:
        """Work on a reply starts, before it has any samples."""
        if epoch > self.fence and (not self._open or epoch > self._open[-1].epoch):
            self._begin(epoch, self.consumed, now)
            self._open[-1].resumes = resumes

    def emit(self, samples: int, epoch: int, now: float, *, heard: int) -> range:
        """Samples of a reply are made -> their positions; none if its epoch is over.

        Args:
            heard: input samples consumed when they were made.
        """
        if epoch <= self.fence or (self._open and epoch < self._open[-1].epoch):
            self.noted["emitted after the end of its epoch"] += 1
            return range(self.emitted, self.emitted)
        if samples <= 0:
            return range(self.emitted, self.emitted)
        if not self._open or self._open[-1].epoch != epoch:
            self._begin(epoch, heard, now)
        turn, start = self._open[-1], self.emitted
        if turn.emitted is None:
            turn.emitted, turn.heard = Moment(self.received, now), heard
        self.emitted = turn.stop = start + samples
        return range(start, self.emitted)

    def send(self, upto: int, now: float) -> None:
        """All output before position `upto` has left, but for what was discarded."""
        if upto > self.emitted:
            self.noted["sent beyond what was emitted"] += 1
            upto = self.emitted
        if upto <= self.sent:
            return
        for turn in self._open:
            if turn.sent is None and turn.start < upto and turn.stop > self.sent and turn.cancelled is None:
                turn.sent = Moment(self.received, now)
        self.sent = upto
        self._settle()

    def play(self, upto: int, now: float) -> range:
        """The client confirms that all before `upto` was played, or flushed by it -> the positions this settles.

        What was sent of a cancelled reply counts as played up to a confirmation inside it, and as flushed once the
        client is past it: told to flush, it says how far it really came before it plays anything newer.
        """
        if upto > self.sent:
            self.noted["confirmed beyond what was sent"] += 1
            upto = self.sent
        start = self.confirmed
        if upto <= start:
            if upto < start:
                self.noted["confirmed backwards"] += 1
            return range(start, start)
        for turn in self._open:
            first, last = max(start, turn.start), min(upto, turn.stop)
            if first >= last:
                continue
            if turn.cancelled is not None and upto > turn.edge:
                self._discard(turn, first, last, "flushed")
            elif count := last - first - self._lost(first, last):
                turn.heard_samples += count
                self.played += count
                turn.last = Moment(self.received, now)
                turn.played = turn.played or turn.last
        self.confirmed = upto
        self._settle()
        return range(start, upto)

    def discard(self, start: int, stop: int, why: str, now: float) -> None:
        """Output of these positions is given up, where it is neither played nor discarded already."""
        for turn in list(self._open):
            self._discard(turn, max(start, self.confirmed), stop, why)
        self._settle()

    def cancel(self, epoch: int, now: float) -> range:
        """A reply is over: what was not sent is discarded, and nothing more of it is taken.

        Returns:
            What was sent and is not known to be played, which the client is asked to flush and to confirm.
        """
        self.fence = max(self.fence, epoch)
        turn = next((turn for turn in self._open if turn.epoch == epoch), None)
        if turn is None:
            return range(self.emitted, self.emitted)
        if turn.cancelled is None:
            turn.cancelled, turn.edge = Moment(self.received, now), max(turn.start, min(self.sent, turn.stop))
            self._discard(turn, max(self.sent, turn.start), turn.stop, "cancelled")
        rest = range(max(self.confirmed, turn.start), max(self.confirmed, turn.edge))
        self._settle()
        return rest

    def resume(self, upto: int, now: float) -> range:
        """A lost client is back and holds all output before `upto` -> what is to be sent again; of cancelled replies
        that is discarded instead."""
        if upto > self.sent:
            self.noted["resumed beyond what was sent"] += 1
        upto, sent = min(max(upto, self.confirmed), self.sent), self.sent
        for turn in list(self._open):
            if turn.cancelled is not None:
                self._discard(turn, max(upto, turn.start), turn.edge, "cancelled")
                turn.edge = min(turn.edge, max(upto, turn.start))
        self.sent = upto
        self._settle()
        return range(self.sent, max(self.sent, sent))

    def heard(self, epoch: int) -> int:
        """How many samples of this reply were played, for certain."""
        return next((turn.heard_samples for turn in self.all_turns() if turn.epoch == epoch), 0)

    def fenced(self, epoch: int) -> bool:
        """Whether nothing of this reply may leave any more."""
        return epoch <= self.fence

    def turn(self, epoch: int) -> Turn | None:
        """A reply's entry, as long as it is remembered."""
        return next((turn for turn in self.all_turns() if turn.epoch == epoch), None)

    def all_turns(self) -> Iterator[Turn]:
        """The replies that are remembered, the latest first."""
        yield from reversed(self._open)
        yield from reversed(self.turns)

    @property
    def counts(self) -> Counts:
        """The sums, now."""
        return Counts(
            received=self.received,
            consumed=self.consumed,
            dropped=dict(self._dropped),
            waiting=self.waiting,
            emitted=self.emitted,
            unsent=self.emitted - self.sent - self._lost(self.sent, self.emitted),
            sent=self.sent - self.confirmed - self._lost(self.confirmed, self.sent),
            played=self.played,
            discarded=dict(self._discarded),
            noted=dict(self.noted),
        )

    def balance(self) -> None:
        """Check the sums.

        Raises:
            Unbalanced: they do not agree.
        """
        at = self.counts
        inside = at.consumed + sum(at.dropped.values()) + at.waiting
        outside = at.unsent + at.sent + at.played + sum(at.discarded.values())
        order = 0 <= self.confirmed <= self.sent <= self.emitted and 0 <= self._taken <= self.received
        if inside != at.received or outside != at.emitted or not order or min(at.unsent, at.sent, at.waiting) < 0:
            raise Unbalanced(f"the ledger does not balance: {at}")

    def _begin(self, epoch: int, heard: int, now: float) -> None:
        self._open.append(Turn(epoch, self.emitted, self.emitted, heard, Moment(self.received, now)))
        self._settle()

    def _lost(self, start: int, stop: int) -> int:
        """Discarded samples among these positions."""
        if not self._holes:
            return 0
        return sum(max(0, min(stop, b) - max(start, a)) for a, b in self._holes)

    def _discard(self, turn: Turn, start: int, stop: int, why: str) -> None:
        """Give up those of a turn's samples in the range that are not given up yet."""
        start, stop = max(start, turn.start, self.confirmed), min(stop, turn.stop)
        count = stop - start - self._lost(start, stop)
        if start >= stop or not count:
            return
        self._discarded[why] += count
        if self.on_lost is not None:
            self.on_lost(start, stop)
        turn.lost[why] += count
        apart = [hole for hole in self._holes if hole[1] < start or hole[0] > stop]
        joined = [hole for hole in self._holes if not (hole[1] < start or hole[0] > stop)]
        whole = (min([start, *(a for a, _ in joined)]), max([stop, *(b for _, b in joined)]))
        self._holes = sorted([*apart, whole])

    def _settle(self) -> None:
        """Move the edges over what is discarded, and forget what lies before them."""
        for start, stop in self._holes:
            if start <= self.confirmed:
                self.confirmed = max(self.confirmed, stop)
            if start <= max(self.sent, self.confirmed):
                self.sent = max(self.sent, stop, self.confirmed)
        if self._holes:
            self._holes = [(max(a, self.confirmed), b) for a, b in self._holes if b > self.confirmed]
        while len(self._open) > 1 and self._open[0].stop <= self.confirmed:
            self.turns.append(self._open.popleft())
