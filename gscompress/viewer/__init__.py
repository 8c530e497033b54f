"""See and compare scenes in a browser: ``gscompress view``.

``exhibit`` is what is shown, ``server`` serves it with viser, and every browser window gets a ``session`` of its own.
"""
