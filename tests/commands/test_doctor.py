"""`oration doctor` names what would break: broken neighbours, old packages, CUDA without a GPU, a missing model."""

import importlib.metadata as metadata

import pytest
import torch

from oration.commands import doctor
from oration.commands.doctor import Finding
from oration.nn.compiled import Compiled


def levels(findings):
    return {finding.what: finding.level for finding in findings}


def test_a_neighbour_that_does_not_import_is_broken(tmp_path, monkeypatch):
    package = tmp_path / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text("raise OSError('libtorchaudio.so: undefined symbol')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (found,) = [finding for finding in doctor._strangers() if finding.what == "torchaudio"]
    assert found.level == "broken"
    assert "undefined symbol" in found.found
    assert "pip uninstall torchaudio" in found.remedy


def test_missing_and_old_packages_are_told_by_extra(monkeypatch):
    real = metadata.version

    def version(name):
        if name == "soxr":
            raise metadata.PackageNotFoundError(name)
        return {"tyro": "0.5", "jiwer": "3.0"}.get(name) or real(name)

    monkeypatch.setattr(metadata, "version", version)
    (core,) = [finding for finding in doctor._packages() if finding.what == "packages"]
    assert core.level == "broken"
    assert "soxr is missing" in core.found
    assert "tyro is 0.5, expected >=1" in core.found
    extras = {finding.what: finding for finding in doctor._extras()}
    assert "jiwer is 3.0" in extras["extra eval"].found
    assert extras["extra eval"].level == "note"


@pytest.mark.parametrize(("cuda", "level"), [(None, "ok"), ("12.8", "note")])
def test_a_cuda_build_without_a_gpu_is_noted(monkeypatch, cuda, level):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert levels(doctor._torch()) == {"torch": level}


def test_all_cores_are_noted(monkeypatch):
    monkeypatch.setattr("oration.commands.threads.cores", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    (found,) = doctor._threads()
    assert found.level == "note"
    assert "half the cores" in found.remedy
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert levels(doctor._threads()) == {"threads": "ok"}


def test_a_missing_compiler_is_noted(monkeypatch):
    monkeypatch.setattr("oration.nn.native.status", lambda: Compiled(None, trouble="there is no C compiler (cc, gcc)"))
    (found,) = doctor._native()
    assert found.level == "note"
    assert "there is no C compiler" in found.found
    monkeypatch.setattr("oration.nn.native.status", lambda: Compiled(object(), "here.so"))
    assert levels(doctor._native()) == {"native steps": "ok"}


def test_the_model_is_tried(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("oration.model.DEFAULT", tiny_model)
    assert levels(doctor._model()) == {"model": "ok", "self test": "ok"}
    monkeypatch.setattr("oration.model.DEFAULT", tmp_path)
    assert levels(doctor._model()) == {"model": "broken"}


def test_a_check_that_fails_is_a_finding_and_the_exit_code_says_so(monkeypatch, capsys):
    def _odd():
        yield Finding("ok", "this", "fine")
        raise RuntimeError("that [not]")

    assert levels(doctor._guarded(_odd)) == {"this": "ok", "odd": "broken"}
    for name in ("_torch", "_threads", "_native", "_packages", "_extras", "_strangers", "_tools", "_model"):
        monkeypatch.setattr(doctor, name, lambda: iter(()))
    assert doctor.run() == 0
    assert "Usable" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "_model", _odd)
    assert doctor.run() == 1
    assert "that [not]" in capsys.readouterr().out
