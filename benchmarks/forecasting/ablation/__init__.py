"""What each part of the recipe brings: the same backtest with one part at a time left out."""
