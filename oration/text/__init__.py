"""Phones and pieces of text. Knows no audio."""
