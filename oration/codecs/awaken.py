"""A start from which a codec learns within a few hundred updates: every layer gives values of unit spread.

Mishkin & Matas 2016, arXiv:1511.06422. Weights as drawn make each layer a little quieter than what it was given: after
a dozen of them hardly anything of the sound is left to be quantised, and the codes say nothing. Released codecs were
trained for long enough to get over that; what is trained for seconds is not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from oration.codecs.codec import CodecModel
from oration.codecs.spectral import Inward, Outward
from oration.nn.spectral import InverseSpectrum
from oration.nn.voiced import Voiced

ROUNDS = 64
"""Times that codebooks are shown the sound at most, until they have found codewords."""


@torch.no_grad()
def awaken(model: CodecModel, wave: Tensor) -> None:
    """Scale the layers of both sides, one after another, by what they make of float[B, T]; then fill the codebooks.

    Layers that compute with the weights of others instead of calling them stay as they are, and so do magnitudes and
    angles of spectra, which begin small on purpose, and what goes past the nets, which begins right.
    """
    model.train()
    called: dict[nn.Module, None] = {}
    small: set[nn.Module] = {layer.out for layer in model.modules() if isinstance(layer, InverseSpectrum | Voiced)}
    small |= {layer for layer in model.modules() if isinstance(layer, Inward | Outward)}

    def scale(layer: Any, given: tuple[Tensor, ...], made: Tensor) -> Any:
        if layer in called or not isinstance(made, Tensor):
            return None
        called[layer] = None
        # Over time and the batch, channel by channel: an offset that never changes says nothing.
        spread = made.flatten(0, -2).std(0).mean() if made.ndim < 4 else made.std((0, 2, 3)).mean()
        _loud(layer).div_(spread.clamp_min(1e-6))
        if layer.bias is not None:
            layer.bias.zero_()
        return layer.forward(*given)

    layers = [layer for side in (model.encoder, model.decoder) for layer in side.modules() if _is(layer)]
    hooks = [layer.register_forward_hook(scale) for layer in layers if layer not in small]
    try:
        block = model.hop * model.numbers.block
        vectors = model.encoder(model.heard(nn.functional.pad(wave, (0, -wave.shape[1] % block))))
        sound = model.decoder(vectors)
    finally:
        for hook in hooks:
            hook.remove()
    if called:  # the last one is what gives the sound
        _loud(next(reversed(called))).mul_((wave.std() / sound.std().clamp_min(1e-6)).clamp_max(1.0))
    for _ in range(ROUNDS):
        if all(bool((row >= 0).any()) for row in model.quantizer(vectors).codes):
            break
    model.eval()


def _is(layer: nn.Module) -> bool:
    """Whether it is one linear map with its own weight."""
    weight = getattr(layer, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.ndim > 1 and hasattr(layer, "bias")


def _loud(layer: Any) -> Tensor:
    """What to scale so that the layer's map is scaled."""
    found: Tensor = layer.weight if getattr(layer, "gain", None) is None else layer.gain
    return found
