"""Work that imports of ESPnet and transformers do, put off until somebody needs it.

Most of the time that a start takes goes into it: torch's compiler, sympy, weights &
biases, text-to-speech models. While one of the modules of :data:`LATE` is executed,
placeholders stand in :data:`sys.modules` for what it imports. Afterwards they are gone
from there, so that whoever imports such a module gets the module itself; and then the
names that were taken from the placeholder are replaced, too.

The rest is typeguard's: it compiles ESPnet's functions once more, with checks of their
arguments. Here it does so when a function is first called.
"""

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType, ModuleType
from typing import Any, NamedTuple


class Late(NamedTuple):
    """One import that is put off."""

    importer: str
    """Module that imports it when it is executed, itself or by others."""
    imported: str
    """Module that is put off."""
    names: tuple[str, ...] = ()
    """Functions, exceptions, and classes for ``isinstance`` or calls, that are taken
    from it. With any other name the module is imported at once."""


LATE = (
    Late("espnet2.tasks.abs_task", "wandb"),
    Late("espnet2.train.trainer", "wandb"),
    Late("espnet2.train.reporter", "wandb"),
    Late(
        "espnet2.main_funcs.calculate_all_attentions",
        "espnet2.gan_tts.jets.alignments",
        ("AlignmentModule",),
    ),
    Late(
        "espnet2.text.build_tokenizer",
        "espnet2.text.qwen2audio_tokenizer",
        ("Qwen2AudioTokenizer",),
    ),
    Late("espnet2.train.preprocessor", "scipy.signal"),
    Late("transformers.trainer_utils", "peft", ("PeftMixedModel", "PeftModel")),
    Late("sentence_transformers", "peft", ("PeftConfig",)),
    Late("sentence_transformers", "scipy.stats", ("pearsonr", "spearmanr")),
    Late(
        "sentence_transformers",
        "sklearn.metrics",
        (
            "average_precision_score",
            "f1_score",
            "matthews_corrcoef",
            "ndcg_score",
            "pairwise_distances",
        ),
    ),
    Late(
        "sentence_transformers",
        "datasets",
        (
            "Audio",
            "Dataset",
            "DatasetDict",
            "Image",
            "IterableDataset",
            "IterableDatasetDict",
            "Sequence",
            "Value",
            "Video",
        ),
    ),
    Late("transformers.loss.loss_utils", "scipy.optimize", ("linear_sum_assignment",)),
    Late(
        "transformers.masking_utils",
        "torch._dynamo._trace_wrapped_higher_order_op",
        ("TransformGetItemToIndex",),
    ),
    Late(
        "torch.nn.attention.flex_attention",
        "torch.fx.experimental.symbolic_shapes",
        ("has_free_unbacked_symbols",),
    ),
    Late(
        "torch.distributed.tensor",
        "torch.fx.experimental.symbolic_shapes",
        ("guard_or_false", "statically_known_true", "GuardOnDataDependentSymNode"),
    ),
)

# Modules with functions that are marked for torch's compiler. The decorators import it,
# which takes as long as torch itself.
DECORATED = (
    "espnet2.legacy.nets.pytorch_backend.nets_utils",
    "transformers.generation.continuous_batching.cache",
    "transformers.integrations.deepgemm",
    "transformers.integrations.eager_paged",
    "transformers.integrations.finegrained_fp8",
    "transformers.integrations.flex_attention",
    "transformers.integrations.sonicmoe",
    "transformers.modeling_utils",
)
_COMPILER = "torch._dynamo"


class _LateName(type):
    """Placeholder of a function or class, which calls and checks the real one."""

    home: str
    """Module that has it."""

    def _real(cls) -> Any:
        return getattr(_import(cls.home), cls.__name__)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._real()(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls._real(), name)

    def _known(cls) -> tuple[type, ...]:
        # Of a module that nobody has imported, or that has no such class in this
        # version, there are no objects.
        if not _is_imported(cls.home) or not hasattr(_import(cls.home), cls.__name__):
            return ()
        return (cls._real(),)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls._known())

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls._known())


class _LateModule(ModuleType):
    """Placeholder of a module."""

    def __init__(self, name: str, late_names: frozenset[str]):
        super().__init__(name)
        self.__dict__["_late_names"] = late_names
        # Somebody may ask whether the module is installed: importlib.util.find_spec.
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":
            return self._find_path()
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if name in self._late_names and not _is_imported(self.__name__):
            # An exception, so that it may stand behind `except`.
            late = _LateName(name, (Exception,), {"home": self.__name__})
            setattr(self, name, late)
            return late
        return getattr(_import(self.__name__), name)

    def _find_path(self) -> list[str]:
        """Return where a package has its modules, as ``from ... import`` asks."""
        parent, _, _ = self.__name__.rpartition(".")
        path = getattr(sys.modules.get(parent), "__path__", None)
        spec = importlib.machinery.PathFinder.find_spec(self.__name__, path)
        if spec is None or spec.submodule_search_locations is None:
            raise AttributeError(f"{self.__name__} is not a package")
        return list(spec.submodule_search_locations)


def _is_imported(name: str) -> bool:
    found = sys.modules.get(name)
    return found is not None and not isinstance(found, _LateModule)


def _import(name: str) -> ModuleType:
    """Import a module, whether there is a placeholder or not."""
    if isinstance(sys.modules.get(name), _LateModule):
        del sys.modules[name]
    return importlib.import_module(name)


def _replace(module: ModuleType) -> None:
    """Replace what was taken from a module's placeholder, in all modules."""
    name = module.__name__
    for other in list(sys.modules.values()):
        for key, value in list(getattr(other, "__dict__", {}).items()):
            # Not isinstance, which would ask other lazy objects for their class.
            if type(value) is _LateModule and value.__name__ == name:
                setattr(other, key, module)
            elif type(value) is _LateName and value.home == name:
                setattr(other, key, getattr(module, value.__name__, value))


@contextmanager
def _placeholders(importer: str) -> Iterator[None]:
    """Put placeholders where they are imported from, in a with block."""
    put = {}
    for name in {late.imported for late in LATE if late.importer == importer}:
        # What is not installed is an ImportError, which the importer expects.
        top = name.partition(".")[0]
        if name in sys.modules or importlib.util.find_spec(top) is None:
            continue
        names = [n for late in LATE if late.imported == name for n in late.names]
        put[name] = sys.modules[name] = _LateModule(name, frozenset(names))
    try:
        yield
    finally:
        for name, placeholder in put.items():
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]


# Decorators of the compiler, and the functions that they mark when it is imported.
_marked: list[tuple[str, Callable[..., Any]]] = []


def _mark_late(decorator: str, function: Any) -> Any:
    """Mark a function for the compiler without importing it."""
    if _is_imported(_COMPILER) or not isinstance(function, FunctionType):
        return getattr(_import(_COMPILER), decorator)(function)
    _marked.append((decorator, function))
    return function


class _LateCompiler:
    """Placeholder of ``torch._dynamo``, as an attribute of torch."""

    allow_in_graph = staticmethod(functools.partial(_mark_late, "allow_in_graph"))
    assume_constant_result = staticmethod(
        functools.partial(_mark_late, "assume_constant_result")
    )

    def __getattr__(self, name: str) -> Any:
        return getattr(_import(_COMPILER), name)


def _disable_late(
    real: Callable[..., Any],
    function: Any = None,
    recursive: bool = True,
    *,
    reason: str | None = None,
) -> Any:
    """``torch.compiler.disable`` without an import of the compiler."""
    if function is None:
        return functools.partial(
            _disable_late, real, recursive=recursive, reason=reason
        )
    if _is_imported(_COMPILER) or not isinstance(function, FunctionType):
        return real(function, recursive, reason=reason)
    disabled = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal disabled
        if not _is_imported(_COMPILER):
            return function(*args, **kwargs)
        if disabled is None:
            disabled = real(function, recursive, reason=reason)
        return disabled(*args, **kwargs)

    setattr(call, "_torchdynamo_disable", True)
    setattr(call, "_torchdynamo_disable_msg", reason)
    return call


@contextmanager
def _late_decorators() -> Iterator[None]:
    """Let torch's decorators not import the compiler, in a with block."""
    import torch

    compiler, placeholder = torch.compiler, _LateCompiler()
    before = compiler.disable, compiler.allow_in_graph
    if any(isinstance(function, functools.partial) for function in before):
        yield  # inside another one
        return
    compiler.disable = functools.partial(_disable_late, before[0])
    compiler.allow_in_graph = placeholder.allow_in_graph
    if not _is_imported(_COMPILER):
        torch._dynamo = placeholder
    try:
        yield
    finally:
        compiler.disable, compiler.allow_in_graph = before
        if torch.__dict__.get("_dynamo") is placeholder:
            del torch._dynamo  # torch imports it when it is asked for


def _typechecked_late(
    real: Callable[..., Any], target: Any = None, **options: Any
) -> Any:
    """``typeguard.typechecked`` that compiles a function when it is first called."""
    if (
        options
        or not isinstance(target, FunctionType)
        or hasattr(target, "__wrapped__")
        or "<locals>" in target.__qualname__
    ):
        return real(target, **options)
    checked = None

    @functools.wraps(target)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal checked
        if checked is None:
            checked = real(target)
        return checked(*args, **kwargs)

    return call


_executed = 0  # modules inside one another, or in several threads
_lock = threading.Lock()


@contextmanager
def _late_type_checks(module: ModuleType) -> Iterator[None]:
    """Let typeguard compile functions of a module late; executed in a with block."""
    import typeguard

    global _executed
    with _lock:
        if _executed == 0:
            late = functools.partial(_typechecked_late, typeguard.typechecked)
            setattr(typeguard, "typechecked", late)
        real = getattr(typeguard.typechecked, "args")[0]
        _executed += 1
    try:
        yield
    finally:
        with _lock:
            _executed -= 1
            if _executed == 0:
                setattr(typeguard, "typechecked", real)
        # For what it decorates later, typeguard looks at the frame that calls it.
        for key, value in list(vars(module).items()):
            if isinstance(value, functools.partial) and value.func is _typechecked_late:
                setattr(module, key, real)


_CHECKED = "espnet2."
_IMPORTERS = frozenset([*(late.importer for late in LATE), *DECORATED])
_IMPORTED = frozenset([*(late.imported for late in LATE), _COMPILER])


class _LateLoader(importlib.abc.Loader):
    """A module's own loader, with placeholders while it runs or in place of which."""

    def __init__(self, loader: importlib.abc.Loader):
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        with ExitStack() as stack:
            if name.startswith(_CHECKED):
                stack.enter_context(_late_type_checks(module))
            if name in _IMPORTERS:
                stack.enter_context(_placeholders(name))
            if name in DECORATED:
                stack.enter_context(_late_decorators())
            self._loader.exec_module(module)
        if name == _COMPILER:
            for decorator, function in _marked:
                getattr(module, decorator)(function)
        elif name in _IMPORTED:
            _replace(module)

    def __getattr__(self, name: str) -> Any:
        # runpy, inspect and pkgutil ask loaders for get_code, get_source, ...
        return getattr(self._loader, name)


class _LateFinder(importlib.abc.MetaPathFinder):
    """Finds the modules of the table as usual and hands them our loader."""

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        parent = fullname.rpartition(".")[0]
        if isinstance(sys.modules.get(parent), _LateModule):
            _import(parent)  # a submodule is imported after its package
        known = fullname in _IMPORTERS or fullname in _IMPORTED
        if not known and not fullname.startswith(_CHECKED):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LateLoader(spec.loader)
        return spec


def install() -> None:
    """Put off the imports of the table. Calling it again changes nothing."""
    if not any(isinstance(finder, _LateFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _LateFinder())
