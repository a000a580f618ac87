"""From an artefact to results: the device's arithmetic, exact and fast, and its behaviour."""
