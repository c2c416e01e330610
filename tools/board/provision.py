"""Makes a flashed board one gate of one site, and sends only what it does not have yet.

Owns the order of writing (docs/provisioning.md): until the last step the board is a gate in fault. What goes
where is said by files.py and the provisioning record; session.py talks to the board.
"""

import binascii
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from tools.board import session
from tools.board.definition import Definition
from tools.board.files import SLOT
from tools.board.record import NAMESPACE, Record

CONFIG, CA, LIST = "config.json", "ca.der", "list.bundle"
_PARKED = CONFIG + ".off"  # the config while what it goes with is not complete
_OURS = (SLOT, "b")  # directories in which nothing else may lie
_OLD = ("slot", "a.pack", "b.pack", "update.bundle")  # of updates: what is provisioned is the newest
_PIECE = 1024
_SPARE = ("wifi_password", "release_key")  # go, where a record has none
_KEY = "gate_key"
_ERASED = ("list", "journal")

# What runs on the board. Answers are lines of JSON, printed one after the other: memory is scarce.
_ON_BOARD = (
    """
import json, os, hashlib, esp32
from binascii import hexlify, a2b_base64
def _hex(digest): return hexlify(digest).decode()
def digest(path):
    try: f = open(path, "rb")
    except OSError: return None
    h, buf = hashlib.sha256(), memoryview(bytearray(512))
    with f:
        while True:
            n = f.readinto(buf)
            if not n: return _hex(h.digest())
            h.update(buf[:n])
def tree(top):
    found, folders = [], [top]
    while folders:
        folder = folders.pop()
        try: rows = list(os.ilistdir("/" + folder))
        except OSError: continue
        for row in rows:
            path = folder + "/" + row[0]
            folders.append(path) if row[1] & 0x4000 else found.append(path)
    return found
def look(names):
    for name in names.split(): print(json.dumps([name, digest("/" + name)]))
def look_below(top):
    for name in tree(top): print(json.dumps([name, digest("/" + name)]))
def secrets(names):
    nvs, buf = esp32.NVS("%s"), bytearray(64)
    for name in names.split():
        try: found = _hex(hashlib.sha256(memoryview(buf)[:nvs.get_blob(name, buf)]).digest())
        except OSError: found = None
        print(json.dumps([name, found]))
def kind():
    found = None
    try:
        with open("/board.py") as f:
            for line in f:
                if line.startswith("NAME"): found = line.split('"')[1]
    except (OSError, IndexError): pass
    print(json.dumps(found))
def parts():
    for p in esp32.Partition.find(esp32.Partition.TYPE_DATA): print(json.dumps(list(p.info()[2:5])))
def begin(path):
    global f
    folder = ""
    for part in path.split("/")[:-1]:
        folder += "/" + part
        try: os.mkdir(folder)
        except OSError: pass
    f = open("/" + path + ".new", "wb")
def put(text): f.write(a2b_base64(text))
def end(path):
    f.close()
    print(json.dumps(digest("/" + path + ".new")))
def move(old, new): os.rename("/" + old, "/" + new)
def remove(path):
    try: os.remove("/" + path)
    except OSError: pass
def erase(label, first, count):
    part, blank = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label)[0], b"\\xff" * 512
    buf = bytearray(512)
    for block in range(first, min(first + count, part.ioctl(4, 0))):
        for at in range(0, 4096, 512):
            part.readblocks(block, buf, at)
            if buf != blank:
                part.ioctl(6, block)
                break
    print(json.dumps(first + count < part.ioctl(4, 0)))
"""
    % NAMESPACE
)


class ProvisionError(Exception):
    """A board that was not provisioned; the text is one line that begins with the port."""


@dataclasses.dataclass
class Done:
    """What was sent: paths, names of secrets; whether list and journal were erased."""

    files: list[str] = dataclasses.field(default_factory=list)
    removed: list[str] = dataclasses.field(default_factory=list)
    secrets: list[str] = dataclasses.field(default_factory=list)
    erased: bool = False

    @property
    def is_nothing(self) -> bool:
        """True if the board had everything already."""
        return not (self.files or self.removed or self.secrets)


@dataclasses.dataclass(frozen=True)
class _Board:
    """What lies on a board: SHA-256 in hex by path and by name of secret, None where there is nothing."""

    files: dict[str, str | None]
    secrets: dict[str, str | None]
    kind: str | None
    partitions: list[list[Any]]


Progress = Callable[[str, int, int], None]  # what is sent now, bytes sent, bytes in all


def provision(
    board: session.Session,
    port: str,
    definition: Definition,
    record: Record,
    code: Mapping[str, bytes],
    bundle: bytes | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Done:
    """Make the `board` at `port` the gate of `record`; return what had to be sent.

    `code`: files of files.code; `bundle`: its first list. May be repeated, whatever it was interrupted in.
    Raises ProvisionError and session.SessionError.
    """
    board.refresh()
    board.run(_ON_BOARD)
    last = dict(record.files)
    if bundle is not None:
        last[LIST] = bundle
    there = _look(board, [*code, *last, CONFIG, CA, LIST, _PARKED, *_OLD], record.nvs)
    _check_kind(port, there, definition)
    done = Done()
    changed = [path for path, data in code.items() if there.files.get(path) != _digest(data)]
    ours = tuple(folder + "/" for folder in _OURS)
    stale = [p for p, found in there.files.items() if found and p.startswith(ours) and p not in code]
    stale += [path for path in _OLD if there.files[path]]
    secrets = {name: value for name, value in record.nvs.items() if there.secrets[name] != _digest(value)}
    spare = [name for name in _SPARE if name not in record.nvs and there.secrets.get(name)]
    late = [path for path, data in last.items() if there.files.get(path) != _digest(data)]
    if there.files[CONFIG] and (changed or stale or secrets or spare):
        _call(board, "move", CONFIG, _PARKED)
        there.files[_PARKED], there.files[CONFIG] = there.files[CONFIG], None
    sent, total = 0, sum(len(code[path]) for path in changed) + sum(len(last[path]) for path in late)

    def send(path: str, data: bytes) -> None:
        nonlocal sent
        _write(board, port, path, data, lambda n: progress(path, sent + n, total))
        sent += len(data)
        done.files.append(path)

    for path in changed:
        send(path, code[path])
    for path in stale:
        _call(board, "remove", path)
        done.removed.append(path)
    if _KEY in secrets:
        progress("list and journal", sent, total)
        _erase(board)
        done.erased = True
        stale = [LIST] if bundle is None and there.files[LIST] else []
    else:
        stale = []
    if secrets or spare:
        _write_secrets(board, port, secrets, spare)
        done.secrets += [*secrets, *spare]
    stale += [CA] if CA not in last and there.files[CA] else []
    for path in stale:
        _call(board, "remove", path)
        done.removed.append(path)
    for path in sorted(last, key=lambda path: path == CONFIG):
        if path == CONFIG and there.files[_PARKED] == _digest(last[CONFIG]) and not there.files[CONFIG]:
            _call(board, "move", _PARKED, CONFIG)
        elif path in late:
            send(path, last[path])
    _call(board, "remove", _PARKED)
    return done


def _look(board: session.Session, paths: list[str], secrets: Mapping[str, bytes]) -> _Board:
    names = sorted(set(paths))
    rows = [
        row for n in range(0, len(names), 20) for row in _answers(board, "look", " ".join(names[n : n + 20]))
    ]
    rows += [row for top in _OURS for row in _answers(board, "look_below", top)]
    return _Board(dict(rows), _secrets(board, secrets), _answers(board, "kind")[0], _answers(board, "parts"))


def _secrets(board: session.Session, names: Mapping[str, bytes]) -> dict[str, str | None]:
    return dict(_answers(board, "secrets", " ".join(sorted({*names, *_SPARE}))))


def _check_kind(port: str, there: _Board, definition: Definition) -> None:
    """Refuse a board of another kind than the record's."""
    if there.kind is not None and there.kind != definition.name:
        text = f"is an {there.kind}, the record is for an {definition.name}"
        raise ProvisionError(f"{port}: {text}: take the other one, or flash it as {definition.name}")
    wanted = [[part.offset, part.size, part.name] for part in definition.partitions if part.type == "data"]
    if sorted(there.partitions) != sorted(wanted):
        text = f"has not the flash layout of {definition.name}"
        raise ProvisionError(f"{port}: {text}: `pinter board flash --board {definition.name}` first")


def _write(
    board: session.Session, port: str, path: str, data: bytes, progress: Callable[[int], None]
) -> None:
    """Write a file beside its place, let the board read it back, then put it there."""
    code = f"begin({path!r})\n"
    for at in range(0, len(data), _PIECE):
        if at:  # what comes last goes with the first question after it
            board.run(code)
            progress(at)
            code = ""
        code += f"put({binascii.b2a_base64(data[at : at + _PIECE], newline=False)!r})\n"
    found = _lines(board, code + f"end({path!r})")
    progress(len(data))
    if found != [_digest(data)]:
        raise ProvisionError(f"{port}: {path}: reads back otherwise than it was written")
    _call(board, "move", path + ".new", path)


def _erase(board: session.Session) -> None:
    for label in _ERASED:
        block = 0
        while _answers(board, "erase", label, block, 32) == [True]:
            block += 32


def _write_secrets(board: session.Session, port: str, secrets: Mapping[str, bytes], spare: list[str]) -> None:
    """Write all, commit once, and compare by hash: no secret comes back over the line."""
    lines = [f"n = esp32.NVS({NAMESPACE!r})"]
    lines += [f"n.set_blob({name!r}, bytes.fromhex({value.hex()!r}))" for name, value in secrets.items()]
    lines += [f"n.erase_key({name!r})" for name in spare]
    board.run("\n".join([*lines, "n.commit()"]))
    there = _secrets(board, secrets)
    for name, value in secrets.items():
        if there[name] != _digest(value):
            raise ProvisionError(f"{port}: nvs.{name}: reads back otherwise than it was written")


def _call(board: session.Session, function: str, *arguments: str) -> None:
    board.run(f"{function}({', '.join(map(repr, arguments))})")


def _answers(board: session.Session, function: str, *arguments: str | int) -> list[Any]:
    """Return what a function of the board prints, a line of JSON each."""
    return _lines(board, f"{function}({', '.join(map(repr, arguments))})")


def _lines(board: session.Session, code: str) -> list[Any]:
    text = board.run(code)
    try:
        return [json.loads(line) for line in text.splitlines()]
    except ValueError:
        raise session.SessionError(f"the board answers {text[-80:]!r}") from None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
