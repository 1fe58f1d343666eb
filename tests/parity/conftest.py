"""Shared by the tests against other implementations: how their packages are imported."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # for references.py
