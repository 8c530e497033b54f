"""General compression: bytes come back, limits hold, damage is noticed."""

from __future__ import annotations

import lzma
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.entropy.general import METHODS, pack, unpack
from gscompress.errors import UnreadableError

TEXT = b"All Gaussians are alike; every scene is unhappy in its own way. " * 40


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 50), st.sampled_from(METHODS))
def test_bytes_come_back(piece: bytes, times: int, method: str) -> None:
    data = piece * times
    packed = pack(data, method)
    assert unpack(packed, len(data)) == data
    if data:
        with pytest.raises(UnreadableError, match="more than is allowed"):
            unpack(packed, len(data) - 1)


@pytest.mark.parametrize("method", METHODS)
def test_damage_is_noticed(method: str) -> None:
    packed = pack(TEXT, method)
    damaged = [packed[:length] for length in range(len(packed))] + [packed + b"x", packed + packed]
    damaged += [packed[:place] + bytes([packed[place] ^ 4]) + packed[place + 1 :] for place in range(len(packed))]
    for data in damaged:
        try:
            assert unpack(data, len(TEXT)) == TEXT  # a flip in a field that nobody needs
        except UnreadableError:
            continue
        assert len(data) == len(packed)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([b"", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00"]), st.binary(max_size=60))
def test_noise_is_refused(magic: bytes, noise: bytes) -> None:
    with pytest.raises(UnreadableError):
        unpack(magic + noise, 1000)


@pytest.mark.parametrize("method", METHODS)
def test_a_bomb_is_defused(method: str) -> None:
    bomb = pack(bytes(20_000_000), method)
    assert len(bomb) < 10_000
    with pytest.raises(UnreadableError, match="more than is allowed"):
        unpack(bomb, 1_000_000)


def test_a_claimed_size_is_not_believed() -> None:
    parameters = zstandard.ZstdCompressionParameters(write_content_size=True)
    lying = bytearray(zstandard.ZstdCompressor(compression_params=parameters).compress(TEXT))
    assert lying[4] >> 6 == 1  # two bytes of content size, after the header's flags
    lying[5:7] = b"\xff\xff"
    with pytest.raises(UnreadableError):
        unpack(bytes(lying), 1 << 20)


def test_a_window_beyond_128_mb_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(UnreadableError, match="zstd cannot unpack"):
        unpack(compressor.compress(TEXT) + compressor.flush(), 1 << 20)


def test_a_dictionary_beyond_256_mb_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    data = lzma.compress(TEXT, lzma.FORMAT_XZ, filters=filters)
    assert unpack(data, 1 << 20) == TEXT
    place = data.index(b"\x21\x01") + 2  # filter id, size of its properties, then the dictionary's size
    greedy = data[:place] + bytes([39]) + data[place + 1 :]
    fixed = greedy[:20] + zlib.crc32(greedy[12:20]).to_bytes(4, "little") + greedy[24:]
    with pytest.raises(UnreadableError, match="Memory"):
        unpack(fixed, 1 << 20)


def test_unknown_methods_and_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="zstd, xz"):
        pack(b"", "gzip")
    with pytest.raises(UnreadableError, match="neither zstd nor xz"):
        unpack(b"\x1f\x8b\x08", 100)
