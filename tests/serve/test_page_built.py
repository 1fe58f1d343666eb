"""The built page as files: up to date, small, and complete in itself."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "oration" / "serve" / "page"


def test_the_page_was_built_from_these_sources():
    web = ROOT / "web"
    files = []
    for name in ("index.html", "package-lock.json", "public", "src", "svelte.config.js", "vite.config.ts"):
        path = web / name
        files += [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    digest = hashlib.sha256()
    for path in sorted(str(path.relative_to(web)) for path in files):
        digest.update(f"{path}\n".encode() + (web / path).read_bytes())
    assert (PAGE / "built-from.txt").read_text().strip() == digest.hexdigest(), "the page is out of date: make page"


def test_the_page_is_small_and_loads_nothing_from_elsewhere():
    index = (PAGE / "index.html").read_text()
    for address in re.findall(r'(?:src|href)="([^"]+)"', index):
        assert (PAGE / address).is_file(), address
    assert not re.search(r"<style|style=|<script(?![^>]+src=)|\son\w+=", index), "a strict policy would block it"
    sizes = {path.name: path.stat().st_size for path in PAGE.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 120_000, sizes
    for path in PAGE.glob("assets/*"):
        assert not re.search(r"@import|url\(|\beval\(|new Function|import\(\s*[\"']https?:", path.read_text()), (
            path.name
        )


def test_the_lock_file_names_no_place_to_download_from():
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text())
    assert len(lock["packages"]) > 20
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert not re.search("https?://", (ROOT / "web" / ".npmrc").read_text())


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "web" / "node_modules").is_dir(), reason="needs npm ci in web/")
def test_what_needs_no_browser():
    subprocess.run(["npm", "test"], cwd=ROOT / "web", check=True, timeout=250)
