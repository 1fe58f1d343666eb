"""Work spread over processes, answers in the order of the questions. Knows nothing of speech."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_order(work: Callable[[Item], Answer], items: Iterable[Item], workers: int) -> Iterator[tuple[Item, Answer]]:
    """Each item with `work(item)`, as soon as it and all before it are done. One worker means this very process.

    `work` must be a function of a module (or a partial of one), so that another process can import it.
    """
    if workers <= 1:
        for item in items:
            yield item, work(item)
        return
    # A forked process would inherit the locks of torch's and the progress bar's threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        remaining = iter(items)
        waiting: deque[tuple[Item, Future[Answer]]] = deque()
        try:
            waiting.extend((item, pool.submit(work, item)) for item in islice(remaining, 16 * workers))
            while waiting:
                item, future = waiting.popleft()
                answer = future.result()
                waiting.extend((later, pool.submit(work, later)) for later in islice(remaining, 1))
                yield item, answer
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
