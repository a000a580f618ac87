"""The cameras of one configuration spread over several processes, each a complete graph.

`spreading` says which camera goes where, `shard` is a process as its parent sees it, `child` is
what runs in it, `merging` makes one report of all, and `deployment` starts, watches and changes
them.
"""
