"""What a trimmed folder was made from and what was kept (``trim.json``)."""

import json
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence

from espnet_samu.scoring.markdown import format_table
from espnet_samu.text.ceiling import describe_ceiling
from espnet_samu.text.coverage import name_character, name_characters
from espnet_samu.utils.hashing import hash_file

REPORT_FILE = "trim.json"
# To be raised when the same input would give another folder.
_VERSION = 2

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
    for line in _characters(report):
        parts.append(f"{line}\n")
    if report["check"]:
        rows = [
            [check["file"], *(f"{check[name]:,}" for name in _CHECK_COLUMNS.values())]
            for check in report["check"]
        ]
        parts.append(format_table(["text", *_CHECK_COLUMNS], rows))
        parts += [f"{line}\n" for check in report["check"] for line in describe(check)]
    return "\n".join(parts)


def _characters(report: Mapping[str, Any]) -> Iterator[str]:
    """Lines on characters of the training: added, changed and unknown ones."""
    added = report["added_characters"].items()
    if added:
        listed = ", ".join(
            f"{name_character(c)} {entry['count']} (was '{entry['was']}')"
            for c, entry in added
        )
        yield f"added, so that they can be written: {listed}"
    listings = {
        "still changed in training": report["changed_characters"],
        "unknown in training": report["unknown_characters"],
    }
    for check in report["check"]:
        name = f"no longer known in {check['file']}"
        listings[name] = check["lost_characters"]
    for name, characters in listings.items():
        if characters:
            yield f"{name}: {name_characters(characters)}"


def describe(check: Mapping[str, Any]) -> Iterator[str]:
    """Lines on what the vocabulary makes of a text.

    Args:
        check: From :func:`espnet_samu.text.ceiling.check_text`; ``ceiling`` may lack.
    """
    if check["changed_characters"]:
        yield (
            f"{check['file']}: not written in {check['changed_sentences']} of "
            f"{check['sentences']} sentences: "
            f"{name_characters(check['changed_characters'])}"
        )
    if "ceiling" in check:
        yield f"{check['file']}: ceiling {describe_ceiling(check['ceiling'])}"
