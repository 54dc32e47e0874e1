"""Digests and keyed draws: the same on every machine, in every row order (docs/dataset.md, "Identity")."""

import hashlib
import json
import struct
from collections.abc import Iterable, Sequence

PURPOSES = ("tie", "rejected", "select", "split", "order", "mixture")


def canonical_json(content: object) -> bytes:
    """Return compact UTF-8 JSON: no spaces, no ASCII escapes, keys in the order given."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def text_key(text: str) -> str:
    """Return the hex sha256 of the UTF-8 text, without any normalisation; `prompt_id` is one."""
    return hashlib.sha256(text.encode()).hexdigest()


def json_key(content: object) -> str:
    """Return the hex sha256 of the compact JSON of some content."""
    return hashlib.sha256(canonical_json(content)).hexdigest()


def row_key(texts: Sequence[str]) -> str:
    """Return the hex sha256 of the compact JSON list of a row's texts, as read."""
    return json_key(list(texts))


def draws(seed: int, purpose: str, keys: Iterable[str], choices: int) -> list[int]:
    """Return one index in [0, choices) for each key.

    Each is sha256 of the line "seed|purpose|key|choices", read as a big-endian integer, modulo `choices`.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"purpose {purpose!r} is not one of {PURPOSES}")
    prefix, end = hashlib.sha256(f"{seed}|{purpose}|".encode()), f"|{choices}".encode()
    digests = []
    for key in keys:
        digest = prefix.copy()
        digest.update(key.encode() + end)
        digests.append(digest.digest())
    if choices == 2**64:  # the remainder is the last eight bytes
        return [*struct.unpack(f">{len(digests)}Q", b"".join(digest[-8:] for digest in digests))]
    return [int.from_bytes(digest, "big") % choices for digest in digests]


def draw(seed: int, purpose: str, key: str, choices: int) -> int:
    """Return an index in [0, choices), the same on every machine and in every row order."""
    return draws(seed, purpose, [key], choices)[0]


def rows_digest(row_digests: Iterable[bytes]) -> str:
    """Return the hex sha256 over the sorted raw sha256 digests of the rows: independent of their order."""
    return hashlib.sha256(b"".join(sorted(row_digests))).hexdigest()
