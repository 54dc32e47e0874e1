"""A server process to which the Hub's client publishes: repositories with branches, commits and large files, in memory.

It answers what `huggingface_hub` asks for when xet is off: whoami, create, refs, branch, preupload, LFS batch, upload
and verify, validate-yaml, commit, listing, tree, paths-info, resolve. `fault` makes it fail at one of these.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).parent.parent))  # when it is run as a script
from tests.hub_server import HubServer, started

TOKEN = "hf_WriterOfTheLabZyxwvutsrqponmlk"
READER = "hf_ReaderOfTheLabZyxwvutsrqponmlk"
LARGE = (".parquet", ".safetensors")
FIRST = {".gitattributes": b"*.parquet filter=lfs\n"}


@dataclass(frozen=True)
class WritingHub(HubServer):
    """The server as tests see it."""

    def fault(self, at: str, what: str, times: int = 1) -> None:
        """Fail the next requests of a kind ("put"), or of a file ("resolve:b.parquet"), in a way.

        That is a status, drop (no answer), late (done, but no answer), move (the branch, before), alter or hang.
        """
        (self.root / "fault").write_text(f"{at} {what} {times}")

    def begin(self) -> None:
        """Forget every repository and request."""
        urlopen(Request(f"{self.url}/begin", method="POST")).close()  # noqa: S310

    def asked(self, kind: str) -> list[str]:
        """Return the requests of a kind so far, such as "put"."""
        lines = (self.root / "requests.log").read_text().splitlines()
        return [line.split(" ", 1)[1] for line in lines if line.split(" ", 1)[0] == kind]

    def received(self) -> list[bytes]:
        """Return the body of everything that was sent."""
        return [path.read_bytes() for path in sorted((self.root / "bodies").iterdir())]

    def environment(self, home: Path, token: str | None = TOKEN) -> dict[str, str]:
        """Return the variables with which another process takes this server for the Hub."""
        variables = super().environment(home) | {"HF_TOKEN_PATH": str(home / "none"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        return variables | ({} if token is None else {"HF_TOKEN": token})


@contextlib.contextmanager
def writing_hub(root: Path) -> Iterator[WritingHub]:
    """Yield a server in a process of its own; repositories are below lab/, which its writer may write to."""
    root.mkdir(parents=True)
    with started(__file__, root) as url:
        yield WritingHub(root, url)


@dataclass
class _Entry:
    content: bytes
    is_large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """The id that git gives the file; of a large one that of its pointer."""
        text = f"oid sha256:{self.sha256}\nsize {len(self.content)}\n".encode() if self.is_large else self.content
        return hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False).hexdigest()

    def record(self, name: str) -> dict[str, Any]:
        large = {"sha256": self.sha256, "oid": self.sha256, "size": len(self.content), "pointerSize": 130}
        sizes = {"size": len(self.content), "blobId": self.oid, "oid": self.oid}
        return {"rfilename": name, "path": name, "type": "file", **sizes, **({"lfs": large} if self.is_large else {})}


@dataclass
class _Repository:
    private: bool
    commits: dict[str, dict[str, _Entry]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)

    def commit(self, files: dict[str, _Entry], *, branch: str | None = None) -> str:
        commit = hashlib.sha1(f"{len(self.commits)} {sorted(files)}".encode(), usedforsecurity=False).hexdigest()
        self.commits[commit] = files
        if branch is not None:
            self.branches[branch] = commit
        return commit

    def at(self, revision: str) -> str | None:
        revision = unquote(revision)
        return (
            self.branches.get(revision) or self.pulls.get(revision) or (revision if revision in self.commits else None)
        )


class _Answer(Exception):
    def __init__(self, status: int, content: Any = None, **headers: str) -> None:
        super().__init__(status)
        self.status, self.headers = status, headers
        self.content = (
            content if isinstance(content, bytes) else json.dumps(content if content is not None else {}).encode()
        )


def _missing(what: str) -> _Answer:
    return _Answer(404, {"error": what}, **{"X-Error-Code": what})


_API = r"/api/(?P<kind>dataset|model)s/(?P<name>[^/]+/[^/]+)"
ROUTES = {  # kind of request → method and path
    "begin": r"POST /begin",
    "whoami": r"GET /api/whoami-v2",
    "yaml": r"POST /api/validate-yaml",
    "create": r"POST /api/repos/create",
    "refs": rf"GET {_API}/refs",
    "branch": rf"POST {_API}/branch/(?P<revision>[^/]+)",
    "preupload": rf"POST {_API}/preupload/(?P<revision>[^/]+)",
    "commit": rf"POST {_API}/commit/(?P<revision>[^/]+)",
    "paths": rf"POST {_API}/paths-info/(?P<revision>[^/]+)",
    "tree": rf"GET {_API}/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?",
    "listing": rf"GET {_API}(?:/revision/(?P<revision>[^/]+))?",
    "batch": r"POST /(?P<kind>dataset)?(?:s/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch",
    "put": r"PUT /lfs/(?P<kind>dataset|model)/(?P<name>[^/]+/[^/]+)/(?P<oid>\w+)",
    "verify": r"POST /lfs/(?P<kind>dataset|model)/(?P<name>[^/]+/[^/]+)/verify",
    "resolve": r"(?:GET|HEAD) /(?:(?P<kind>dataset)s/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
}
REPOSITORIES: dict[tuple[str, str], _Repository] = {}


class _Handler(BaseHTTPRequestHandler):
    root: Path
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.reply()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def reply(self) -> None:
        path = urlsplit(self.path).path
        self.body = self.read_body()
        kind, match = next(
            ((kind, m) for kind, route in ROUTES.items() if (m := re.fullmatch(route, f"{self.command} {path}"))),
            ("other", None),
        )
        with (self.root / "requests.log").open("a") as log:
            log.write(f"{kind} {self.command} {self.path}\n")
        if self.body:
            (self.root / "bodies" / f"{time.monotonic_ns()}").write_bytes(self.body)
        what = self.what = self.fault_at(kind)
        try:
            if what.isdigit():
                raise _Answer(int(what), {"error": "as the test wants it"})
            if what == "drop":
                self.drop()
                return
            if what == "hang":
                time.sleep(120)
            if match is None:
                raise _missing("EntryNotFound")
            self.match = match.groupdict()
            if what == "move":
                self.repository.commit({**self.files(), "notes.md": _Entry(b"moved", False)}, branch="main")
            getattr(self, f"on_{kind}")()
        except _Answer as answer:
            if what == "late":
                self.drop()
                return
            self.send_response(answer.status)
            for key, value in {**answer.headers, "Content-Length": str(len(answer.content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.content)

    def drop(self) -> None:
        self.close_connection = True
        self.connection.close()

    def read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def fault_at(self, kind: str) -> str:
        file = self.root / "fault"
        at, what, times = file.read_text().split() if file.is_file() else ("", "", "0")
        name, _, part = at.partition(":")
        if name != kind or part not in self.path:
            return ""
        if int(times) > 1:
            file.write_text(f"{at} {what} {int(times) - 1}")
        else:
            file.unlink()
        return what

    # ---- what every answer needs

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def token(self) -> str | None:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") or None

    def check_token(self, *, writes: bool) -> None:
        if self.token not in (None, TOKEN, READER) or (writes and self.token is None):
            message = "Invalid username or password."
            raise _Answer(401, {"error": message}, **{"X-Error-Message": message})
        if writes and self.token != TOKEN:
            raise _Answer(403, {"error": "Forbidden"}, **{"X-Error-Message": "Forbidden: this token only reads"})

    @property
    def repository(self) -> _Repository:
        repository = REPOSITORIES.get((self.match["kind"] or "model", self.match["name"]))
        if repository is None or (repository.private and self.token is None):
            raise _Answer(404 if self.token else 401, {}, **{"X-Error-Code": "RepoNotFound"})
        return repository

    def commit(self) -> str:
        commit = self.repository.at(self.match.get("revision") or "main")
        if commit is None:
            raise _missing("RevisionNotFound")
        return commit

    def files(self) -> dict[str, _Entry]:
        return self.repository.commits[self.commit()]

    def url(self) -> str:
        return f"http://{self.headers['Host']}"

    # ---- one answer per kind of request

    def on_begin(self) -> None:
        _begin(self.root)
        raise _Answer(200)

    def on_whoami(self) -> None:
        self.check_token(writes=False)
        raise _Answer(200, {"type": "user", "name": "lab", "orgs": []})

    def on_yaml(self) -> None:
        raise _Answer(200, {"errors": [], "warnings": []})

    def on_create(self) -> None:
        self.check_token(writes=True)
        name = f"{self.json['organization']}/{self.json['name']}"
        if not name.startswith("lab/"):
            raise _Answer(403, {"error": "not yours"}, **{"X-Error-Message": "not yours"})
        kind = self.json.get("type", "model")
        if (kind, name) in REPOSITORIES:
            raise _Answer(409, {"error": "exists"})
        REPOSITORIES[kind, name] = repository = _Repository(self.json.get("visibility") != "public")
        repository.commit({name: _Entry(content, False) for name, content in FIRST.items()}, branch="main")
        raise _Answer(200, {"url": f"{self.url()}/{'datasets/' if kind == 'dataset' else ''}{name}"})

    def on_refs(self) -> None:
        def refs(names: dict[str, str], folder: str) -> list[dict[str, str]]:
            return [{"name": name, "ref": folder + name, "targetCommit": commit} for name, commit in names.items()]

        repository = self.repository
        tags = [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": repository.branches["main"]}]
        named = {"branches": refs(repository.branches, "refs/heads/"), "tags": tags, "converts": []}
        raise _Answer(200, {**named, "pullRequests": refs(repository.pulls, "")})

    def on_branch(self) -> None:
        self.check_token(writes=True)
        repository = self.repository
        repository.branches[unquote(self.match["revision"])] = repository.branches["main"]
        raise _Answer(200)

    def on_preupload(self) -> None:
        self.check_token(writes=True)
        there = self.files()

        def mode(name: str) -> dict[str, Any]:
            is_large = name.endswith(LARGE)
            oid = None if name not in there else there[name].sha256 if is_large else there[name].oid
            return {"path": name, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False, "oid": oid}

        raise _Answer(200, {"files": [mode(file["path"]) for file in self.json["files"]]})

    def on_batch(self) -> None:
        self.check_token(writes=True)
        kind, name = self.match["kind"] or "model", self.match["name"]
        repository, objects = self.repository, []
        for wanted in self.json["objects"]:
            actions = {
                "upload": {"href": f"{self.url()}/lfs/{kind}/{name}/{wanted['oid']}"},
                "verify": {"href": f"{self.url()}/lfs/{kind}/{name}/verify"},
            }
            objects.append({**wanted, **({} if wanted["oid"] in repository.large else {"actions": actions})})
        raise _Answer(200, {"transfer": "basic", "objects": objects})

    def on_put(self) -> None:
        if hashlib.sha256(self.body).hexdigest() != self.match["oid"]:
            raise _Answer(400, {"error": "not the object"})
        self.repository_of_put().large[self.match["oid"]] = self.body
        raise _Answer(200)

    def repository_of_put(self) -> _Repository:
        return REPOSITORIES[self.match["kind"], self.match["name"]]  # the address is signed: no token comes with it

    def on_verify(self) -> None:
        is_there = self.json["oid"] in self.repository_of_put().large
        raise _Answer(200 if is_there else 404)

    def on_commit(self) -> None:
        self.check_token(writes=True)
        header, *operations = (json.loads(line) for line in self.body.splitlines())
        repository, parent = self.repository, self.commit()
        if header["value"].get("parentCommit") not in (None, parent):
            raise _Answer(412, {"error": "A commit has happened since. Please refresh and try again."})
        files = dict(self.files())
        for operation in operations:
            key, value = operation["key"], operation["value"]
            if key == "file":
                content = b"altered" if self.what == "alter" else base64.b64decode(value["content"])
                files[value["path"]] = _Entry(content, False)
            elif key == "lfsFile":
                files[value["path"]] = _Entry(repository.large[value["oid"]], True)
            elif key == "deletedFile":
                del files[value["path"]]
        wants_pull = "create_pr" in parse_qs(urlsplit(self.path).query)
        branch = unquote(self.match["revision"])
        commit = repository.commit(files, branch=None if wants_pull else branch)
        number = len(repository.pulls) + 1
        if wants_pull:
            repository.pulls[f"refs/pr/{number}"] = commit
        page = f"{self.url()}/datasets/{self.match['name']}"
        pull = f"{page}/discussions/{number}" if wants_pull else None
        raise _Answer(200, {"commitUrl": f"{page}/commit/{commit}", "commitOid": commit, "pullRequestUrl": pull})

    def on_listing(self) -> None:
        self.check_token(writes=False)
        files, private = self.files(), self.repository.private
        siblings = [entry.record(name) for name, entry in sorted(files.items())]
        content = {"id": self.match["name"], "sha": self.commit(), "private": private, "siblings": siblings, "tags": []}
        raise _Answer(200, {**content, "downloads": 0, "likes": 0})

    def on_tree(self) -> None:
        self.check_token(writes=False)
        below = f"{unquote(self.match['path'])}/" if self.match["path"] else ""
        names = [name for name in self.files() if name.startswith(below)]
        raise _Answer(200, [self.files()[name].record(name) for name in names] + _folders(names, below))

    def on_paths(self) -> None:
        self.check_token(writes=False)
        wanted = parse_qs(self.body.decode())["paths"] if self.body[:1] != b"{" else self.json["paths"]
        files = self.files()
        entries = [files[name].record(name) for name in wanted if name in files]
        raise _Answer(200, entries + [folder for folder in _folders(list(files), "") if folder["path"] in wanted])

    def on_resolve(self) -> None:
        self.check_token(writes=False)
        entry = self.files().get(unquote(self.match["path"]))
        if entry is None:
            raise _missing("EntryNotFound")
        etag = entry.sha256 if entry.is_large else entry.oid
        start, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        part = entry.content[int(start or 0) : int(end) + 1 if end else None]
        ranged = {"Content-Range": f"bytes {start}-{len(entry.content) - 1}/{len(entry.content)}"} if start else {}
        named = {"ETag": f'"{etag}"', "X-Repo-Commit": self.commit(), **ranged}
        raise _Answer(206 if start else 200, part, **named)


def _folders(names: list[str], below: str) -> list[dict[str, Any]]:
    inner = {str(parent) for name in names for parent in Path(name).parents if str(parent) != "."}
    return [
        {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
        for name in sorted(inner)
        if name.startswith(below)
    ]


def _begin(root: Path) -> None:
    REPOSITORIES.clear()
    shutil.rmtree(root / "bodies", ignore_errors=True)
    (root / "bodies").mkdir()
    (root / "requests.log").write_text("")
    (root / "fault").unlink(missing_ok=True)


if __name__ == "__main__":
    _Handler.root = Path(sys.argv[1])
    _begin(_Handler.root)
    local = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    local.daemon_threads = True
    print(local.server_address[1], flush=True)
    os.environ.clear()
    local.serve_forever()
