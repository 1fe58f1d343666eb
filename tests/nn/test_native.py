"""Stacks in C equal those in torch, row by row and whatever stands beside a row; without a compiler torch does it."""

import ctypes
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from functools import cache

import pytest
import torch
from torch import nn

from oration.core import BadInput
from oration.nn import compiled as compiling
from oration.nn import native
from oration.nn.linear import freeze, frozen
from oration.nn.look import rewind
from oration.nn.native import NativeLinear, NativeStack
from oration.nn.positions import Rope
from oration.nn.transformer import Layer, TransformerStack

COMPILER = any(map(shutil.which, compiling.COMPILERS))
pytestmark = pytest.mark.skipif(not COMPILER, reason="there is no C compiler here")
CLOSE = {"atol": 2e-5, "rtol": 1e-4}
SMALL = {"dim": 48, "layers": 2, "heads": 4, "ffn": 56}
KINDS = {
    "llama": {},
    "grouped": {"kv_heads": 2},
    "one key head": {"kv_heads": 1, "layer": Layer(head_width=20)},
    "window": {"window": 5},
    "biases": {"bias": True, "layer": Layer(norm="layer", mlp="gelu", mlp_bias=True, out_bias=True)},
    "no bias of the norm": {"layer": Layer(norm="layer", norm_bias=False, norm_eps=1e-5, mlp="relu")},
    "gelu_tanh": {"layer": Layer(mlp="gelu_tanh"), "positions": "sine"},
    "geglu": {"layer": Layer(mlp="geglu", final=False), "positions": 90},
    "interleaved": {"positions": "rotary_interleaved", "window": 7, "kv_heads": 2},
    "stretched": {"rope_base": Rope(base=1e4, factor=8.0, context=16)},
    "no positions": {"positions": "none"},
    "wide heads": {"dim": 160, "heads": 2, "layer": Layer(head_width=72)},
}


@cache
def stack(kind):
    torch.manual_seed(0)
    made = TransformerStack(**{**SMALL, **KINDS[kind]}).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn_like(weight) * (0.3 if weight.ndim == 1 else 1.2 * weight.shape[-1] ** -0.5))
            if weight.ndim == 1:
                weight.add_(1)
    return made


def fast(plain, weights="fp32"):
    copy = deepcopy(plain)
    freeze(copy, weights, NativeLinear)
    assert NativeStack.fits(copy)
    return NativeStack(copy)


def relative(got, want):
    return float((got - want).detach().norm() / want.detach().norm())


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_stack_in_c_is_the_stack_in_torch(kind):
    plain, c = stack(kind), fast(stack(kind))
    torch.manual_seed(1)
    x = torch.randn(3, 40, plain.dim)
    torch.testing.assert_close(c(x), plain(x), **CLOSE)
    caches = [s.cache(3, 90) for s in (plain, c)]
    pairs = []
    for of in (x[:, :9], x[:, 9:10], None, x[:, 10:13], x[:, 13:14], x[:, 14:40]):
        if of is None:  # two of them forget some, and stand at places of their own from here on
            for each in caches:
                rewind(each, torch.tensor([2, 0, 4]))
        else:
            pairs.append([s(of, cache=each) for s, each in zip((plain, c), caches, strict=True)])
    for want, got in pairs:
        torch.testing.assert_close(got, want, **CLOSE)
    assert torch.equal(caches[0].length, caches[1].length)
    assert torch.equal(caches[0].held, caches[1].held)
    picked = [each.select(torch.tensor([2, 2, 0, 1])) for each in caches]
    y = torch.randn(4, 1, plain.dim)
    want, got = (s(y, cache=each) for s, each in zip((plain, c), picked, strict=True))
    torch.testing.assert_close(got, want, **CLOSE)


@torch.no_grad()
def test_a_ring_that_has_come_round_many_times():
    plain, c = stack("window"), fast(stack("window"))
    torch.manual_seed(2)
    x = torch.randn(2, 41, plain.dim)
    caches = [s.cache(2, 9) for s in (plain, c)]
    for at in range(0, 41, 4):
        step = x[:, at : at + (4 if at < 24 else 1)]
        want, got = (s(step, cache=each) for s, each in zip((plain, c), caches, strict=True))
        torch.testing.assert_close(got, want, **CLOSE)
    assert torch.equal(caches[0].held, caches[1].held)


@pytest.mark.parametrize("weights", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("kind", ["grouped", "interleaved", "wide heads"])
@torch.no_grad()
def test_a_batch_gives_exactly_what_single_calls_give(kind, weights):
    c = fast(stack(kind), weights)
    torch.manual_seed(3)
    lengths, x = [7, 21, 2, 40, 1], torch.randn(5, 46, c.stack.dim)
    together = c.cache(5, 90)
    first = c(x[:, :40], cache=together)
    rewind(together, 40 - torch.tensor(lengths))
    steps = [c(x[:, 40 + i, None], cache=together) for i in range(6)]
    for row, length in enumerate(lengths):
        alone = c.cache(1, 60)
        assert torch.equal(c(x[row, None, :length], cache=alone)[0], first[row, :length])
        for i, step in enumerate(steps):
            assert torch.equal(c(x[row, None, 40 + i, None], cache=alone)[0], step[row])


@torch.no_grad()
@pytest.mark.parametrize("kind", ["window", "grouped"])
def test_sequences_that_rest_are_as_they_were(kind):
    quick, steps = fast(stack(kind)), torch.randn(4, 9, 48)
    cache, alone = quick.cache(4, 40), [quick.cache(1, 40) for _ in range(4)]
    for lines in ([0, 1, 2, 3], [2], [3, 0], [1, 3, 2], [0], [2, 1]):
        for many in (1, 3):
            x = steps[lines, :many]
            before = [keys.clone() for keys in cache.keys], cache.held.clone(), cache.length.clone()
            got = quick.after(x.contiguous(), cache, torch.tensor(lines))
            for row, line in enumerate(lines):
                assert torch.equal(got[row : row + 1], quick.after(x[row : row + 1].contiguous(), alone[line]))
            rest = [line for line in range(4) if line not in lines]
            assert all(torch.equal(a[rest], b[rest]) for a, b in zip(before[0], cache.keys, strict=True))
            assert torch.equal(before[1][rest], cache.held[rest])
            assert torch.equal(before[2][rest], cache.length[rest])
    with pytest.raises(BadInput, match="do not follow a cache of 2 sequences"):
        quick.after(steps[:3, :1].contiguous(), cache, torch.tensor([0, 1]))


def test_threads_change_nothing():
    c = fast(stack("grouped"), "int8")
    x, before = torch.randn(3, 70, c.stack.dim), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(c(x, cache=c.cache(3, 90)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found)


@torch.no_grad()
def test_what_c_does_not_know_runs_through_torch_with_the_same_weights():
    plain, c = stack("llama"), fast(stack("llama"))
    torch.manual_seed(4)
    x, extra = torch.randn(2, 12, plain.dim), torch.randn(2, 12, plain.dim)
    torch.testing.assert_close(c(x, extra=extra), plain(x, extra=extra), **CLOSE)
    segment = torch.tensor([[0] * 5 + [1] * 7, [0] * 9 + [-1] * 3])
    position = torch.tensor([[*range(5), *range(7)], [*range(9), 0, 0, 0]])
    packed = {"segment": segment, "position": position}
    torch.testing.assert_close(c(x, **packed), plain(x, **packed), **CLOSE)
    caches = [s.cache(2, 20) for s in (plain, c)]
    want, got = (s(x, cache=each, extra=extra) for s, each in zip((plain, c), caches, strict=True))
    torch.testing.assert_close(got, want, **CLOSE)
    assert c(x[:, :0], cache=caches[1]).shape == (2, 0, plain.dim)
    for kind in ({"causal": False}, {"causal": False, "layer": Layer(skips=True)}, {"layer": Layer(scale=0.1)}):
        other = TransformerStack(**SMALL, **kind)
        freeze(other, "fp32", NativeLinear)
        assert not NativeStack.fits(other)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inward", "outward"), [(64, 200), (48, 16), (7, 5), (130, 96)])
@torch.no_grad()
def test_linear_layers_of_any_size(inward, outward, bias):
    torch.manual_seed(0)
    layer, x = nn.Linear(inward, outward, bias=bias), torch.randn(3, 50, inward)
    x[1] *= 100
    want, old = layer(x), frozen(layer, "int8")(x)
    torch.testing.assert_close(NativeLinear(layer, "fp32")(x), want, atol=1e-4, rtol=1e-5)
    for weights, bound in (("bf16", 0.005), ("int8", 0.02)):
        c = NativeLinear(layer, weights)
        got = c(x)
        assert max(relative(got[i], want[i]) for i in range(3)) < bound
        for row in (0, 77, 149):
            assert torch.equal(c(x.view(150, -1)[row]), got.view(150, -1)[row])
    assert relative(got, old) < 2e-3  # the same 8 bits, but where a number lies between two of them
    assert c(x[:, :0]).shape == (3, 0, outward)
    assert c(x.bfloat16()).dtype == torch.bfloat16
    assert torch.isfinite(c(torch.zeros(2, inward))).all()
    assert torch.isnan(NativeLinear(layer, "fp32")(torch.full((1, inward), torch.nan))).all()
    with pytest.raises(BadInput, match="weights='int4' is no precision"):
        NativeLinear(layer, "int4")


def test_gradients_go_back_to_the_input_and_functions_of_torch_look_in():
    torch.manual_seed(5)
    plain, x = nn.Linear(20, 40), torch.randn(6, 20)
    for weights, bound in (("fp32", 1e-5), ("bf16", 0.01), ("int8", 0.02)):
        c = NativeLinear(plain, weights)
        want, got = (torch.func.vmap(torch.func.jacrev(lambda x, f=f: f(x).tanh()))(x) for f in (plain, c))
        assert relative(got, want) < bound
        with torch.no_grad():
            assert relative(torch.func.vmap(c)(x), plain(x)) < bound
    whole, c = stack("grouped"), fast(stack("grouped"))
    x = torch.randn(1, 5, whole.dim, requires_grad=True)
    want, got = (torch.autograd.grad(s(x).square().sum(), x)[0] for s in (whole, c))
    torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("tuned", [(), ("-mavx2", "-mfma")])
@torch.no_grad()
def test_older_processors_give_the_same(tuned, tmp_path):
    path, compiler = tmp_path / "older.so", next(filter(None, map(shutil.which, compiling.COMPILERS)))
    if tuned and not torch.cpu._is_avx2_supported():
        pytest.skip("this CPU knows no AVX2")
    made = [compiler, *compiling.FLAGS, *tuned, str(native.SOURCE), "-o", str(path), "-lm", "-lpthread"]
    subprocess.run(made, check=True, capture_output=True)
    library = native.declared(ctypes.CDLL(str(path)))
    for weights in ("fp32", "bf16", "int8"):
        c, other = (fast(stack("wide heads"), weights) for _ in range(2))
        other.native._run = library.oration_stack
        x = torch.randn(2, 45, c.stack.dim)
        assert relative(other(x), c(x)) < (1e-5 if weights != "int8" else 0.02)
        layer, other = (NativeLinear(nn.Linear(33, 70), weights) for _ in range(2))
        other.told, other._self, other._run = layer.told, layer._self, library.oration_linear
        x = torch.randn(9, 33)
        torch.testing.assert_close(other(x), layer(x), atol=1e-6, rtol=1e-6)


MAKE = """
import sys
from pathlib import Path
from oration.nn.compiled import compiled
found = compiled(Path(sys.argv[1]))
print(found.library.seven() if found.library else found.trouble)
"""


def begin(folder, **more):
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder), **more}
    command = [sys.executable, "-c", MAKE, str(folder / "seven.c")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_processes_may_compile_at_once(tmp_path):
    (tmp_path / "seven.c").write_text("int seven(void) { return 7; }\n", encoding="utf-8")
    together = [begin(tmp_path) for _ in range(3)]
    assert [process.communicate(timeout=240)[0].strip() for process in together] == ["7"] * 3
    assert [path.suffix for path in (tmp_path / "oration").iterdir()] == [".so"]  # and nothing half done beside it
    again = begin(tmp_path, PATH="")  # what is there needs no compiler
    assert again.communicate(timeout=240)[0].strip() == "7"
    (tmp_path / "seven.c").write_text("int seven(void) { return 3 + 4; }\n", encoding="utf-8")
    changed = begin(tmp_path, PATH="")
    assert changed.communicate(timeout=240)[0].startswith("there is no C compiler")


@pytest.mark.parametrize("trouble", ["no compiler", "it fails", "no library"])
def test_without_a_library_torch_does_it(trouble, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if trouble != "no compiler":
        (tmp_path / "bin").mkdir()
        for name in compiling.COMPILERS:
            file = tmp_path / "bin" / name
            says = "echo 'no such option' >&2; exit 1"
            if trouble == "no library":
                says = 'for to; do test "$before" = -o && echo rubbish > "$to"; before=$to; done'
            file.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
            file.chmod(0o755)
    compiling.compiled.cache_clear()
    native.status.cache_clear()
    try:
        found = native.status()
        assert found.library is None
        said = {"no compiler": "there is no C compiler", "it fails": "no such option", "no library": ""}
        assert said[trouble] in found.trouble
        assert found.trouble
        assert not native.usable(nn.Linear(2, 2))
    finally:
        compiling.compiled.cache_clear()
        native.status.cache_clear()


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "oration").mkdir()
    (tmp_path / "oration").chmod(0o777)
    assert compiling._folder() != tmp_path / "oration"
    (tmp_path / "oration").chmod(0o755)
    assert compiling._folder() == tmp_path / "oration"
