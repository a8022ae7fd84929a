"""Tests of espnet_samu.utils.late_imports."""

import importlib
import inspect
import pickle
import subprocess
import sys

import pytest
import torch
import typeguard

from espnet_samu.utils import late_imports
from espnet_samu.utils.late_imports import Late

FILES = {
    "late_importer/__init__.py": "from late_importer import inner\n"
    "import late_heavy\n"
    "from late_pack.part import Kind, Later, double\n",
    "late_importer/inner.py": "from late_pack import part\n",
    "late_heavy.py": "value = 3\nloaded = []\n",
    "late_pack/__init__.py": "",
    "late_pack/part.py": "class Kind(Exception): size = 5\n"
    "def double(x): return 2 * x\n"
    "other = 7\n",
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Modules of which one imports two others late; they are forgotten afterwards."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    rows = (
        Late("late_importer", "late_heavy"),
        Late("late_importer", "late_pack.part", ("Kind", "double", "Later")),
        Late("late_importer", "late_absent"),
    )
    imported = {row.imported for row in rows}
    monkeypatch.setattr(late_imports, "LATE", rows)
    monkeypatch.setattr(late_imports, "_IMPORTERS", {"late_importer"})
    monkeypatch.setattr(late_imports, "_IMPORTED", imported)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.startswith("late_")]:
        del sys.modules[name]


def test_a_module_comes_at_its_first_use(modules):
    import late_importer

    assert not {"late_heavy", "late_pack.part", "late_absent"} & set(sys.modules)
    assert late_importer.late_heavy.value == 3
    assert late_importer.late_heavy is sys.modules["late_heavy"]


def test_functions_and_classes(modules):
    import late_importer

    Kind, double = late_importer.Kind, late_importer.double
    assert not isinstance(3, Kind) and not issubclass(int, Kind)
    with pytest.raises(KeyError):  # nothing that it could be
        try:
            raise KeyError
        except Kind:
            pass
    assert "late_pack.part" not in sys.modules
    assert double(4) == 8 and Kind.size == 5
    from late_pack import part

    assert isinstance(part.Kind(), Kind) and issubclass(part.Kind, Kind)
    # what was a placeholder is the real one now, in every module
    assert late_importer.Kind is part.Kind and late_importer.double is part.double
    assert late_importer.inner.part is part
    # a class of a later version of the module
    assert not isinstance(3, late_importer.Later)
    with pytest.raises(AttributeError, match="Later"):
        late_importer.Later()


def test_others_get_the_modules_themselves(modules):
    import late_importer  # noqa: F401 - the placeholders are gone after it

    heavy = importlib.import_module("late_heavy")
    assert type(heavy) is type(sys) and heavy.value == 3
    assert sys.modules["late_importer"].late_heavy is heavy
    part = importlib.import_module("late_pack.part")
    assert (part.double(1), part.other) == (2, 7)


def test_a_name_beside_the_table(modules, tmp_path):
    text = "from late_pack.part import other\nimport late_heavy\n"
    (tmp_path / "late_importer" / "__init__.py").write_text(text)
    import late_importer

    assert late_importer.other == 7 and "late_heavy" not in sys.modules


def test_decorators_of_the_compiler(monkeypatch):
    calls = []

    def real(function, recursive=True, reason=None):
        calls.append((recursive, reason))
        return lambda x: function(x) + 1

    monkeypatch.setattr(late_imports, "_COMPILER", "late_compiler")
    with late_imports._late_decorators():
        assert isinstance(torch.compiler.disable.func, type(real))
    late = late_imports._disable_late(real, reason="why")(lambda x: 10 * x)
    assert late(2) == 20 and calls == []
    monkeypatch.setitem(sys.modules, "late_compiler", sys)
    assert [late(2), late(3)] == [21, 31] and calls == [(True, "why")]
    assert torch.compiler.disable.__module__ == "torch.compiler"


CHECKED = """
import typeguard
from typeguard import typechecked
@typechecked
def double(x: int, times: int = 2) -> int:
    return times * x
class Base:
    @typechecked
    def size(self, x: int) -> int:
        return x
class Kind(Base):
    @typechecked
    def size(self, x: int) -> int:
        return super().size(x) + 1
    @classmethod
    @typechecked
    def make(cls, x: int):
        return cls().size(x)
    @typechecked
    def count(self, n: int):
        yield from range(n)
def outer(kind: type):
    @typechecked
    def inner(x: kind) -> kind:
        return x
    return inner
"""


def test_type_checks(tmp_path, monkeypatch):
    """Functions are compiled with checks when they are called, and then they check."""
    (tmp_path / "late_checked").mkdir()
    (tmp_path / "late_checked" / "__init__.py").write_text("")
    (tmp_path / "late_checked" / "code.py").write_text(CHECKED)
    monkeypatch.setattr(late_imports, "_CHECKED", "late_checked.")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    compiled = []
    real = typeguard._decorators.instrument

    def count(function):
        compiled.append(function.__name__)
        return real(function)

    monkeypatch.setattr(typeguard._decorators, "instrument", count)
    try:
        module = importlib.import_module("late_checked.code")
    finally:
        for name in ("late_checked", "late_checked.code"):
            sys.modules.pop(name, None)
    monkeypatch.setitem(sys.modules, "late_checked.code", module)  # its source is read
    assert compiled == [] and module.typeguard.typechecked is typeguard.typechecked
    assert str(inspect.signature(module.double)) == "(x: int, times: int = 2) -> int"
    assert module.double.__qualname__ == "double"

    kind = module.Kind()
    assert (module.double(2), module.double(3, times=3)) == (4, 9)
    assert (kind.size(4), module.Kind.make(5), list(kind.count(2))) == (5, 6, [0, 1])
    assert compiled == ["double", "size", "size", "make", "count"]
    monkeypatch.setattr(typeguard._decorators, "instrument", real)
    for call in (module.double, kind.size, module.Kind.make, module.outer(int)):
        assert call(1)
        with pytest.raises(typeguard.TypeCheckError):
            call("a")
    assert pickle.loads(pickle.dumps(module.double)) is module.double


PROGRAM = """
import sys
import espnet_samu.speech2text
heavy = "torch._dynamo sympy scipy.optimize scipy.signal wandb numba espnet2.gan_tts"
found = {*heavy.split()} & {*sys.modules}
assert not found, f"imported at the start: {found}"
import sentence_transformers
found = {"sklearn", "scipy.stats", "datasets", "peft"} & {*sys.modules}
assert not found, f"imported for sentence embeddings: {found}"
from sentence_transformers.util import similarity
assert similarity.pairwise_distances([[0.0]], [[2.0]]).tolist() == [[2.0]]
from sentence_transformers.sentence_transformer import trainer
import datasets
assert trainer.Dataset is datasets.Dataset
# a host that uses ESPnet's text-to-speech and torch's compiler afterwards
from espnet2.gan_tts.jets import alignments
from espnet2.main_funcs import calculate_all_attentions as used
assert used.AlignmentModule is alignments.AlignmentModule
import scipy.signal, torch
from espnet2.train import preprocessor
assert preprocessor.scipy.signal.get_window("hann", 4).size == 4
f = torch.compile(lambda x: 2 * x, backend="eager")
assert f(torch.ones(2)).tolist() == [2.0, 2.0]
import transformers.masking_utils as masks
from torch._dynamo import _trace_wrapped_higher_order_op as op
assert masks.TransformGetItemToIndex is op.TransformGetItemToIndex
"""


@pytest.fixture(scope="module")
def service():
    """A new process; a fixture, since its imports do not count for a test's time."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True
    )


def test_the_real_table(service):
    """No part of it is imported at a start; all of it works afterwards."""
    assert service.returncode == 0, service.stderr
