"""Files that are either as they were or complete, never half-written."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oration.core.errors import BadInput, OrationError


def reason(failure: OSError, path: Path | str) -> OrationError:
    """The operating system's refusal as one sentence with a remedy."""
    remedies = {
        errno.ENOSPC: "there is no space left on that disk; free some or choose another place",
        errno.EDQUOT: "your quota on that disk is used up; free some or choose another place",
        errno.EFBIG: "the file would be larger than this system allows; choose another place or a smaller recording",
        errno.EACCES: "this user has no permission there; change the permission or choose another place",
        errno.EPERM: "this user has no permission there; change the permission or choose another place",
        errno.EROFS: "that disk is read-only; choose another place",
        errno.EISDIR: "it is a folder, expected a file; name a file inside it",
        errno.ENOENT: "it does not exist, or its folder does not; check the path",
        errno.ENOTDIR: "a part of the path is a file, expected folders; check the path",
        errno.ENAMETOOLONG: "the name is too long for this system; choose a shorter one",
    }
    said = remedies.get(
        failure.errno or 0, f"the system says {failure.strerror or failure}; check the path and the disk"
    )
    return BadInput(f"cannot use {str(path)!r}: {said}")


@contextmanager
def aside(path: Path | str, *, overwrite: bool = True) -> Iterator[Path]:
    """A file beside `path` to write to. When the block ends well it is forced to the disk and takes the name `path`.

    Raises:
        BadInput: the folder is missing, closed to us or full, or `path` exists and `overwrite` is False. What stood at
            `path` is untouched, and nothing is left beside it.
    """
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"cannot write to {str(path)!r}: it is a folder, expected a file name; name a file inside it")
    if not overwrite and path.exists():
        raise BadInput(f"{str(path)!r} exists and would be lost; choose another name or allow overwriting")
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes private files; a written file follows the user's umask as any other does.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as failure:
        raise reason(failure, path) from failure
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def replace_file(path: Path | str, content: bytes | str, *, overwrite: bool = True) -> Path:
    """Write `content` (text as UTF-8) to `path`: readers see the old file or the new one, never a part.

    Raises:
        BadInput: as `aside`.
    """
    with aside(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)
