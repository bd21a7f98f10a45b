"""Reports on usage: a table, Prometheus text, OpenTelemetry, one HTML page, snapshots in files.

Nothing here is loaded by ``import smclient``; each module is imported by who wants it:

* ``text.render(usage)``, ``prometheus.render(usage)``, ``html.render(snapshots)``: text;
* ``prometheus.parse(text)`` and ``prometheus.read(source)``: back to a ``Usage``;
* ``snapshots``: a process writes its usage to a folder, anybody adds up many;
* ``otel.observe(client.usage)``: instruments of OpenTelemetry;
* ``advice.advise(usage)``: what each cost strategy would save.
"""
