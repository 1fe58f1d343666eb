"""Many live streams of one codec together, a frame of each at a time: what a server runs for its sessions.

Each stream may begin anew or sit a frame out while the others go on; none can tell that it is not alone.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from oration.codecs.codec import CodecModel
from oration.core import BadInput
from oration.nn.few import few
from oration.nn.linear import Weights
from oration.nn.pieces import choose, late


def fast(model: CodecModel, weights: Weights = "fp32") -> CodecModel:
    """A copy for live coding, its weights laid out for few frames. In `fp32` it gives the same but for rounding.

    Args:
        weights: `bf16` and `int8` are faster where the processor knows them, and change codes and sound a little.

    Raises:
        BadInput: another precision.
    """
    shared = {id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in model.parameters()}
    copy = deepcopy(model, shared).eval()  # type: ignore[arg-type]
    few(copy.encoder, weights)
    few(copy.decoder, weights)
    return copy


class Sessions:
    """`count` streams of a causal codec. Sound goes in and out by frames of `model.hop` samples.

    Encoding and decoding are apart: a stream may do one, both or neither. A decoder that looks ahead only at its very
    end, by some samples of an overlap, gives its sound `delay` samples later.
    """

    def __init__(self, model: CodecModel, count: int) -> None:
        """`model`: perhaps from `fast`."""
        if not model.encoder.aligned or model.numbers.block > 1:
            raise BadInput(
                "this codec looks ahead or has levels of several frames, expected one that answers each frame at once, "
                "such as Mimi; use its live() and speaker() instead"
            )
        self.model, self.count = model.eval(), count
        self.decoder = late(model.decoder)
        self.delay = self.decoder.delay
        self.like = next(model.parameters()).detach()
        self.hearing = model.encoder.start(count, self.like)
        self.speaking = self.decoder.start(count, self.like)

    @torch.no_grad()
    def encode(self, wave: Tensor, active: Tensor | None = None) -> Tensor:
        """float[count, hop] -> long[count, levels]

        Args:
            active: bool[count], the streams that have a frame; what is given and found for others means nothing.

        Raises:
            BadInput: another number of streams or samples.
        """
        if wave.shape != (self.count, self.model.hop):
            raise BadInput(
                f"the frames have shape {tuple(wave.shape)}, expected ({self.count}, {self.model.hop}): "
                "one frame of each stream; fill those that have none with zeros and leave them out of `active`"
            )
        vectors, after = self.model.encoder.push(wave.to(self.like)[:, :, None], self.hearing)
        self.hearing = after if active is None else choose(active, after, self.hearing)
        return torch.cat(self.model.quantizer.encode(vectors, self.model.numbers.levels), 1)

    @torch.no_grad()
    def decode(self, codes: Tensor, active: Tensor | None = None) -> Tensor:
        """long[count, levels or fewer] -> float[count, hop]

        Args:
            active: bool[count], the streams that have a frame; what is given and found for others means nothing.

        Raises:
            BadInput: another number of streams, no level or too many.
        """
        most = len(self.model.numbers.strides)
        if codes.ndim != 2 or len(codes) != self.count or not 1 <= codes.shape[1] <= most:
            raise BadInput(
                f"the codes have shape {tuple(codes.shape)}, expected ({self.count}, 1 to {most}): "
                "one item of each level for each stream"
            )
        vectors = self.model.quantizer.decode(codes.split(1, 1))
        wave, after = self.decoder.push(vectors.to(self.like), self.speaking)
        self.speaking = after if active is None else choose(active, after, self.speaking)
        return wave[:, :, 0]

    def reset(self, slots: Tensor) -> None:
        """Let the streams where bool[count] is True begin anew."""
        self.hearing = self.model.encoder.reset(self.hearing, slots, self.like)
        self.speaking = self.decoder.reset(self.speaking, slots, self.like)
