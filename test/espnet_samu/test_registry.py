import importlib
import re
import subprocess
import sys
from importlib import metadata
from types import ModuleType

import pytest
import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.train.class_choices import ClassChoices

from espnet_samu import registry
from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.encoder.passthrough import PassthroughEncoder
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.postencoder.mbart import MBartPostEncoder
from espnet_samu.utils.init_param import load_pretrained_model


@pytest.fixture(scope="module")
def hosts():
    """The four task modules by their short names, imported before install()."""
    from espnet2.tasks import asr, s2t, slu, st

    registry.install()
    return {"st": st, "asr": asr, "slu": slu, "s2t": s2t}


@pytest.fixture
def host():
    """Stands for espnet2.tasks.st, without our classes."""
    module = ModuleType("espnet2.tasks.st")
    for name in ("frontend", "encoder", "postencoder", "decoder"):
        choices = ClassChoices(name, classes={}, type_check=None)
        setattr(module, f"{name}_choices", choices)
    return module


@pytest.mark.parametrize("name", ["st", "asr", "slu", "s2t"])
def test_all_hosts(hosts, name):
    host = hosts[name]
    for choices, key, cls in (
        (host.frontend_choices, "samu", SamuFrontend),
        (host.encoder_choices, "passthrough", PassthroughEncoder),
        (host.postencoder_choices, "mbart", MBartPostEncoder),
        (host.decoder_choices, "mbart", MBartDecoder),
    ):
        assert choices.get_class(key) is cls
        assert key in choices.choices()
    before = dict(host.frontend_choices.classes)
    registry.register(host)
    registry.install()
    assert host.frontend_choices.classes == before
    finders = [f for f in sys.meta_path if isinstance(f, registry._HostFinder)]
    assert len(finders) == 1


def test_init_param_is_loaded_by_our_function(hosts):
    from espnet2.tasks import abs_task

    assert abs_task.load_pretrained_model is load_pretrained_model


def test_name_clash(host):
    registry.register(host)
    host.decoder_choices.classes["mbart"] = torch.nn.Identity
    message = (
        r"espnet2.tasks.st.decoder_choices already has a choice named 'mbart' "
        r"\(torch.nn.modules.linear.Identity\), so espnet_samu.decoder.mbart:MBartDec"
    )
    with pytest.raises(ValueError, match=message):
        registry.register(host)
    assert host.decoder_choices.classes["mbart"] is torch.nn.Identity


def test_wrong_type(host):
    host.frontend_choices.base_type = AbsFrontend
    registry.register(host)
    host.encoder_choices.classes.clear()
    host.encoder_choices.base_type = AbsFrontend
    with pytest.raises(
        ValueError, match="PassthroughEncoder must be a subclass of Abs"
    ):
        registry.register(host)
    assert "passthrough" not in host.encoder_choices.classes
    host.encoder_choices.base_type = AbsEncoder
    registry.register(host)
    assert host.encoder_choices.classes == {"passthrough": PassthroughEncoder}


def test_host_without_a_table(host):
    del host.decoder_choices
    with pytest.raises(AttributeError, match="decoder_choices"):
        registry.register(host)


def test_other_modules_are_left_alone(host):
    other = ModuleType("espnet2.tasks.mt")
    registry.register(other)
    assert not [name for name in vars(other) if "choices" in name]


def test_finder_registers_what_is_imported_later(tmp_path, monkeypatch):
    source = "class choices:\n    classes = {}\n    base_type = None\n"
    (tmp_path / "tiny_host.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    plugin = registry.Plugin("od", "choices", "collections:OrderedDict")
    monkeypatch.setattr(registry, "PLUGINS", (plugin,))
    monkeypatch.setattr(registry, "_HOSTS", frozenset({"tiny_host"}))
    registry.install()
    from collections import OrderedDict

    import tiny_host

    assert tiny_host.choices.classes == {"od": OrderedDict}
    # runpy and inspect still get from the loader what they ask for
    assert tiny_host.__spec__.loader.get_source("tiny_host") == source
    monkeypatch.delitem(sys.modules, "tiny_host")


@pytest.mark.parametrize("found", ["202610", "202609.post2", "0.10.6"])
def test_older_espnet(host, found, monkeypatch):
    monkeypatch.setattr("espnet2.__version__", found)
    message = f"espnet_samu needs ESPnet >= 202610.post2, found {found}; run: pip "
    with pytest.raises(ImportError, match=re.escape(message)):
        registry.register(host)
    # At import of a task, before a module of ESPnet is missing.
    monkeypatch.delitem(sys.modules, "espnet_samu.tasks", raising=False)
    with pytest.raises(ImportError, match=re.escape(message)):
        importlib.import_module("espnet_samu.tasks")


@pytest.mark.parametrize("found", ["202610.post2", "202611", "0.0.0"])
def test_this_espnet_or_a_newer_one(found, monkeypatch):
    monkeypatch.setattr("espnet2.__version__", found)
    registry.check_espnet()
    oldest = f"espnet[st,train]>={registry.OLDEST_ESPNET}"
    assert oldest in metadata.requires("espnet_samu")


def test_light():
    code = (
        "import sys, espnet_samu.registry as r; r.install()\n"
        "heavy = {'torch', 'numpy', 'transformers', 'yaml', 'espnet2', 'typeguard'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert run.stdout == "[]\n"
