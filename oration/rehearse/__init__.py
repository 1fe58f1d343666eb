"""Rehearsals: a scripted user against any live engine, faster than real time, and what came of it."""
