"""Every claim of speed, measured beside its alternative: `python -m benchmarks`."""
