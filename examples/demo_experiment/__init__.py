"""The demonstration of experiments: one that harms is stopped, one that helps is promoted."""
