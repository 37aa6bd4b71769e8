"""Planning: which chain, and how many instances of which engines, will meet the demand for least money.

Pure: a problem in, a plan out, the same for the same. The planning loop asks, recommendations tell. It knows
no store, no gRPC, no clock and no dice.
"""
