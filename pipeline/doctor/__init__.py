"""Whether this machine is fit to run a configuration.

What is installed, what this process is allowed, the clocks; and of a configuration its secrets,
ports, folders and, if that is wanted, its cameras. What was found and what it means are apart, so
that tests can say what is found. Nothing is written, and nothing is asked of the network unless
that is wanted.
"""
