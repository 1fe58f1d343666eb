"""k-means a batch at a time: what fits hours of frames without holding them. Knows no speech.

Start: k-means++ (Arthur & Vassilvitskii 2007) and a few rounds of Lloyd's algorithm on the first frames. After that
each batch moves its nearest centroids towards its mean, the slower the more frames a centroid has had (Sculley 2010),
and a centroid that hardly any frame chooses begins anew at a frame far from all others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def squared_distances(x: Tensor, centroids: Tensor) -> Tensor:
    """float[N, D] and float[K, D] -> float[N, K], in float32 whatever the autocast."""
    with torch.autocast(x.device.type, enabled=False):
        x, centroids = x.float(), centroids.float()
        cross = torch.addmm(centroids.square().sum(1)[None], x, centroids.mT, alpha=-2)
        return (cross + x.square().sum(1, keepdim=True)).clamp_(min=0)


def nearest(x: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """float[N, D] -> (squared distance float[N], centroid long[N])."""
    distance, choice = squared_distances(x, centroids).min(1)
    return distance, choice


def residual(x: Tensor, codebooks: Tensor) -> tuple[Tensor, Tensor]:
    """float[N, D] and float[L, K, D] -> (codewords long[L, N], squared distances float[L, N] left after each level).

    Each level says what those before it left over.
    """
    choices, distances = [], []
    for centroids in codebooks:
        distance, choice = nearest(x, centroids)
        x = x - centroids[choice]
        choices.append(choice)
        distances.append(distance)
    return torch.stack(choices), torch.stack(distances)


def spread_out(x: Tensor, clusters: int) -> Tensor:
    """`clusters` frames of float[N, D], each drawn by its squared distance to those drawn before (k-means++)."""
    chosen = x.new_empty(clusters, x.shape[1])
    chosen[0] = x[torch.randint(len(x), (1,), device=x.device)]
    distance = squared_distances(x, chosen[:1])[:, 0]
    for number in range(1, clusters):
        # Frames of one and the same value leave nothing to draw from: then any frame will do.
        weights = distance if bool(distance.sum() > 0) else torch.ones_like(distance)
        chosen[number] = x[torch.multinomial(weights, 1)]
        distance = torch.minimum(distance, squared_distances(x, chosen[number : number + 1])[:, 0])
    return chosen


def sums(x: Tensor, choice: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """Per cluster: the sum of its frames, float[K, D], and their number, float64[K]."""
    total = x.new_zeros(clusters, x.shape[1]).index_add_(0, choice, x)
    return total, torch.bincount(choice, minlength=clusters).double()


class MiniBatchKMeans(nn.Module):
    """What fitting remembers between batches; the centroids themselves belong to whoever uses them.

    Every number is a buffer, so that an interrupted fit resumes exactly.
    """

    def __init__(self, clusters: int, dim: int, *, start: int = 40, memory: int = 400, rare: float = 0.02) -> None:
        """Args:
        start: frames per cluster to collect before the start.
        memory: frames per cluster that a centroid's place rests on; older ones fade.
        rare: a cluster with less than this share of the mean number of frames begins anew.
        """
        super().__init__()
        self.clusters, self.memory, self.rare = clusters, memory * clusters, rare
        self.pool: Tensor
        self.filled: Tensor
        self.mass: Tensor
        self.register_buffer("pool", torch.zeros(start * clusters, dim))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self.register_buffer("mass", torch.zeros(clusters, dtype=torch.float64))

    @property
    def started(self) -> bool:
        return bool(self.mass.sum() > 0)

    def collect(self, x: Tensor) -> bool:
        """Put float[N, D] into the pool; True when it is full."""
        at = int(self.filled)
        room = self.pool[at : at + len(x)]
        room.copy_(x[: len(room)])
        self.filled += len(room)
        return int(self.filled) == len(self.pool)

    def collected(self) -> Tensor:
        """float[n, D]: the pool so far."""
        return self.pool[: int(self.filled)]

    def start(self, x: Tensor, rounds: int = 10) -> tuple[Tensor, Tensor]:
        """First centroids float[K, D] from the pool's frames float[n, D] (scaled as the caller likes), and their mean
        squared distance."""
        centroids = spread_out(x, self.clusters)
        for _ in range(rounds):
            _, choice = nearest(x, centroids)
            total, count = sums(x, choice, self.clusters)
            used = count > 0
            centroids[used] = total[used] / count[used, None].to(total.dtype)
        distance, choice = nearest(x, centroids)
        self.mass.copy_(sums(x, choice, self.clusters)[1])
        return centroids, distance.mean()

    def update(self, x: Tensor, centroids: Tensor, *, reseed: bool = True) -> Tensor:
        """Move `centroids` in place by the batch float[N, D]; float[N], its squared distances before the move."""
        distance, choice = nearest(x, centroids)
        total, count = sums(x, choice, self.clusters)
        self.mass.mul_(max(0.0, 1 - len(x) / self.memory)).add_(count)
        touched = count > 0
        pull = total[touched] - centroids[touched] * count[touched, None].to(total.dtype)
        centroids[touched] += pull / self.mass[touched, None].to(total.dtype)
        if reseed:
            self._reseed(x, distance, centroids)
        return distance

    def _reseed(self, x: Tensor, distance: Tensor, centroids: Tensor) -> None:
        least = self.rare * self.mass.mean()
        empty = torch.nonzero(self.mass < least)[:, 0]
        far = int((distance > 0).sum())
        empty = empty[: min(far, max(1, self.clusters // 8))]
        if len(empty):
            centroids[empty] = x[torch.multinomial(distance, len(empty))]
            self.mass[empty] = 2 * least  # time to win frames before it is judged again
