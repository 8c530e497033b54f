"""The `.gscz` file: chunked, checksummed, streamable, truncation-tolerant. SPEC.md beside this file is the law."""
