"""Signals: files, resampling, mel, F0, Griffin-Lim. Knows no tokens."""
