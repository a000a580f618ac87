"""A soak: the whole program on cameras for minutes to days, and whether it stays as it was.

`python -m benchmarks.soak --minutes 30` runs `sightline run` as a process of its own on rendered
cameras, looks at it every few seconds from outside, and judges by stated rules: memory, descriptors
and threads flat, every frame accounted for, no drop that the load does not explain.

The cameras' pictures are painted and encoded beforehand: painting one 720p picture takes longer
than all the pipeline does with it, and the process that is measured is the pipeline.
"""
