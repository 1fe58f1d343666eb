"""What every tokenizer promises. A new file in oration/tokenizers/ is found and checked; nothing names it."""

import dataclasses
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import oration.tokenizers
from oration.core import BadInput, Spec, Stream, Tokenizer, Waveform, from_record, to_record
from oration.data.manifest import Clip
from oration.objectives.frames import FrameCrossEntropy

GUIDE = Path(__file__).parents[2] / "docs" / "add-a-tokenizer.md"


def modules():
    return [
        importlib.import_module(f"oration.tokenizers.{module.name}")
        for module in pkgutil.iter_modules(oration.tokenizers.__path__)
    ]


def classes(module: ModuleType, *, gives_streams: bool):
    """Configurations defined in a module: tokenizers (they have `specs`), or encoders that tokenizers are built on."""
    return [
        found
        for _, found in inspect.getmembers(module, inspect.isclass)
        if found.__module__ == module.__name__ and hasattr(found, "tiny") and hasattr(found, "specs") == gives_streams
    ]


def tokenizers():
    return [found for module in modules() for found in classes(module, gives_streams=True)]


def listening():
    return [found for found in tokenizers() if "wave" in small(found).needs]


def encoders():
    return [found for module in modules() for found in classes(module, gives_streams=False)]


def small(kind):
    """The smallest of a kind: of its own making, or of what its constructor makes."""
    return kind.tiny() if isinstance(inspect.getattr_static(kind, "tiny"), classmethod) else kind().tiny()


def built(kind):
    torch.manual_seed(7)
    config = small(kind)
    return config.build() if hasattr(config, "build") else config


def voice(seconds: float, rate: int = 16000, seed: int = 0) -> Waveform:
    """Something with pitch, noise and pauses."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    pitch = 140 + 30 * np.sin(2 * np.pi * 0.7 * t + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 8))
    envelope = np.clip(np.sin(2 * np.pi * 1.5 * t + seed), 0, 1)
    return Waveform((0.2 * buzz * envelope + 0.01 * rng.standard_normal(len(t))).astype(np.float32), rate)


def same(left: Stream, right: Stream, tolerance: float = 0.0) -> bool:
    if len(left) != len(right) or not np.array_equal(left.ids, right.ids):
        return False
    if (left.onsets is None) != (right.onsets is None) or (left.values is None) != (right.values is None):
        return False
    onsets = left.onsets is None or np.array_equal(left.onsets, right.onsets)
    return onsets and (left.values is None or np.allclose(left.values, right.values, rtol=0, atol=tolerance))


def joined(examples, name: str) -> Stream:
    parts = [example[name] for example in examples if name in example]
    if not parts:
        return Stream(np.zeros(0, np.int64))
    fields = (
        None if getattr(parts[0], field) is None else np.concatenate([getattr(part, field) for part in parts])
        for field in ("ids", "onsets", "values")
    )
    return Stream(*fields)


def fits(stream: Stream, name: str, spec, seconds: float) -> None:
    stream.verify(name, spec)
    if spec.rate is not None:
        assert len(stream) == spec.length(seconds), (name, len(stream), seconds)
        assert stream.onsets is None
    elif stream.onsets is not None and len(stream):
        assert stream.onsets[0] >= 0


def check_is_a_recordable_value(kind):
    config = small(kind)
    assert dataclasses.is_dataclass(config)
    assert type(config).__dataclass_params__.frozen
    assert from_record(to_record(config), ("oration", kind.__module__)) == config
    assert hash(config) == hash(small(kind))


def check_keeps_the_promise(kind):
    config, part = small(kind), built(kind)
    assert isinstance(part, Tokenizer)
    assert part.specs() == config.specs()
    assert part.needs == config.needs
    assert part.encode([]) == []


def check_ids_and_lengths(kind):
    part = built(kind)
    lengths = [(0.5, 16000), (0.3333, 16000), (1.01, 48000), (0.777, 8000), (0.4567, 44100), (0.25, 22050)]
    for number, (seconds, rate) in enumerate(lengths):
        wave = voice(seconds, rate, number)
        (example,) = part.encode([wave])
        assert example.keys() == part.specs().keys()
        for name, spec in part.specs().items():
            fits(example[name], name, spec, wave.seconds)


def check_odd_recordings(kind):
    part = built(kind)
    odd = {
        "empty": np.zeros(0),
        "one sample": np.ones(1),
        "silence": np.zeros(8000),
        "shorter than a frame": np.full(159, 0.1),
        "one sample more than a frame": np.full(321, 0.1),
        "clipped": np.sign(np.sin(np.arange(8000) / 9)) * 1.5,
    }
    for samples in odd.values():
        wave = Waveform(samples, 16000)
        (example,) = part.encode([wave])
        for name, spec in part.specs().items():
            fits(example[name], name, spec, wave.seconds)


def check_batch_equals_members(kind):
    part = built(kind)
    waves = [voice(0.5), voice(0.31, 48000, 1), Waveform(np.zeros(0), 16000), voice(0.8, seed=2)]
    for wave, example in zip(waves, part.encode(waves), strict=True):
        (alone,) = part.encode([wave])
        for name in part.specs():
            assert same(example[name], alone[name]), name


def check_is_deterministic(kind):
    wave = voice(0.7)
    one, two = built(kind), built(kind)
    (first,), (again,), (other,) = one.encode([wave]), one.encode([wave]), two.encode([wave])
    for name in one.specs():
        assert same(first[name], again[name])
        assert same(first[name], other[name])
    if isinstance(one, torch.nn.Module):  # an unfinished training changes nothing, and is not changed
        (training,) = one.train().encode([wave])
        assert one.training
        assert all(same(first[name], training[name]) for name in one.specs())


def check_bitrate(kind):
    part = built(kind)
    (example,) = part.encode([voice(2.0)])
    for name, spec in part.specs().items():
        if spec.bits_per_second is not None:
            assert len(example[name]) * np.log2(spec.size) / 2.0 == pytest.approx(spec.bits_per_second)


def check_live_equals_offline(kind):
    part = built(kind)
    if not hasattr(part, "live"):
        pytest.skip("not a streaming tokenizer")
    live = part.live()
    for seed, rate in ((0, 16000), (1, 16000), (2, 48000), (3, 8000)):
        wave, rng = voice(0.9 + 0.0377 * seed, rate, seed), np.random.default_rng(seed)
        (offline,) = part.encode([wave])
        cuts = np.sort(rng.integers(0, len(wave) + 1, rng.integers(1, 12)))
        parts = [Waveform(samples, rate) for samples in np.split(wave.samples, cuts)]
        examples = [example for piece in parts for example in live.push(piece)] + live.flush()
        for name in part.specs():
            assert same(joined(examples, name), offline[name], 1e-4), (name, seed)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("kind", listening(), ids=lambda kind: kind.__name__)
def test_tokenizer(kind, check):
    check(kind)


@pytest.mark.parametrize("kind", [k for k in tokenizers() if not small(k).needs], ids=lambda kind: kind.__name__)
def test_label_tokenizer(kind):
    """Labels of a clip to streams; those that read texts too."""
    check_is_a_recordable_value(kind)
    config, part = small(kind), built(kind)
    speaker = config.names[-1] if hasattr(config, "names") else None
    clip = Clip("a", Path("a.wav"), 1.0, speaker=speaker, text="Oh, no!", words=((0.1, 0.4, "oh"), (0.5, 0.9, "no")))
    assert part.specs() == config.specs()
    assert tuple(part.needs) == tuple(config.needs) == ()
    examples = [part.label(clip), *([part.of("Oh, no!"), part.of("")] if hasattr(part, "of") else [])]
    for name, spec in config.specs().items():
        assert len(examples[0][name]) >= 1
        for example in examples:
            example[name].verify(name, spec)


@pytest.mark.parametrize(
    "kind", [k for k in tokenizers() if hasattr(built(k), "derive")], ids=lambda kind: kind.__name__
)
def test_derived_tokenizer(kind):
    """Streams that are made of others, and back without loss, trained or not; a batch equals its members."""
    check_is_a_recordable_value(kind)
    config, part = small(kind), built(kind)
    assert part.specs() == config.specs()
    assert tuple(part.needs) == tuple(config.needs) != ()
    rng = np.random.default_rng(0)
    examples = [{name: Stream(rng.integers(0, 8, length)) for name in config.needs} for length in (0, 1, 57)]
    derived = part.derive(examples)
    for example, found in zip(examples, derived, strict=True):
        assert found.keys() == config.specs().keys()
        for name, spec in config.specs().items():
            found[name].verify(name, spec)
            assert same(found[name], part.derive([example])[0][name])
    for example, back in zip(examples, part.restore(derived), strict=True):
        assert all(same(back[name], example[name]) for name in back)
    with pytest.raises(BadInput):
        part.derive([{}])


@pytest.mark.parametrize("kind", encoders(), ids=lambda kind: kind.__name__)
def test_encoder(kind):
    """Features: ceil(T / hop) of them, nothing changed by padding or by the rest of a batch, live as offline."""
    check_is_a_recordable_value(kind)
    encoder = built(kind).eval()
    waves = [
        torch.from_numpy(voice(seconds, seed=seed).samples) for seed, seconds in enumerate((0.9, 0.4321, 0.02, 1e-4))
    ]
    batch = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
    with torch.no_grad():
        together = encoder.features(batch)
    live = encoder.live()
    for row, wave in enumerate(waves):
        frames = -(-len(wave) // encoder.hop)
        with torch.no_grad():
            alone = encoder.features(wave[None])[0]
        assert alone.shape == (frames, encoder.dim)
        torch.testing.assert_close(together[row, :frames], alone, rtol=0, atol=1e-4)
        cuts = np.sort(np.random.default_rng(row).integers(0, len(wave) + 1, 5))
        out = [live.push(piece) for piece in torch.tensor_split(wave, cuts.tolist())] + [live.flush()]
        torch.testing.assert_close(torch.cat(out), alone, rtol=0, atol=1e-4)


def test_all_of_them_are_found():
    assert {"Units", "F0", "Mel"} <= {kind.__name__ for kind in listening()}
    assert {"PhoneticEncoder", "CpcEncoder", "LogMelFeatures", "MfccFeatures"} <= {kind.__name__ for kind in encoders()}


def test_stereo_and_nan_are_refused_before_any_tokenizer():
    with pytest.raises(BadInput, match="one channel"):
        Waveform(np.zeros((2, 100)), 16000)
    with pytest.raises(BadInput, match="sample 1 of 2 is nan"):
        Waveform(np.array([0, np.nan]), 16000)


def newcomer(folder: Path) -> ModuleType:
    """The worked example of the guide, as the file that its reader would write."""
    (code,) = re.findall(r"```python title=\"oration/tokenizers/(?:\w+)\.py\"\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    path = folder / "newcomer_tokenizer.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_guide_makes_a_tokenizer(check, tmp_path):
    (kind,) = classes(newcomer(tmp_path), gives_streams=True)
    check(kind)


def test_the_guide_trains_through_its_units(tmp_path):
    (kind,) = classes(newcomer(tmp_path), gives_streams=True)
    part = built(kind).train()
    objective = FrameCrossEntropy().build(part, {"phones.frames": Spec(5, 50)})
    batch = {
        "wave": torch.from_numpy(voice(1.0).samples)[None],
        "seconds": torch.tensor([1.0]),
        "phones.frames": torch.randint(5, (1, 50)),
    }
    ((_, loss),) = objective.losses(part, batch, 0.0)
    loss.total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in part.parameters())
    assert part.net.first.weight.weight.grad.abs().sum() > 0
