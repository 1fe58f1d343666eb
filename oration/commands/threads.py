"""How much of the machine to use. Imports nothing heavy: it is asked before torch is."""

from __future__ import annotations

import os
from pathlib import Path


def cores() -> int:
    """How many processors this process may use: those it is bound to, or fewer where a container rations them."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        count = min(count, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        pass  # no such ration on this system
    return count


def limit() -> None:
    """Half the cores for torch, unless the user says otherwise by OMP_NUM_THREADS.

    Where something else runs, a thread that waits for a busy core holds up all others. To be called before torch is
    imported.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // 2)))
