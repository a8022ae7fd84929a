"""Tests of espnet_samu.checkpoint.pack."""

import os
import pickle
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor

import espnet2
import pytest
import yaml

import espnet_samu
from espnet_samu.checkpoint.pack import STUDENT, TRANSLATION, opened
from espnet_samu.utils import hub

META = {
    "files": {"st_model_file": "exp/st/model.pth"},
    "yaml_files": {"st_train_config": "exp/st/config.yaml"},
    "espnet": espnet2.__version__,
    "espnet_samu": espnet_samu.__version__,
}
CONFIG = {
    "bpemodel": "data/token_list/bpe.model",
    "nested": [{"file": "exp/st/stats.npz"}, "data/none", "/etc/hosts", "../x/y", "a"],
    "token_list": ["data/token_list/bpe.model", "exp/st/stats.npz"],
    "normalize": None,
}


@pytest.fixture
def make_zip(tmp_path):
    """Makes a pack of some bytes, with other members and words in meta.yaml."""

    def make(name="model.zip", members=(), config=CONFIG, **meta):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as out:
            out.writestr("meta.yaml", yaml.safe_dump({**META, **meta}))
            out.writestr("exp/st/config.yaml", yaml.safe_dump(config))
            for name in ("exp/st/model.pth", "exp/st/stats.npz"):
                out.writestr(name, f"bytes of {name}")
            out.writestr("data/token_list/bpe.model", "bytes of bpe")
            for name, data in dict(members).items():
                out.writestr(name, data)
        return path

    return make


def test_zip(make_zip, tmp_path):
    with opened(make_zip(), tmp_path / "cache") as files:
        assert set(files) == {"st_train_config", "st_model_file"}
        assert open(files["st_model_file"]).read() == "bytes of exp/st/model.pth"
        config = files["st_train_config"]
        root = os.path.dirname(files["st_model_file"]).removesuffix("exp/st")
        assert config == {
            **CONFIG,
            "bpemodel": f"{root}data/token_list/bpe.model",
            "nested": [{"file": f"{root}exp/st/stats.npz"}, *CONFIG["nested"][1:]],
        }
        # frozen weights are looked for beside the configuration
        assert str(config.path) == f"{root}exp/st/config.yaml"
        assert root.startswith(f"{tmp_path}/cache/")


def test_unpacked_once(make_zip, tmp_path):
    path = make_zip()
    with opened(path, tmp_path) as first:
        os.utime(first["st_model_file"], ns=(5, 5))
    with opened(path, tmp_path) as files:
        assert os.stat(files["st_model_file"]).st_mtime_ns == 5
    # another model under the same name is unpacked
    os.utime(path, ns=(7, 7))
    with opened(path, tmp_path) as files:
        assert files == first
        assert os.stat(files["st_model_file"]).st_mtime_ns != 5


def test_folder(make_zip, tmp_path):
    """One that was unzipped by hand, and moved."""
    with zipfile.ZipFile(make_zip()) as archive:
        archive.extractall(tmp_path / "before")
    with opened(tmp_path / "before"):
        pass
    (tmp_path / "before").rename(tmp_path / "after")
    with opened(tmp_path / "after") as files:
        config = files["st_train_config"]
        assert config["bpemodel"] == f"{tmp_path}/after/data/token_list/bpe.model"


def test_reading_writes_nothing(make_zip, tmp_path, written):
    """A folder, and a zip file whose cache is filled, on a read-only volume."""
    pack = make_zip()
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(tmp_path / "folder")
    with opened(pack, tmp_path / "cache"):
        pass
    assert written
    del written[:]
    for args in ((tmp_path / "folder",), (pack, tmp_path / "cache")):
        with opened(*args) as files:
            assert os.path.isabs(files["st_train_config"]["bpemodel"])
    assert written == []
    # and no cache at all
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="model.zip cannot be unpacked in .*; name a cac"):
        with opened(pack, tmp_path / "file" / "cache"):
            pass


def test_nothing_to_resolve(make_zip, tmp_path):
    with opened(make_zip(config={"decoder": "mbart"}), tmp_path) as files:
        assert files["st_train_config"] == {"decoder": "mbart"}


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:/evil"]
)
def test_members_outside(make_zip, tmp_path, name):
    cache = tmp_path / "deep" / "cache"
    with pytest.raises(ValueError, match="which is outside its own folder: it is unsa"):
        with opened(make_zip(members={name: b"unsafe"}), cache):
            pass
    assert not cache.exists()
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("name", ["../../model.zip", "/etc/passwd"])
@pytest.mark.parametrize("group", ["files", "yaml_files"])
def test_meta_outside(make_zip, tmp_path, name, group):
    key = "lm_file" if group == "files" else "lm_train_config"
    path = make_zip(**{group: {**META[group], key: name}})
    with pytest.raises(ValueError, match=f"names '{name}', which is outside"):
        with opened(path, tmp_path / "cache"):
            pass


@pytest.mark.parametrize(
    "meta, message",
    [
        (
            {"files": {"asr_model_file": "x"}},
            "names asr_model_file, st_train_config; a ",
        ),
        ({"files": {}, "yaml_files": {}}, "names no files; a translation model has"),
        ({"files": ["st_model_file"]}, "files is not names of files: .'st_model_file'"),
        ({"files": {"st_model_file": 1}}, "files is not names of files"),
        (
            {
                "files": {"samu_model_file": "x"},
                "yaml_files": {"samu_train_config": "x"},
            },
            "A student is opened by Speech2Embedding.from_pretrained",
        ),
        ({"files": {"st_model_file": "x"}}, "names x, which is missing"),
        ({"espnet_samu": "7.1.0"}, "packed with espnet_samu 7.1.0, but this is .*7.x"),
    ],
)
def test_other_packs(make_zip, tmp_path, meta, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        with opened(make_zip(**meta), tmp_path / "cache"):
            pass


def test_other_espnet(make_zip, tmp_path, caplog):
    path = make_zip(espnet="203001")
    with opened(path, tmp_path / "cache"):
        assert "packed with ESPnet 203001, but this is ESPnet" in caplog.text
    with pytest.raises(ValueError, match="203001, .* why it cannot be loaded: no such"):
        with opened(path, tmp_path / "cache"):
            raise TypeError("no such option")
    # of this year, and of no version at all
    for version in (f"{espnet2.__version__[:4]}01", ""):
        with pytest.raises(
            ValueError, match="zip cannot be loaded: TypeError: no such"
        ):
            with opened(make_zip(espnet=version), tmp_path / "cache"):
                raise TypeError("no such option")


def test_no_packs(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    for tag, message in (
        (tmp_path / "none.zip", "none.zip: there is no such packed model"),
        (tmp_path / "text.zip", "text.zip is not a zip file"),
        (tmp_path / "none", "none: there is no such packed model"),
        ("./none", "none: there is no such packed model"),
        (
            tmp_path,
            "has no meta.yaml: it is not a packed model. An experiment is read by",
        ),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            with opened(tag):
                pass


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"upstream": "hubert_local", "path_or_url": "{}"}, "with path_or_url: .*evil"),
        ({"upstream": "baseline_local", "extra_conf": {"x": "{}"}}, "with extra_conf"),
        (None, "frontend s3prl has no upstream"),
        ("fbank", "frontend s3prl has no upstream"),
    ],
)
@pytest.mark.parametrize("kind", [TRANSLATION, STUDENT])
def test_packs_run_nothing(make_zip, tmp_path, kind, config, message):
    canary = tmp_path / "canary"
    evil = pickle.dumps(Canary(canary))
    conf = yaml.safe_load(yaml.safe_dump(config).replace("{}", "exp/st/evil.pt"))
    path = make_zip(
        members={"exp/st/evil.pt": evil},
        config={"frontend": "s3prl", "frontend_conf": {"frontend_conf": conf}},
        files={kind.files[0]: "exp/st/model.pth"},
        yaml_files={kind.yaml_files[0]: "exp/st/config.yaml"},
    )
    with pytest.raises(ValueError, match=message):
        with opened(path, tmp_path / "cache", kind):
            pass
    assert not canary.exists()


def test_encoders_that_unpickle(make_zip, tmp_path):
    path = make_zip(config={"encoder": "hubert", "encoder_conf": {"hubert_url": "x/y"}})
    message = (
        "encoder: hubert would run code .* give Speech2Text st_train_config and st"
    )
    with pytest.raises(ValueError, match=message):
        with opened(path, tmp_path / "cache"):
            pass


def test_downloads_of_s3prl_are_its_own(make_zip, tmp_path):
    """Not files of the pack under the names that downloads have."""
    conf = {"download_dir": "exp/st", "frontend_conf": {"upstream": "fbank"}}
    path = make_zip(config={"frontend": "s3prl", "frontend_conf": conf})
    with opened(path, tmp_path / "cache") as files:
        config = files["st_train_config"]
    assert config["frontend_conf"] == {"frontend_conf": {"upstream": "fbank"}}


def test_links_out_of_a_folder(make_zip, tmp_path):
    outside, pack = tmp_path / "outside", tmp_path / "pack"
    with zipfile.ZipFile(make_zip()) as archive:
        archive.extractall(pack)
    outside.mkdir()
    (pack / "exp" / "st").rename(outside / "st")
    (pack / "exp" / "st").symlink_to(outside / "st")
    with pytest.raises(
        ValueError, match="the folder of exp/st/model.pth is a link out"
    ):
        with opened(pack):
            pass


def test_size_of_what_is_unpacked(make_zip, tmp_path):
    path = make_zip()
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("zeros", "w", force_zip64=True) as out:
            for _ in range(17):
                out.write(bytes(2**24))
    with pytest.raises(ValueError, match=r"has 0.3 MB, but would become 285 MB when"):
        with opened(path, tmp_path / "cache"):
            pass
    assert not (tmp_path / "cache").exists()


def test_no_room(make_zip, tmp_path, monkeypatch):
    path = make_zip(members={"weights": bytes(2**20)})
    free = shutil._ntuple_diskusage(2**30, 2**30 - 2**19, 2**19)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: free)
    with pytest.raises(
        ValueError, match="needs 0.0 GB when unpacked, but .* has 0.0 GB"
    ):
        with opened(path, tmp_path / "cache"):
            pass


def test_damaged_member(make_zip, tmp_path):
    path = make_zip()
    path.write_bytes(path.read_bytes().replace(b"bytes of bpe", b"other bytes!"))
    with pytest.raises(ValueError, match="model.zip cannot be unpacked; is it whole"):
        with opened(path, tmp_path / "cache"):
            pass


def test_several_jobs_open_a_new_pack_at_once(make_zip, tmp_path):
    path = make_zip(members={f"exp/st/{i}": b"" for i in range(200)})

    def read(_):
        with opened(path, tmp_path / "cache") as files:
            return open(files["st_model_file"]).read()

    with ThreadPoolExecutor(8) as pool:
        assert {*pool.map(read, range(16))} == {"bytes of exp/st/model.pth"}


def test_hub(make_zip, tmp_path, monkeypatch):
    """A tag is what espnet_model_zoo downloads; nothing is downloaded here."""
    from espnet_model_zoo.downloader import ModelDownloader

    seen = []

    def download(self, name):
        seen.append(name)
        return str(make_zip())

    monkeypatch.setattr(ModelDownloader, "__init__", lambda self, cachedir: None)
    monkeypatch.setattr(ModelDownloader, "download", download)
    with pytest.raises(
        ConnectionError, match="^user/model: .* is not in the hub's cac"
    ):
        with opened("user/model"):
            pass
    monkeypatch.setattr(hub, "locate", lambda tag, cache_dir: tag)
    with opened("user/model", tmp_path / "cache") as files:
        assert open(files["st_model_file"]).read() == "bytes of exp/st/model.pth"
    assert seen == ["user/model"]
