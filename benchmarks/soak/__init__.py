"""A soak: the whole program on cameras for minutes to days, and whether it stays as it was.

`python -m benchmarks.soak --minutes 30` runs `sightline run --daemon` as a process of its own on
network cameras that see the rendered street, looks at it every few seconds from outside, and judges
by stated rules: memory, descriptors and threads flat, every frame accounted for, no drop that the
load does not explain.
"""
