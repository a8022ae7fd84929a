"""Settings of a run as one flat table, with a hash."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

HASH_LENGTH = 8
"""Hexadecimal digits of a hash."""

_IMPLIED = {"losses.contrastive.symmetric": False}
"""Options that came after the first runs, with the value that those had without them.

They are left out, so that stored settings and hashes hold.
"""


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with some of them replaced; tables are merged, lists are not.

    Args:
        base: Settings, nested.
        changes: Settings of the same nesting.
    """
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merge(old, value)
        merged[name] = value
    return merged


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by names with dots; an empty table is a value.

    Args:
        settings: Settings, nested.
        prefix: What every name begins with.
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{name}."))
        elif not _is_implied(f"{prefix}{name}", value):
            flat[f"{prefix}{name}"] = value
    return flat


def _is_implied(name: str, value: Any) -> bool:
    return any(
        name.endswith(option) and value == implied
        for option, implied in _IMPLIED.items()
    )


def settings_hash(flat: Mapping[str, Any]) -> str:
    """Return a hash of settings; their order does not count.

    Args:
        flat: Settings by name, as JSON knows them.
    """
    text = json.dumps(flat, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:HASH_LENGTH]


def differences(flat: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not the stored ones.

    Args:
        flat: Settings by name.
        stored: Those to compare with; of what is only there the value is None.
    """
    names = sorted({*flat, *stored})
    return {
        name: flat.get(name)
        for name in names
        if name not in stored or name not in flat or flat[name] != stored[name]
    }
