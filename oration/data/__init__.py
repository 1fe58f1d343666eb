"""Corpora: manifests, alignment, synthetic voices, and what feeds draw from."""
