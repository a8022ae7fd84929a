import http.server
import threading

import pytest

from espnet_samu.utils import hub


@pytest.fixture
def serve(monkeypatch):
    """Starts a hub that answers every request with a status and headers."""
    servers = []

    def start(status, **headers):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()

            def log_message(self, *args):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template
        )
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A hub's cache with a commit of someone/something."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    model = tmp_path / "hub" / "models--someone--something"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("a" * 40)
    (model / "snapshots" / ("a" * 40)).mkdir(parents=True)
    (model / "snapshots" / ("a" * 40) / "config.json").write_text("{}")
    return model / "snapshots" / ("a" * 40)


def test_folder(tmp_path, monkeypatch):
    assert hub.locate(str(tmp_path)) == str(tmp_path)
    for name in (f"{tmp_path}/encoder", "./encoder", "exp/a/encoder"):
        with pytest.raises(FileNotFoundError, match=f"^{name}: no such folder$"):
            hub.locate(name)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError, match="file is a file; name the folder"):
        hub.locate(str(tmp_path / "file"))
    with pytest.raises(FileNotFoundError, match="a b: no such folder, and no hub id"):
        hub.locate("a b")


@pytest.mark.parametrize(
    "status, code, message",
    [
        (404, "RepoNotFound", "a/b: no such folder, and no such model on the hub"),
        (401, "RepoNotFound", "a/b: no such folder, and no such model on the hub"),
        (404, "RevisionNotFound", "a/b .revision v1.: the hub has no such revision"),
        (403, "GatedRepo", "a/b needs its terms to be accepted"),
    ],
)
def test_not_on_the_hub(serve, status, code, message):
    serve(status, X_Error_Code=code)
    with pytest.raises(FileNotFoundError, match=message):
        hub.locate("a/b", "v1" if code == "RevisionNotFound" else None)


def test_on_the_hub(serve):
    serve(200, ETag="a")
    assert hub.locate("a/b") == "a/b"
    # a repository without a config.json, as those of packed models
    serve(404, X_Error_Code="EntryNotFound")
    assert hub.locate("a/b") == "a/b"


def test_no_network(serve, cache, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    # nobody listens there
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template
    )
    assert hub.locate("someone/something") == str(cache)
    assert "the hub cannot be reached; taken from the hub's cache" in caplog.text
    message = "a/b: no such folder, the hub cannot be reached, and .* 'hf download a/b'"
    with pytest.raises(ConnectionError, match=message):
        hub.locate("a/b")
    serve(502)
    with pytest.raises(ConnectionError, match=message):
        hub.locate("a/b")


def test_offline(cache, tmp_path):
    assert hub.locate("someone/something") == str(cache)
    assert hub.locate("someone/something", "a" * 40) == str(cache)
    with pytest.raises(ConnectionError, match="a/b: no such folder, HF_HUB_OFFLINE is"):
        hub.locate("a/b")
    message = "someone/something .revision old.: no such folder, HF_HUB_OFFLINE"
    with pytest.raises(ConnectionError, match=message):
        hub.locate("someone/something", "old")
    with pytest.raises(ConnectionError):
        hub.locate("someone/something", cache_dir=tmp_path / "other")
