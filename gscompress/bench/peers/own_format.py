"""What the ecosystem formats share that gscompress writes itself, each with one writer class and its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gscompress import __version__
from gscompress.bench.peers.base import Peer
from gscompress.events import EventLog
from gscompress.formats.base import Format


class OwnFormat(Peer):
    """A format of others in our implementation, which the tests compare with theirs."""

    writer: type[Format]

    def version(self) -> str:
        return f"gscompress {__version__}"

    def encode(self, source: Path, target: Path, options: Mapping[str, Any], log: EventLog) -> None:
        from gscompress import formats

        scene = formats.read(source, log)
        writer = self.writer(**{key: tuple(v) if isinstance(v, list) else v for key, v in options.items()})
        for loss in writer.losses(scene):
            log.info(loss)
        writer.write(scene, target, log)
