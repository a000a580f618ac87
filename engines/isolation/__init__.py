"""An engine in a process of its own, which may hang or die alone.

`isolated` is the engine as its worker sees it, `process` asks its process, `child` is what runs in
it, and `shared` is the memory both see. `spawn` starts, hears and kills any process of ours.
"""
