"""The file format .orat: streams of a codec or of units, packed, checked and seekable. docs/orat.md has every byte.

Reading and writing take NumPy and nothing else, unless a language model is asked to code (`expect.py`).
"""

from oration.core.container.about import About, Track
from oration.core.container.expect import Expecter, Expecting, shares
from oration.core.container.measure import Cost, costs
from oration.core.container.read import Excerpt, Reader, Span, merged, read
from oration.core.container.write import Writer

__all__ = [
    "About", "Cost", "Excerpt", "Expecter", "Expecting", "Reader", "Span", "Track", "Writer", "costs", "merged", "read",
    "shares",
]  # fmt: skip
