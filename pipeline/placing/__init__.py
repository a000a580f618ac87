"""Which stage on which engine: measured alone, searched on paper, proved in the running graph.

`model` and `search` are pure. `candidates` asks the configuration what may run where; `footage`,
`solo`, `measuring` and `survey` measure it; `proving` runs the best in turn. `proposing` does all
of that, `proposal` is what comes of it, and `rewriting` puts it into the user's own file.
"""
