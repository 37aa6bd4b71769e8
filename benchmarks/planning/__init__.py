"""How fast planning is: many workloads, steps and engines at once."""
