"""Recordings (or what is known of them) to streams, one file per family."""
