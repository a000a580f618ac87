"""``sightline run --daemon``: a deployment that runs for months, and can be seen into."""
