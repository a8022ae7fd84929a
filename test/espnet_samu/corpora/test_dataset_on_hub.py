"""A dataset that is downloaded from a server that answers as the hub does."""

import hashlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from .conftest import ROOT
from .covost2_parquet_tree import write_parquet

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "someone/covost2"
CONF = ROOT / "egs2" / "covost2" / "samu_st1" / "conf"


class Hub(http.server.ThreadingHTTPServer):
    """Serves a folder as a dataset of the hub: a list of files, ETag, Range."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Answers)
        self.folder = folder
        self.stuck = None
        """A file of which only the first bytes are sent."""
        self.hangs = threading.Event()
        self.asked = []
        """Paths of files, and first byte, that were asked for by GET."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(http.server.BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = self.path.partition("?")[0]
        if match := re.fullmatch(f"/datasets/{NAME}/resolve/[^/]+/(.+)", path):
            return self.file(match[1], body)
        files = sorted(f for f in self.server.folder.rglob("*") if f.is_file())
        names = [str(f.relative_to(self.server.folder)) for f in files]
        if re.fullmatch(f"/api/datasets/{NAME}/revision/[^/]+", path):
            siblings = [{"rfilename": name} for name in names]
            return self.json({"id": NAME, "sha": COMMIT, "siblings": siblings})
        if re.fullmatch(f"/api/datasets/{NAME}/tree/.+", path):
            sizes = [f.stat().st_size for f in files]
            rows = [
                {"type": "file", "path": name, "size": size, "oid": etag(f)}
                for name, size, f in zip(names, sizes, files)
            ]
            return self.json(rows)
        self.json({"error": "Repository not found"}, 404, RepoNotFound=True)

    def json(self, content, status=200, RepoNotFound=False):
        text = json.dumps(content).encode()
        self.send_response(status)
        if RepoNotFound:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(text)

    def file(self, name, body):
        path = self.server.folder / name
        content = path.read_bytes()
        first = 0
        if asked := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
            first = int(asked[1])
        part = content[first:]
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{etag(path)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        if asked:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if not body:
            return
        self.server.asked.append((name, first))
        if name == self.server.stuck:
            self.wfile.write(part[:1000])
            self.wfile.flush()
            self.server.hangs.set()
            time.sleep(60)
        else:
            self.wfile.write(part)

    def log_message(self, *args):
        pass


def etag(path):
    """Return what the hub calls the content of a file."""
    return hashlib.sha1(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(corpus, tmp_path):
    """The hub with the small corpus."""
    server = Hub(write_parquet(*corpus, tmp_path / "hub"))
    (server.folder / "README.md").write_text("A dataset card.")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def start(hub, tmp_path):
    """Function that starts a preparation in a process of its own."""

    def start(*options, name=NAME, **env):
        env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", **env}
        env |= {"HF_HOME": f"{tmp_path}/cache", "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-m", "espnet_samu.bin.prepare", "covost2"]
        command += ["--langs", "fr", "--samu_langs", "none", "--conf_dir", CONF]
        command += ["--output_dir", tmp_path / "data", "--clips_dir", tmp_path / "c"]
        command += ["--covost2_parquet", name, *options]
        command = [str(part) for part in command]
        output = subprocess.PIPE
        return subprocess.Popen(
            command, env=env, stdout=output, stderr=output, text=True
        )

    return start


@pytest.mark.timeout(60)
def test_fetch_kill_resume_offline(hub, start, tmp_path):
    names = {f"fr_en/{f.name}" for f in (hub.folder / "fr_en").iterdir()}
    hub.stuck = "fr_en/train-00001-of-00002.parquet"
    process = start()
    assert hub.hangs.wait(30)
    cache = tmp_path / "cache" / "hub"
    while len(list(cache.glob("*/snapshots/*/fr_en/*"))) < len(names) - 1:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "data").exists()
    stuck, hub.stuck = hub.stuck, None
    process = start()
    _, error = process.communicate()
    assert process.returncode == 0, error
    # Only the direction that is asked for, and no dataset card.
    assert {name for name, _ in hub.asked} == names
    # What was complete is not sent again.
    assert [name for name, _ in hub.asked].count(stuck) == 2
    assert len(hub.asked) == len(names) + 1
    assert (tmp_path / "data" / "train.fr-en" / "wav.scp").is_file()
    asked = len(hub.asked)
    process = start(HF_HUB_OFFLINE="1")
    output, error = process.communicate()
    assert process.returncode == 0, error
    assert "the sets are there already" in error and len(hub.asked) == asked


@pytest.mark.timeout(60)
def test_mistakes(hub, start):
    process = start("--langs", "de")
    _, error = process.communicate()
    last = error.splitlines()[-1]
    assert process.returncode == 1 and last.startswith("Error: "), error
    assert f"{NAME}: the dataset has no de_en/*.parquet" in last
    for name, env, message in (
        ("someone/else", {}, "no such dataset on the hub"),
        (NAME, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set, and it is not in the"),
        (NAME, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached, and"),
    ):
        process = start(name=name, **env)
        _, error = process.communicate()
        assert process.returncode == 1, error
        last = error.splitlines()[-1]
        assert last.startswith(f"Error: {name}: no such folder") and message in last
