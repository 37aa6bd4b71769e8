"""What the learning models see of a series: candidates for its future, scales, inputs, training windows.

The ridge, the boosting and the LSTM call it. Pure, numpy only: nothing here learns, draws without a given
generator, or looks beyond an origin.
"""
