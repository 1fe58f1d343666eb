"""Dynamic time warping of very many pairs of short sequences at once. Knows no phones.

Time runs as loops over the cells of the largest pair; every operation inside takes thousands of pairs.
"""

from __future__ import annotations

import numpy as np

CHUNK = 16_384
"""Pairs that are warped together: their rows stay in the cache of one core."""


def angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angle between frames by pi, float[F, D] x float[G, D] -> float32[F, G] in 0 .. 1.

    An all-zero frame has no direction: it lies at 1 from every other frame and at 0 from another all-zero one.
    """
    (first, first_zero), (second, second_zero) = _unit(first), _unit(second)
    cosine = first @ second.T
    # The rounding of float32 would put a frame at 0.0001 from its own copy, so what is that close is called equal.
    cosine[cosine > 1 - 5e-7] = 1
    distance = np.arccos(np.maximum(cosine, -1, out=cosine), out=cosine)
    distance *= np.float32(1 / np.pi)
    distance[first_zero] = 1
    distance[:, second_zero] = 1
    distance[np.ix_(first_zero, second_zero)] = 0
    return distance


def _unit(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames of length one, float32[F, D], and which of them are all zero, bool[F]."""
    norm = np.linalg.norm(frames.astype(np.float64), axis=1, keepdims=True)
    return (frames / np.where(norm > 0, norm, 1)).astype(np.float32), norm[:, 0] == 0


def mismatches(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The same for one-hot frames, int[F] x int[G] -> float32[F, G]: equal (0) or at right angles (1/2)."""
    return np.where(first[:, None] == second[None], np.float32(0), np.float32(0.5))


def warp(
    distance: np.ndarray, rows: np.ndarray, heights: np.ndarray, columns: np.ndarray, widths: np.ndarray
) -> np.ndarray:
    """Warped distance of P pairs of sequences, by the length of their path.

    The path goes down, right or diagonally through the block of `distance` that belongs to a pair and makes the sum
    of its cells least; the result is that sum by the number of cells on it. Where several paths are least, the one
    counted goes back diagonally if it can, else left, else up.

    Args:
        distance: float32[F, G], between all frames.
        rows, heights: int[P], where a pair's block begins and how many frames the first sequence has.
        columns, widths: int[P], the same for the second.

    Returns:
        float32[P]
    """
    result = np.empty(len(rows), np.float32)
    order = np.lexsort((widths, heights))
    flat = np.ascontiguousarray(distance).reshape(-1)
    for start in range(0, len(order), CHUNK):
        part = order[start : start + CHUNK]
        corner = rows[part].astype(np.int64) * distance.shape[1] + columns[part]
        result[part] = _warp(flat, distance.shape[1], corner, heights[part], widths[part])
    return result


def _warp(flat: np.ndarray, stride: int, corner: np.ndarray, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Pairs sorted by height, then width. Cells outside a pair's block hold anything: no cell looks right or down."""
    result = np.empty(len(corner), np.float32)
    ends = _ends(heights, widths)
    width, last = int(widths.max()), len(flat) - 1
    cost = np.full((width + 1, len(corner)), np.inf, np.float32)
    steps = np.zeros((width + 1, len(corner)), np.float32)
    for row in range(int(heights.max())):
        # Pairs that end above this row are a prefix, because they are sorted.
        live = slice(int(np.searchsorted(heights, row, side="right")), None)
        at = corner[live] + row * stride
        diagonal, path = cost[0, live].copy(), steps[0, live].copy()
        if row == 0:
            diagonal[:] = 0
        cost[0, live] = np.inf
        for column in range(1, width + 1):
            up, up_steps = cost[column, live], steps[column, live]
            left, left_steps = cost[column - 1, live], steps[column - 1, live]
            least = np.minimum(np.minimum(left, up), diagonal)
            length = np.where(diagonal == least, path, np.where(left == least, left_steps, up_steps))
            least += flat[np.minimum(at + (column - 1), last)]
            length += 1
            diagonal, path = up.copy(), up_steps.copy()
            cost[column, live], steps[column, live] = least, length
            if (row + 1, column) in ends:
                done = ends[row + 1, column]
                result[done] = cost[column, done] / steps[column, done]
    return result


def _ends(heights: np.ndarray, widths: np.ndarray) -> dict[tuple[int, int], slice]:
    """(height, width) -> the pairs of that shape, which stand together."""
    starts = np.flatnonzero(np.r_[True, (heights[1:] != heights[:-1]) | (widths[1:] != widths[:-1])])
    stops = np.r_[starts[1:], len(heights)]
    return {
        (int(heights[start]), int(widths[start])): slice(int(start), int(stop))
        for start, stop in zip(starts, stops, strict=True)
    }
