"""Dialogue as data: the sample ledger, the events of a session, policies of turn-taking. Knows no model."""
