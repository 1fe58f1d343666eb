"""The phase of a pitch runs on, and what is made of it is a harmonic in every bin."""

import math

import torch

from oration.nn.excitation import NOISE_FRAMES, Pitch, harmonics, run_on, white


def test_phase_runs_on_through_pieces_and_rests_without_voice():
    pitch = Pitch(9, 60.0, 400.0, 100.0)
    ids = torch.tensor([[0, 4, 8, 8, 3, 3, 8, 1, 2, 2] * 50])
    all_at_once, _ = pitch.run(ids)
    memory, parts = None, []
    for piece in ids.split([1, 7, 100, 392], 1):
        part, memory = pitch.run(piece, memory)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), all_at_once)
    assert all_at_once[0, 2, 0] == all_at_once[0, 3, 0] == all_at_once[0, 1, 0]
    assert all_at_once[0, NOISE_FRAMES, 1] == 0


def test_between_bins_and_without_frames_the_phase_is_kept():
    hertz = torch.tensor([[100.0, 150.0, 0.0, 200.0]], dtype=torch.float64)
    phase, after = run_on(hertz, 1000.0)
    torch.testing.assert_close(phase[0, :, 0], torch.tensor([0.1, 0.225, 0.225, 0.425], dtype=torch.float64))
    nothing, same = run_on(hertz[:, :0], 1000.0, after)
    assert nothing.shape == (1, 0, 2)
    assert torch.equal(same, after)


def test_a_harmonic_is_loudest_at_its_own_bin_and_turns_with_the_fundamental():
    fft, rate = 400, 8000.0  # 20 Hz a bin
    lobe, turn = harmonics(torch.tensor([[200.0, 0.0]]), torch.tensor([[0.25, 0.25]]), fft, rate)
    assert lobe[0, 0, 10] == lobe[0, 0, 20] == 0
    assert lobe[0, 0, 15] < -4
    assert not lobe[0, 1].any()
    quarter = turn[0, 0, 30] / (2 * math.pi)  # of the third harmonic, in the middle of a window where even bins agree
    torch.testing.assert_close(quarter % 1, torch.tensor(0.75))
    torch.testing.assert_close(turn[0, 1] % (2 * math.pi), math.pi * (torch.arange(201) % 2))


def test_noise_has_unit_power_and_is_the_same_each_time():
    noise = white(320, 160)
    assert noise.shape == (NOISE_FRAMES, 161)
    assert abs(float(noise.abs().square().mean()) - 1) < 0.05
    assert torch.equal(noise, white(320, 160))
