"""Arrays in, arrays out: numpy and scipy only. No files, no clock, no randomness that is not handed in."""
