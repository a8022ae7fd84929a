"""The one table of what this plug-in adds to ESPnet2, and how it is added.

ESPnet2 has no plug-in hook: each task module holds ``ClassChoices`` objects, and
what a YAML file may name is what their ``classes`` dictionaries hold. This module
writes our classes into them, right after ESPnet's own task module was executed
and before anybody can read it, in every process that imports it:

* :func:`install` puts a finder in front of ``sys.meta_path`` that recognises the
  host modules by name. It costs nothing until one of them is imported.
* :func:`register` is what the finder calls. It can be called directly, twice too.

ESPnet's own classes therefore load a model of ours after one call::

    from espnet_samu import registry

    registry.install()
    from espnet2.bin.asr_inference import Speech2Text

    speech2text = Speech2Text("exp/asr/config.yaml", "exp/asr/valid.acc.best.pth")
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import NamedTuple

OLDEST_ESPNET = "202610.post2"
"""The oldest version of ESPnet that has what this package uses."""


class Plugin(NamedTuple):
    """One class of ours as one choice of ESPnet's tasks."""

    name: str
    """What a YAML file says, lower case, e.g. ``samu`` in ``frontend: samu``."""
    choices: str
    """Name of the ``ClassChoices`` object in the task module."""
    target: str
    """``module:Class``, imported only when a task module is."""


PLUGINS = (
    Plugin("samu", "frontend_choices", "espnet_samu.frontend.samu:SamuFrontend"),
    Plugin(
        "passthrough",
        "encoder_choices",
        "espnet_samu.encoder.passthrough:PassthroughEncoder",
    ),
    Plugin(
        "mbart", "postencoder_choices", "espnet_samu.postencoder.mbart:MBartPostEncoder"
    ),
    Plugin("mbart", "decoder_choices", "espnet_samu.decoder.mbart:MBartDecoder"),
)

_HOSTS = frozenset(
    ("espnet2.tasks.st", "espnet2.tasks.asr", "espnet2.tasks.slu", "espnet2.tasks.s2t")
)
"""Task modules that get them."""

_LOADER = "load_pretrained_model"
"""Function of ESPnet's tasks and of ours, utils.init_param, that takes its place: it
knows that some of our checkpoints lack frozen weights, which lie beside them."""

# Commands of ESPnet that the launcher replaces by ours of the same arguments.
BINS = {
    "espnet2.bin.st_train": "espnet_samu.bin.st_train",
    "espnet2.bin.st_inference": "espnet_samu.bin.st_inference",
    "espnet2.bin.pack": "espnet_samu.bin.pack",
}


def check_espnet() -> None:
    """Check the version of the installed ESPnet.

    Raises:
        ImportError: It is older than :data:`OLDEST_ESPNET`.
    """
    from espnet2 import __version__ as found
    from packaging.version import Version

    # A checkout that was not installed has no version.
    if found != "0.0.0" and Version(found) < Version(OLDEST_ESPNET):
        raise ImportError(
            f"espnet_samu needs ESPnet >= {OLDEST_ESPNET}, found {found}; run: "
            f"pip install 'espnet>={OLDEST_ESPNET}'"
        )


def register(host: ModuleType) -> None:
    """Add our classes to the ``ClassChoices`` of one ESPnet task module.

    ``--init_param`` is loaded by our function from then on. Calling it again changes
    nothing.

    Args:
        host: An executed task module, e.g. ``espnet2.tasks.st``.

    Raises:
        ImportError: ESPnet is too old.
        ValueError: The host has another class under one of our names, or our class
            is not of the type that the host asks for there.
        AttributeError: The host lacks one of the tables: another ESPnet version.
    """
    check_espnet()
    if host.__name__ not in _HOSTS:
        return
    for plugin in PLUGINS:
        module, _, name = plugin.target.partition(":")
        cls = getattr(importlib.import_module(module), name)
        choices = getattr(host, plugin.choices)
        present = choices.classes.setdefault(plugin.name, cls)
        if present is not cls:
            raise ValueError(
                f"{host.__name__}.{plugin.choices} already has a choice named "
                f"'{plugin.name}' ({present.__module__}.{present.__qualname__}), so "
                f"{plugin.target} cannot be registered under that name"
            )
        if choices.base_type is not None and not issubclass(cls, choices.base_type):
            del choices.classes[plugin.name]
            raise ValueError(
                f"{plugin.target} must be a subclass of "
                f"{choices.base_type.__name__} to be {plugin.choices} of "
                f"{host.__name__}"
            )
    # ESPnet's task modules look it up there when training begins.
    abs_task = importlib.import_module("espnet2.tasks.abs_task")
    ours = importlib.import_module("espnet_samu.utils.init_param")
    setattr(abs_task, _LOADER, getattr(ours, _LOADER))


class _RegisteringLoader(importlib.abc.Loader):
    """The host module's own loader, followed by :func:`register`."""

    def __init__(self, loader: importlib.abc.Loader):
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        register(module)

    def __getattr__(self, name: str):
        # runpy and inspect ask loaders for get_code, get_source, is_package ...
        return getattr(self._loader, name)


class _HostFinder(importlib.abc.MetaPathFinder):
    """Finds the host modules as usual and hands them a registering loader."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in _HOSTS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


def install() -> None:
    """Register in every host module, the imported ones and those still to come.

    Calling it again changes nothing.
    """
    if not any(isinstance(finder, _HostFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _HostFinder())
    for name in _HOSTS.intersection(sys.modules):
        host = sys.modules[name]
        # A module that is still being imported is registered in when it is complete:
        # by exec_module or, if its import began before install(), by our task module.
        if not getattr(host.__spec__, "_initializing", False):
            register(host)
