"""An engine in a process of its own, which may hang or die alone.

`isolated` is the engine as its worker sees it, `process` starts, asks and kills the process,
`child` is what runs in it, and `shared` is the memory both see.
"""
