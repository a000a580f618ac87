"""Pages for people: one HTML file each, readable offline, in light and dark, and in print.

A page has no script and refers to nothing outside itself. `rendering` fills the templates of
``templates/``, which all begin with ``base.html``; `charts` draws; `numbers` writes numbers.
"""
