"""Folders that commands fill. What the user put somewhere is never overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

from oration.core import BadInput
from oration.core.files import reason

MARK = ".made-by-oration"
"""An empty file that says: everything beside it was generated and may be generated again."""


def fresh(wanted: Path) -> Path:
    """An empty folder to write to: `wanted`, or `wanted-2`, `-3`, ... where that holds something that is not ours.

    Raises:
        BadInput: it cannot be made.
    """
    for number in range(1, 1000):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        ours = (folder / MARK).is_file()
        try:
            if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
                continue
            if ours:
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / MARK).touch()
        except OSError as failure:
            raise reason(failure, folder) from failure
        return folder
    raise BadInput(f"{str(wanted)!r} and 998 numbered ones beside it hold files of yours; name another --out")
