"""Planned events: what past ones did, and what those to come will do to a forecast. Pure; numpy only."""
