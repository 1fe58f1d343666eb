"""Losses that pull at one tensor, each as hard as its weight says, whatever the scale of its values."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from oration.core import BadInput


class Balance(nn.Module):
    """EnCodec's balancer: Défossez et al. 2022, arXiv:2210.13438, section 3.4.

    The gradient of each loss with respect to the decoder's output is divided by a running mean of its norm, so that
    loss i always is weight_i / (sum of weights) of the pull. The running means are buffers: they resume with the run.
    """

    def __init__(self, weights: Mapping[str, float], decay: float = 0.999) -> None:
        super().__init__()
        for name, weight in weights.items():
            if weight < 0:
                raise BadInput(f"the weight of {name!r} in a balance is {weight}, expected 0 or more; change its sign")
        self.weights, self.decay = dict(weights), decay
        self.norms: Tensor
        self.seen: Tensor
        self.register_buffer("norms", torch.zeros(len(weights)))
        # a mean over few values so far is not pulled towards the zero that it started from
        self.register_buffer("seen", torch.zeros(len(weights)))

    @torch.no_grad()
    def forward(self, pulls: Mapping[str, Tensor]) -> Tensor:
        """The gradient of each loss with respect to float[B, T] -> one gradient, float[B, T]."""
        names = list(self.weights)
        at = [names.index(name) for name in pulls]
        total = sum(self.weights[name] for name in pulls)
        norms = torch.stack([pull.float().norm(dim=1).mean() for pull in pulls.values()])
        for k, i in enumerate(at):
            self.norms[i].mul_(self.decay).add_(norms[k], alpha=1 - self.decay)
            self.seen[i].mul_(self.decay).add_(1 - self.decay)
        joined = torch.zeros_like(next(iter(pulls.values())))
        for i, (name, pull) in zip(at, pulls.items(), strict=True):
            mean = self.norms[i] / self.seen[i]
            joined += pull * (self.weights[name] / total / mean.clamp_min(1e-12))
        return joined
