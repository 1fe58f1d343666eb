import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oration.nn.kmeans import MiniBatchKMeans, nearest, spread_out, squared_distances


def blobs(n: int, centres: int = 30, dim: int = 6, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    middle = torch.randn(centres, dim, generator=generator) * 5
    member = torch.randint(centres, (n,), generator=generator)
    return middle[member] + torch.randn(n, dim, generator=generator) * 0.5, middle


def fit(x: torch.Tensor, clusters: int, *, batch: int = 100, seed: int = 0, **numbers):
    torch.manual_seed(seed)
    means, centroids = MiniBatchKMeans(clusters, x.shape[1], **numbers), None
    for piece in x.split(batch):
        if centroids is not None:
            means.update(piece, centroids)
        elif means.collect(piece):
            centroids, _ = means.start(means.collected())
    return means, centroids


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 9), st.integers(1, 5), st.integers(0, 99))
def test_distances_are_those_of_the_definition(frames, clusters, dim, seed):
    torch.manual_seed(seed)
    x, centroids = torch.randn(frames, dim), torch.randn(clusters, dim)
    slow = ((x[:, None] - centroids) ** 2).sum(2)
    torch.testing.assert_close(squared_distances(x, centroids), slow, atol=1e-4, rtol=1e-4)
    distance, choice = nearest(x, centroids)
    torch.testing.assert_close(distance, slow.min(1).values, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(slow.gather(1, choice[:, None])[:, 0], distance, atol=1e-4, rtol=1e-4)


def test_the_start_draws_one_frame_of_each_far_cluster():
    x, middle = blobs(600, centres=8)
    torch.manual_seed(0)
    chosen = spread_out(x, 8)
    assert len(set(nearest(chosen, middle)[1].tolist())) == 8


def test_frames_that_are_all_alike_do_not_break_the_start():
    chosen = spread_out(torch.ones(10, 3), 4)
    assert torch.equal(chosen, torch.ones(4, 3))


def test_minibatches_come_near_lloyd_on_all_the_data():
    x, _ = blobs(20_000)
    x = x + torch.randn(20_000, 6, generator=torch.Generator().manual_seed(1)) * 2
    _, mini = fit(x, 40, start=25)
    torch.manual_seed(0)
    full, _ = MiniBatchKMeans(40, 6).start(x, rounds=30)
    assert nearest(x, mini)[0].mean() < 1.05 * nearest(x, full)[0].mean()


def test_a_cluster_nobody_chooses_begins_anew():
    x, _ = blobs(6000)
    torch.manual_seed(0)
    means = MiniBatchKMeans(30, 6, start=1, memory=30)
    centroids, _ = means.start(x[:900])
    centroids[:10] = 1000.0  # as if drawn from a recording with a fault
    lost = nearest(x, centroids)[0].mean()
    for piece in x.split(200):
        means.update(piece, centroids)
    assert (centroids.abs() < 100).all()
    assert nearest(x, centroids)[0].mean() < 0.5 * lost
    assert len(set(nearest(x, centroids)[1].tolist())) > 25


def test_a_fit_resumes_exactly():
    x, _ = blobs(4000)
    means, centroids = fit(x[:2000], 30, start=20)
    other = MiniBatchKMeans(30, 6, start=20)
    other.load_state_dict(means.state_dict())
    copy = centroids.clone()
    for piece in x[2000:].split(100):
        torch.manual_seed(3)
        means.update(piece, centroids)
        torch.manual_seed(3)
        other.update(piece, copy)
    assert torch.equal(centroids, copy)
    assert torch.equal(means.mass, other.mass)


def test_old_frames_fade():
    left, right = torch.zeros(3000, 2), torch.ones(3000, 2)
    _, centroids = fit(torch.cat([left, right]) + torch.rand(6000, 2) * 0.01, 2, start=10, memory=200, rare=0.0)
    assert np.allclose(centroids.max().item(), 1.0, atol=0.02)
