"""What the server counts: Prometheus metrics of one application, and the same numbers for a session's own stats.

Observing a Prometheus histogram costs microseconds, and there are tens of thousands of frames a second; so stages are
counted in plain lists and read when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

STAGES = ("receive", "queue", "step", "emit", "send")
EDGES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 5.0)
"""Seconds."""


class Stage:
    """A histogram, and the mean since the last look."""

    def __init__(self) -> None:
        self.buckets = [0] * (len(EDGES) + 1)
        self.sum = 0.0
        self.count = 0
        self._looked = (0, 0.0, 0.0)
        self._most = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.buckets[bisect_left(EDGES, seconds)] += 1
        self.sum += seconds
        self.count += 1
        if seconds > self._most:
            self._most = seconds

    def recent(self, now: float) -> float:
        """Mean of about the last second, in seconds."""
        count, total, _ = self._looked
        mean = (self.sum - total) / (self.count - count) if self.count > count else 0.0
        if now - self._looked[2] >= 1:
            self._looked = (self.count, self.sum, now)
        return mean

    def quantile(self, share: float) -> float:
        """Seconds below which this share lies: the upper edge of its bucket."""
        seen, wanted = 0, share * self.count
        for edge, count in zip((*EDGES, self._most), self.buckets, strict=True):
            seen += count
            if seen >= wanted and seen:
                return min(edge, self._most)
        return 0.0


class Metrics:
    """Of one application: nothing of it is global, so that several can run in a process."""

    def __init__(self) -> None:
        self.stages = {name: Stage() for name in STAGES}
        self.lateness = Stage()
        """From the arrival of input to the hand-over of the output that follows from it."""
        self.sessions: Counter[str] = Counter()
        """Now, by protocol."""
        self.opened: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        """Input samples by reason, of sessions that are over."""
        self.discarded: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.resumed = 0
        self.restarts = 0
        self.occupancy = 0.0
        """Share of its time that the worker works."""
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self.registry)

    def recent(self, now: float) -> dict[str, float]:
        """Stage -> mean milliseconds in about the last second."""
        return {name: round(stage.recent(now) * 1000, 3) for name, stage in self.stages.items()}

    def collect(self) -> Iterable[Metric]:
        """Called by the registry."""
        stages = HistogramMetricFamily("oration_stage_seconds", "Time in each stage of the server", labels=["stage"])
        for name, stage in self.stages.items():
            stages.add_metric([name], _cumulative(stage), stage.sum)
        yield stages
        late = HistogramMetricFamily("oration_lateness_seconds", "From input to the output that follows from it")
        late.add_metric([], _cumulative(self.lateness), self.lateness.sum)
        yield late
        yield GaugeMetricFamily("oration_tick_occupancy", "Share of its time the worker works", value=self.occupancy)
        sessions = GaugeMetricFamily("oration_sessions", "Sessions now", labels=["protocol"])
        for name, count in self.sessions.items():
            sessions.add_metric([name], count)
        yield sessions
        yield CounterMetricFamily("oration_resumed", "Sessions taken up again", value=self.resumed)
        yield CounterMetricFamily(
            "oration_worker_restarts", "Starts of the engine after a failure", value=self.restarts
        )
        for name, says, label, counts in (
            ("oration_sessions_opened", "Sessions opened", "protocol", self.opened),
            ("oration_sessions_closed", "Sessions closed, by close code", "code", self.closed),
            ("oration_refused", "Connections refused", "why", self.refused),
            ("oration_errors", "Errors told to clients", "code", self.errors),
            ("oration_input_dropped_samples", "Input samples never consumed", "why", self.dropped),
            ("oration_output_discarded_samples", "Output samples nobody heard", "why", self.discarded),
            ("oration_messages", "Messages", "way", self.messages),
            ("oration_bytes", "Bytes of messages", "way", self.bytes),
        ):
            family = CounterMetricFamily(name, says, labels=[label])
            for value, count in dict(counts).items():
                family.add_metric([value], count)
            yield family


def _cumulative(stage: Stage) -> list[tuple[str, float]]:
    seen, rows = 0, []
    for edge, count in zip((*map(str, EDGES), "+Inf"), list(stage.buckets), strict=True):
        seen += count
        rows.append((edge, float(seen)))
    return rows
