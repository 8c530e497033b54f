"""The exception tree. Every message is one line: what is wrong, where, what to do.

GscompressError            exit code 1
├── UsageError             exit code 2   a wrong argument, name or combination
│   └── OutputExistsError  exit code 2   OUT is there already and --force was not given
├── UnreadableError        exit code 3   the input is corrupt, truncated, hostile or of another type
│   └── ChecksumError      exit code 3   stored and computed checksums differ
└── MissingExtraError      exit code 4   an optional dependency is not installed
"""

from __future__ import annotations


class GscompressError(Exception):
    """Base of every error that gscompress raises on purpose."""

    exit_code = 1


class UsageError(GscompressError):
    """The caller asked for something that does not exist or does not fit together."""

    exit_code = 2


class OutputExistsError(UsageError):
    """The output path exists and overwriting was not allowed."""


class UnreadableError(GscompressError):
    """The input cannot be read as what it claims to be."""

    exit_code = 3


class ChecksumError(UnreadableError):
    """A stored checksum does not match the bytes."""


class MissingExtraError(GscompressError):
    """An optional dependency is needed: the message names the extra to install."""

    exit_code = 4

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'gscompress[{extra}]'")
