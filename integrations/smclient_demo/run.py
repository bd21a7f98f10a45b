"""The demo itself: main run, control run, and what has to hold for both."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smclient import AWSPENDING, Usage
from smclient_demo.app import make_app, make_engine
from smclient_demo.load import Load, Serving
from smclient_demo.postgres_server import PostgresServer
from smclient_demo.scene import Scene

REQUEST_PAUSE = 0.02
SPACE = 0.7
SHORTEST_WINDOW = 1.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """What one run of the application showed."""

    requests: int
    failed: int
    slowest: float
    rotations_asked: int
    rotations_done: int
    shortest_window: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class Result:
    """Both runs."""

    main: Part
    control: Part

    def broken(self) -> list[str]:
        """What should hold and does not; empty if the demo showed what it is for."""
        main, control = self.main, self.control
        claims = {
            "requests were made": main.requests > 0,
            "no request failed": main.failed == 0,
            "every rotation ended, and the password changed in the database": (
                main.rotations_done == main.rotations_asked > 0
            ),
            "each rotation held its window open for more than a second": (
                main.shortest_window > SHORTEST_WINDOW
            ),
            "a login was won by AWSPENDING": main.usage.logins.get(AWSPENDING, 0) > 0,
            "the control, with the ladder off, rotated": (
                control.rotations_done == control.rotations_asked > 0
            ),
            "the control failed requests": control.failed > 0,
        }
        return [claim for claim, holds in claims.items() if not holds]


def run(*, rotations: int, hold: float, threads: int, tell: Tell) -> Result:
    """Run both parts on a PostgreSQL of their own.

    Raises:
        PostgresUnavailableError, PostgresStartError: there is no server to run on.
    """
    tell("starting PostgreSQL")
    with PostgresServer() as server, tempfile.TemporaryDirectory(prefix="smclient-demo-") as folder:
        scene = Scene(server, Path(folder), hold=hold)
        try:
            tell(f"main run: {threads} threads, {rotations} rotations, window {hold} s")
            main = _part(scene, {}, rotations, threads, tell)
            tell("control run: the same with the ladder off, one rotation")
            off = {"ladder": ("AWSCURRENT",), "login_wait": 0.0}
            control = _part(scene, off, 1, threads, tell)
        finally:
            scene.close()
    return Result(main, control)


def _part(
    scene: Scene, settings: Mapping[str, Any], rotations: int, threads: int, tell: Tell
) -> Part:
    client = scene.client(**settings)
    engine = make_engine(scene.server.host, scene.server.port, client)
    before = len(scene.function.windows)
    done = 0
    try:
        with (
            Serving(make_app(engine, client)) as serving,
            Load(serving.port, threads=threads, pause=REQUEST_PAUSE) as load,
        ):
            for number in range(1, rotations + 1):
                time.sleep(SPACE)
                done += scene.rotate()
                tell(f"  rotation {number}: {load.requests} requests, {load.failed} failed")
            time.sleep(SPACE)
        windows = scene.function.windows[before:]
        return Part(
            requests=load.requests,
            failed=load.failed,
            slowest=load.slowest,
            rotations_asked=rotations,
            rotations_done=done,
            shortest_window=min(windows, default=0.0),
            usage=client.usage(),
        )
    finally:
        engine.dispose()
        client.close()
