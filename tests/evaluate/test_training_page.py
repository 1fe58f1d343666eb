"""The page of a training draws every value of the log, held-out ones beside those of training."""

import json
import re

import pytest

from oration.core import BadInput
from oration.evaluate.training import POINTS, training_page


def log(folder, updates, extra=""):
    lines = []
    for step in range(updates):
        codes = {f"codes/codec.{i}/{kind}": 0.5 + i for i in (0, 1) for kind in ("use", "perplexity", "kbps")}
        lines.append(json.dumps({"step": step, "loss": 3 / (step + 1), "critic/loss": 1.0, "kbps": 2.0, **codes}))
        if step % 100 == 99:
            lines.append(json.dumps({"step": step, "dev/loss": 1.5, "dev/kbps": 1.0}))
    path = folder / "metrics.jsonl"
    path.write_text("\n".join(lines) + extra)
    return path


def test_losses_and_codebooks_are_drawn(tmp_path):
    page = training_page(log(tmp_path, 1000, '\n{"step": 1000, "lo'), "training of codec").read_text()
    assert "training of codec" in page
    assert "1,000" in page
    assert page.count("<svg") == 3 + 3  # loss, critic/loss, kbps; and use, perplexity, bitrate of the codebooks
    assert page.count("held out") >= 2
    assert "codec.0" in page
    assert "codec.1" in page
    assert len(max(re.findall(r'points="([^"]*)"|d="([^"]*)"', page), key=lambda m: len("".join(m)))) < 40 * POINTS


def test_a_part_without_codebooks_and_few_updates(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "loss": 2.0, "norm": NaN}\n')
    page = training_page(path, "training of units").read_text()
    assert page.count("<svg") == 1
    assert "Codebooks" not in page


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(BadInput, match="there is no log"):
        training_page(tmp_path / "metrics.jsonl", "x")
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(BadInput, match="holds no update"):
        training_page(tmp_path / "metrics.jsonl", "x")
