"""Which stage on which engine: measured alone, searched on paper, proved in the running graph.

`model` and `search` are pure. `candidates` asks the configuration what may run where, `recording`
and `measuring` measure it, `proving` runs the best against each other, `writing` puts the winner
into the user's file; `proposal` is all of that in turn.
"""
