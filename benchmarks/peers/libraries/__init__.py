"""One module a library: `TRACKERS`, and how its documentation says that they are called.

Imported in the library's own environment only. Parameters are the library's defaults. What follows
a comma in a tracker's name is an option. `fps`: it is told the frame rate of the recording;
`timed`: the time of each frame as well, or how many are missing, in the way the library offers.
"""
