"""Sightline: camera streams and files to tracked objects, on any mix of hardware.

The three steps, each an object that can be looked at before the next is taken::

    import pipeline

    config = pipeline.load("street.yaml")
    graph = pipeline.build(config)
    report = pipeline.run(graph)

or, to use the results in Python::

    for packet in pipeline.stream(graph):
        print(packet.frame.pts_ns, packet.payload.tracks.ids)
"""
