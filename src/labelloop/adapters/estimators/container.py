"""The bytes of a saved classifier: a frame with a header in JSON and payloads, all under SHA-256; what is inside the
payloads is left to the kinds.

Layout: the magic word, format version (u32), header length (u32), SHA-256 of the header, header, payloads one after
the other; numbers are little-endian. The header says how long each payload is, so that nothing may follow the last.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labelloop.domain.errors import BadArtifact
from labelloop.domain.types import Json

MAGIC = b"labelloop-model\n"
VERSION = 1
_FIXED = struct.Struct("<II32s")
_MOST_HEADER = 1 << 20
_AGAIN = "Train the model again, or restore the artifact from a backup."


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A classifier taken apart.

    Attributes:
        kind: model kind of the project file, which knows how to put it together.
        classes: codes of the columns, ascending.
        versions: distribution name → version of the libraries that made it.
        facts: what the kind needs besides payloads, as JSON values.
        payloads: named bytes: skops files or safetensors.
    """

    kind: str
    classes: tuple[int, ...]
    versions: Mapping[str, str]
    facts: Mapping[str, Json] = field(default_factory=dict)
    payloads: Mapping[str, bytes] = field(default_factory=dict)


def pack(packed: Packed) -> bytes:
    """One self-describing blob."""
    listed = [
        {"name": name, "bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
        for name, payload in packed.payloads.items()
    ]
    header = json.dumps(
        {
            "kind": packed.kind,
            "classes": list(packed.classes),
            "versions": dict(packed.versions),
            "facts": dict(packed.facts),
            "payloads": listed,
        },
        sort_keys=True,
    ).encode()
    fixed = _FIXED.pack(VERSION, len(header), hashlib.sha256(header).digest())
    return b"".join([MAGIC, fixed, header, *packed.payloads.values()])


def unpack(blob: bytes) -> Packed:
    """The parts of a blob, each checked against its digest.

    Raises:
        BadArtifact: it is not a labelloop model, was cut short, changed, or comes from another format version.
    """
    raw, rest = _header(blob)
    try:
        header = json.loads(raw)
        parts = _parts(header["payloads"], rest)
        return Packed(
            kind=str(header["kind"]),
            classes=tuple(int(code) for code in header["classes"]),
            versions={str(name): str(made) for name, made in header["versions"].items()},
            facts=dict(header["facts"]),
            payloads=parts,
        )
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise BadArtifact(f"The header of the model file makes no sense ({error!r}). {_AGAIN}") from None


def _parts(listed: Any, rest: bytes) -> dict[str, bytes]:
    payloads, start = {}, 0
    for entry in listed:
        payload = rest[start : start + max(0, entry["bytes"])]
        if hashlib.sha256(payload).hexdigest() != entry["sha256"]:
            raise BadArtifact(f"The model file is damaged: its payload {entry['name']!r} was cut or changed. {_AGAIN}")
        payloads[str(entry["name"])] = payload
        start += len(payload)
    if start != len(rest):
        raise BadArtifact(f"The model file is damaged: {len(rest) - start} bytes too many. {_AGAIN}")
    return payloads


def _header(blob: bytes) -> tuple[bytes, bytes]:
    if not blob.startswith(MAGIC):
        raise BadArtifact(
            "This is not a labelloop model file. Give the path or digest of an artifact that a training made."
        )
    body = blob[len(MAGIC) :]
    if len(body) < _FIXED.size:
        raise BadArtifact(f"The model file is damaged: it ends inside its frame. {_AGAIN}")
    version, length, digest = _FIXED.unpack_from(body)
    if version != VERSION:
        raise BadArtifact(
            f"The model file has format version {version}; this labelloop reads version {VERSION}. "
            "Use the labelloop that wrote it, or train the model again."
        )
    raw = body[_FIXED.size : _FIXED.size + length]
    if length > _MOST_HEADER or hashlib.sha256(raw).digest() != digest:
        raise BadArtifact(f"The model file is damaged: its header was cut or changed. {_AGAIN}")
    return raw, body[_FIXED.size + length :]
