"""Imports inside the package go one way: a reader may stop at any folder."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import espnet_samu

ORDER = (
    ("launch", "bin", "sentence_transformer"),
    ("speech2text", "speech2embedding"),
    ("decoding", "checkpoint", "report", "recipe_products", "recipe_data"),
    ("recipe_names",),
    ("tasks",),
    ("samu_model", "st_model", "teacher"),
    ("train",),
    ("samplers", "text", "retrieval", "decoder", "frontend"),
    ("corpora",),
    ("encoder", "postencoder", "pooling", "projector", "loss", "scoring"),
    ("layers",),
    ("utils",),
    ("registry", "__version__"),
)
"""From the top down: each folder or module imports from the lines below its own."""

ROOT = Path(espnet_samu.__file__).parent


def names_below(name: str) -> set[str]:
    """Return the folders and modules that one of them may import."""
    row = next(i for i, names in enumerate(ORDER) if name in names)
    return {name, *(below for names in ORDER[row + 1 :] for below in names)}


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and top folder of each import of the package, in functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            dots = "espnet_samu." * bool(node.level)
            modules = [f"{dots}{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            package, *inside = module.split(".")
            if package == "espnet_samu":
                yield node.lineno, inside[0] if inside else "__version__"


PLACES = sorted(
    path
    for path in ROOT.iterdir()
    if not path.name.startswith("__")
    and (path.suffix == ".py" or any(path.glob("*.py")))
)


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.stem)
def test_imports_go_one_way(path):
    allowed = names_below(path.stem)
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {path.stem} may not import {name}"
        for file in (path.rglob("*.py") if path.is_dir() else [path])
        for line, name in imports(file.read_text(encoding="utf-8"))
        if name not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_what_counts_as_an_import():
    source = "from espnet_samu.utils import hub\ndef f():\n    import espnet_samu.bin.x"
    assert list(imports(source)) == [(1, "utils"), (3, "bin")]
    assert list(imports("from espnet_samu import registry")) == [(1, "registry")]
    assert "tasks" not in names_below("train") and "layers" in names_below("train")
