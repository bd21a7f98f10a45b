"""``smclient demo``: the main job on real parts, and a control run that shows what it prevents.

The one package that knows all the others, because it shows them together; nothing imports it.
"""
