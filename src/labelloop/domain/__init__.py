"""Plain values of the labeling problem: no arrays, no drivers, no clock; standard library only."""
