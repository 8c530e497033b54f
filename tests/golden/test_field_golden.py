"""Files of fields that were written once: every later version decodes them to the same bits.

The fields are those of ``field_specimens``, coded without pictures at quality 60; ``field-digests.json`` has a SHA-256
per file, of all decoded tensors in order.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from gscompress.codecs import field_gscz
from gscompress.container.reader import Reader
from gscompress.events import EventLog

HERE = Path(__file__).parent / "fields"
DIGESTS = json.loads((HERE / "field-digests.json").read_text())


@pytest.mark.parametrize("name", DIGESTS)
def test_fields_decode_as_on_the_day_they_were_written(name: str) -> None:
    field = field_gscz.decode(Reader((HERE / name).read_bytes()), EventLog())
    digest = hashlib.sha256()
    for array in field.tensors.values():
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    assert digest.hexdigest() == DIGESTS[name]
