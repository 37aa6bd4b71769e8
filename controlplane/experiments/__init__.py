"""What experiments measured, what may be concluded from it, and what is done then.

All but `outcomes.py`, which folds what ended, is PURE: sums, experiment and time go in, an analysis or a
decision comes out.
"""
