"""Load on a running stack: `scripts/bench NAME`. One module per subject; each gives its subjects to `__main__`."""
