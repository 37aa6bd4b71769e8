"""What conclusions from experiments are worth, by simulation."""
