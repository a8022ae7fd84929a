"""What a trimmed folder was made from and what was kept (``trim.json``)."""

import json
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence

from espnet_samu.scoring.markdown import format_table
from espnet_samu.utils.hashing import hash_file

REPORT_FILE = "trim.json"
# To be raised when the same input would give another folder.
_VERSION = 1

_CHECK_COLUMNS = {
    "sentences": "sentences",
    "pieces": "pieces",
    "not kept": "not_kept",
    "pieces after": "pieces_trimmed",
    "unknown before": "unknown_before",
    "unknown after": "unknown_after",
}


def input_key(
    files: Sequence[Path],
    texts: Sequence[str],
    check_texts: Sequence[str],
    added: Mapping[str, str],
) -> Dict[str, Any]:
    """Hashes of all that a trimmed folder depends on.

    Args:
        files: Of the pre-trained model.
        texts: Training targets.
        check_texts: Texts that are only counted in.
        added: New language tokens.
    """
    return {
        "version": _VERSION,
        "model_sha256": {path.name: hash_file(path) for path in files},
        "texts_sha256": [hash_file(text) for text in texts],
        "check_texts_sha256": [hash_file(text) for text in check_texts],
        "add_languages": dict(added),
    }


def read_report(folder: Path) -> Optional[Dict[str, Any]]:
    """Report of a folder; None where there is none."""
    path = folder / REPORT_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def table(report: Mapping[str, Any]) -> str:
    """Tables of a report for people."""
    tokens, parameters = report["tokens"], report["parameters"]
    kept = [[reason, f"{n:,}"] for reason, n in report["kept"].items()]
    kept.append(["all", f"{tokens['after']:,}"])
    sizes = {
        "tokens": tokens,
        "parameters of the embedding": parameters["embedding"],
        "parameters of the decoder": parameters["all"],
    }
    parts = [
        format_table(["kept because", "tokens"], kept),
        format_table(
            ["", "before", "after"],
            [
                [name, f"{n['before']:,}", f"{n['after']:,}"]
                for name, n in sizes.items()
            ],
        ),
    ]
    for text, characters in _unknown(report):
        parts.append(f"{text}: {characters}\n")
    if report["check"]:
        rows = [
            [check["file"], *(f"{check[name]:,}" for name in _CHECK_COLUMNS.values())]
            for check in report["check"]
        ]
        parts.append(format_table(["text", *_CHECK_COLUMNS], rows))
    return "\n".join(parts)


def _unknown(report: Mapping[str, Any]):
    """Lines on characters: unknown ones of the training, lost ones elsewhere."""
    listings = [("unknown in training", report["unknown_characters"])]
    listings += [
        (f"no longer known in {check['file']}", check["lost_characters"])
        for check in report["check"]
    ]
    for name, characters in listings:
        if characters:
            yield name, ", ".join(f"{c} {n}" for c, n in characters.items())
