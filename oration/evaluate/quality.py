"""What small pretrained models hear: predicted quality (DNSMOS) and likeness of voices (resemblyzer).

Both models come inside their wheels, so nothing is downloaded. They rank systems; their absolute values mean little for
speech unlike what they were trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from oration.audio.resample import resample
from oration.core import BadInput, Waveform, optional
from oration.evaluate.interval import Bootstrap, Estimate

RATE = 16_000


@dataclass(frozen=True)
class Quality:
    """DNSMOS P.835 (Reddy et al. 2022) and its predecessor for P.808; each from about 1 (bad) to 5 (excellent)."""

    overall: Estimate
    signal: Estimate
    background: Estimate
    p808: Estimate
    model: str
    scores: np.ndarray = field(repr=False)
    """float64[N, 4], in the order above."""


@lru_cache(maxsize=1)
def _dnsmos() -> Any:
    package = optional("speechmos.dnsmos", "eval", "DNSMOS")
    runtime = optional("onnxruntime", "eval", "DNSMOS")
    models = Path(str(package.__file__)).parent / "dnsmos_models"
    scorer = package.DNSMOS(str(models / "sig_bak_ovr.onnx"), str(models / "model_v8.onnx"))
    # Its sessions take every core; one thread is nearly as fast and leaves the rest of the machine alone.
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for name, file in (("onnx_sess", "sig_bak_ovr.onnx"), ("p808_onnx_sess", "model_v8.onnx")):
        setattr(scorer, name, runtime.InferenceSession(str(models / file), options, providers=["CPUExecutionProvider"]))
    return scorer


def dnsmos(
    waves: Sequence[Waveform], *, clusters: Sequence[Any] | None = None, bootstrap: Bootstrap | None = None
) -> Quality:
    """Predicted quality, mean over clips. Shorter than 9 s are repeated by the model's own rule; peaks clip at 1.

    Raises:
        BadInput: no clips, or an empty one.
    """
    if not waves or not all(len(wave) for wave in waves):
        raise BadInput(f"DNSMOS needs recordings that are not empty, but got {len(waves)} with an empty one or none")
    scores, bootstrap = np.array([dnsmos_of(wave) for wave in waves]), bootstrap or Bootstrap()
    overall, signal, background, p808 = (bootstrap.mean(column, clusters=clusters) for column in scores.T)
    return Quality(overall, signal, background, p808, f"DNSMOS in speechmos {version('speechmos')}", scores)


def dnsmos_of(wave: Waveform) -> list[float]:
    """Overall, signal, background and P.808 of one recording that is not empty."""
    heard = _dnsmos()(np.clip(resample(wave, RATE).samples, -1, 1), RATE, False)
    return [float(heard[name]) for name in ("ovrl_mos", "sig_mos", "bak_mos", "p808_mos")]


@lru_cache(maxsize=1)
def _voice() -> tuple[Any, Any]:
    package = optional("resemblyzer", "eval", "comparing voices")
    return package.VoiceEncoder("cpu", verbose=False), package.preprocess_wav


def voices(waves: Sequence[Waveform]) -> np.ndarray:
    """Speaker embeddings of length one, float32[N, 256] (GE2E, Wan et al. 2018), by resemblyzer.

    Raises:
        BadInput: an empty recording.
    """
    encoder, prepare = _voice()
    rows = []
    for number, wave in enumerate(waves):
        samples = resample(wave, RATE).samples
        spoken = prepare(samples) if samples.any() else samples
        # Its voice detector may throw away all of a short or quiet clip.
        spoken = spoken if len(spoken) >= RATE // 4 else samples
        if not len(spoken):
            raise BadInput(f"recording {number} is empty; leave it out")
        rows.append(encoder.embed_utterance(spoken))
    return np.stack(rows) if rows else np.zeros((0, 256), np.float32)


def speaker_similarity(
    references: Sequence[Waveform],
    copies: Sequence[Waveform],
    *,
    clusters: Sequence[Any] | None = None,
    bootstrap: Bootstrap | None = None,
) -> Estimate:
    """Mean cosine between the voice of each recording and of its copy; two clips of one speaker reach about 0.9."""
    if len(references) != len(copies) or not references:
        raise BadInput(
            f"{len(copies)} copies of {len(references)} recordings; expected one a recording, in the same order"
        )
    cosine = (voices(references) * voices(copies)).sum(1)
    return (bootstrap or Bootstrap()).mean(cosine, clusters=clusters)
