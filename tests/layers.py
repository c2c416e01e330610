"""Which module may import which: the table of arrows, and a checker that reads imports from source.

Imports inside functions count like any others; those in `if TYPE_CHECKING:` do not, they compile away. A
module without a row in the table is an error: who adds one says where it stands.
"""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase

# --- the firmware ------------------------------------------------------------------------------------------

# No clock, no pin, no file: values in, values out. The host imports the same files.
PURE = (
    "policy",
    "lane",
    "presence",
    "replay",
    "records",
    "bundles",
    "config",
    "messages",
    "mqtt",
    "mqtt_connect",
    "rtcmem",
    "crash",
    "repeats",
    "counters",
)
FOR_HOST = (
    *PURE,
    "crypto",
    "cmac",
    "keywrap",
    "officekeys",
    "errors",
    "ed25519",
    "packs",
    "cards.ev2",
    "cards.ev2_full",
    "cards.aes",
    "cards.desfire",
    "cards.signed",
    "cards.classic",
)

_BASIC = ("micropython", "struct", "collections")
_SOFT = (
    *_BASIC,
    "array",
    "time",
    "asyncio",
    "gc",
    "hashlib",
    "cryptolib",
    "binascii",
    "errno",
    "json",
    "os",
    "sys",
    "io",
)
_HARD = (
    *_SOFT,
    "machine",
    "esp32",
    "network",
    "socket",
    "select",
    "ssl",
    "tls",
    "vfs",
    "deflate",
    "random",
    "_thread",
)

_IN_ROOT = (
    "board",
    "starter",
    "rtcmem",
    "safe",
    "pack",
)  # of the board's file system, outside of the package

_SERVICES = ("errors", "crypto", "release", *PURE)
_STORES = (*_SERVICES, "allowlist", "journal", "clock")

# modules: (what they may import from the firmware, what they may import from the device). First match counts.
FIRMWARE = {
    ("",): ((), ("sys",)),  # the package's own __init__.py: `release`
    ("drivers", "cards"): ((), ()),
    ("errors",): ((), ()),
    PURE: ((*PURE, "errors"), _BASIC),
    ("crypto",): (("errors",), (*_BASIC, "hashlib")),
    ("cmac",): ((), (*_BASIC, "cryptolib")),
    ("keywrap",): (("errors", "crypto"), _BASIC),
    ("officekeys",): (("cmac", "keywrap"), _BASIC),
    ("ed25519",): ((), _BASIC),
    ("packs",): (("errors",), _BASIC),
    ("pack",): ((), ("micropython", "io", "vfs")),
    ("update",): (("errors", "release", "packs", "flash", "ed25519"), (*_SOFT, "starter")),
    ("report",): (("lane",), ("json",)),
    ("drivers.*",): (("errors", "release", "drivers.*"), (*_BASIC, "array", "time", "asyncio", "framebuf")),
    ("cards.*",): (
        ("errors", "crypto", "cmac", "records", "cards.*"),
        (*_BASIC, "array", "time", "asyncio", "cryptolib", "binascii", "os", "sys"),
    ),
    ("allowlist", "deltas", "slots", "recover", "listflash"): (
        (*_SERVICES, "allowlist", "deltas", "slots", "recover", "listflash"),
        _SOFT,
    ),
    ("journal", "journal_open"): ((*_SERVICES, "journal", "journal_open"), _SOFT),
    ("clock", "clock_set"): ((*_SERVICES, "clock_set"), _SOFT),
    ("sync", "arrival"): ((*_SERVICES, "arrival", "commands"), _SOFT),
    ("commands",): ((*_SERVICES, "update", "journal_open"), (*_SOFT, "starter")),
    ("health",): ((*_SERVICES, "clock"), _HARD),
    ("link", "dial"): ((*_SERVICES, "sync", "orders", "report", "dial", "interface"), (*_HARD, "_thread")),
    ("interface",): (("errors", "drivers.wifi", "drivers.ethernet"), _HARD),
    ("hardware", "flash"): ((*_SERVICES, "flash", "drivers.*", "cards.*"), _HARD),
    ("expander",): (("errors",), _HARD),
    ("display",): ((*_SERVICES, "drivers.ssd1306", "drivers.hd44780"), _HARD),
    ("doctor",): (("errors", "wiring", "hardware", "drivers.*"), (*_HARD, "platform")),
    ("doctor_stores",): ((*_STORES, "flash"), _HARD),
    ("doctor_network",): (("errors", "interface"), _HARD),
    ("wiring",): ((*_SERVICES, "hardware", "drivers.*", "cards.*"), _HARD),
    ("sntp",): (("errors", "release", "clock_set"), (*_HARD, "_thread")),
    ("battery_rtc",): (("errors", "rtcmem", "drivers.ds3231"), _HARD),
    ("proofs",): ((*_SERVICES, "cards.aes", "cards.isodep", "cards.signed", "keywrap"), _BASIC),
    ("boot",): (
        (
            *_STORES,
            "aftermath",
            "battery_rtc",
            "flash",
            "clock_set",
            "journal_open",
            "link",
            "sntp",
            "display",
            "expander",
        ),
        _SOFT,
    ),
    ("aftermath",): (_SERVICES, (*_SOFT, "starter")),
    ("gate",): ((*_STORES, "proofs"), _SOFT),
    ("orders",): ((*_SERVICES, "commands", "clock_set"), ()),
    ("app",): (
        (*_STORES, "gate", "report", "boot", "aftermath", "health", "wiring", "drivers.*", "cards.*"),
        _HARD,
    ),
    ("starter",): (("app",), (*_HARD, *_IN_ROOT)),
    ("safe",): ((), _HARD),
    ("manifest",): ((), ()),  # for a build of MicroPython, which names what it uses
    ("main",): ((), (*_HARD, *_IN_ROOT)),
}

# --- the host ----------------------------------------------------------------------------------------------

_FIRMWARE_FOR_HOST = tuple("firmware." + name for name in FOR_HOST)
_SHARED_TOOLS = ("tools.runtime", "tools.mpy", "tools.plots")

# modules: (what they may import from this project, whether they may import packages from requirements.txt).
HOST = {
    ("tools.bootstrap",): ((), False),
    ("tools", "host_sim"): (("host_sim.shims.host_path",), False),
    ("host_sim.shims.host_path", "host_sim.shims"): ((), False),
    ("host_sim.shims.device.*", "host_sim.shims.micropython.*", "host_sim.shims.host.*"): ((), False),
    ("host_sim.shims.board.*",): ((), False),
    ("host_sim.shims.cpython.*",): ((), False),
    ("tools.runtime", "tools.mpy"): (_SHARED_TOOLS, True),
    ("tools.plots",): ((), False),
    ("tools.board", "tools.board.*"): (
        (*_FIRMWARE_FOR_HOST, *_SHARED_TOOLS, "tools.board", "tools.board.*"),
        True,
    ),
    ("tools.docs", "tools.docs.*"): ((*_FIRMWARE_FOR_HOST, "tools.docs", "tools.docs.*"), True),
    ("tools.office", "tools.office.*"): (
        (*_FIRMWARE_FOR_HOST, "tools.plots", "tools.office", "tools.office.*"),
        True,
    ),
    ("tools.card", "tools.card.*"): (
        (*_FIRMWARE_FOR_HOST, "tools.card", "tools.card.*", "tools.office", "tools.office.*"),
        True,
    ),
    ("tools.cli", "tools.cli.*"): (
        (*_FIRMWARE_FOR_HOST, "tools.*", "host_sim", "host_sim.*"),
        True,
    ),
    # The firmware's application, on a computer.
    ("host_sim.bench.link_on_device",): (("firmware.app",), True),
    # Gates on CPython: the firmware's stores and its end of the link.
    ("host_sim.bench.sync_fleet",): (
        (*_FIRMWARE_FOR_HOST, "firmware", "firmware.allowlist", "firmware.journal", "firmware.sync"),
        True,
    ),
    # Its limits are those that the tests hold.
    ("host_sim.bench.size",): ((*_SHARED_TOOLS, "tests.budgets"), True),
    # Measures the firmware's stores themselves.
    ("host_sim.bench.store", "host_sim.bench.store_on_device"): (
        (
            *_FIRMWARE_FOR_HOST,
            "firmware.allowlist",
            "firmware.journal",
            "host_sim.chips.nor_flash",
            "host_sim.deploy",
            "host_sim.importer",
            "tools.office.bundle",
        ),
        True,
    ),
    ("host_sim.*",): (
        (
            *_FIRMWARE_FOR_HOST,
            *_SHARED_TOOLS,
            "host_sim",
            "host_sim.*",
            "tools.office",
            "tools.office.*",
            "tools.board",
            "tools.board.*",
        ),
        True,
    ),
}
_RUNS_ON_DEVICE = (
    "host_sim.shims.board.*",
    "host_sim.shims.device.*",
    "host_sim.shims.micropython.*",
    "host_sim.shims.host.*",
    "host_sim.shims.cpython.*",
)
_OWN = ("firmware", "host_sim", "tools", "tests")


COMPUTED = "a computed name"  # what `__import__(variable)` imports


def module_name(path: str) -> str:
    """Return the dotted name of the module in the file `path` (relative to the project, with slashes)."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: str, source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) of everything that `source` imports outside TYPE_CHECKING blocks.

    `from a import b` yields a.b: whether b is a module or a name in one, the arrow points below a either way.
    """
    package = module_name(path).split(".")
    if not path.endswith("/__init__.py"):
        package.pop()
    for node in _outside_type_checking(ast.parse(source, path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                yield node.lineno, ".".join((*base, alias.name))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__":
            first = node.args[0] if node.args else None
            yield node.lineno, str(first.value) if isinstance(first, ast.Constant) else COMPUTED


def _outside_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if (
            isinstance(child, ast.If)
            and isinstance(child.test, ast.Name)
            and child.test.id.endswith("TYPE_CHECKING")  # `_TYPE_CHECKING` where a name without _ costs RAM
        ):
            for other in child.orelse:
                yield other
                yield from _outside_type_checking(other)
            continue
        yield child
        yield from _outside_type_checking(child)


def _row(table: dict, name: str):
    for patterns, row in table.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return row
    return None


def _is_allowed(name: str, patterns: tuple[str, ...]) -> bool:
    """Return True if `name` is one of `patterns` or a name inside such a module."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, pattern + ".*") for pattern in patterns)


def violations(path: str, source: str, packages: frozenset[str] = frozenset()) -> list[str]:
    """Return what the file `path` with the text `source` imports against the table, one line each.

    `packages`: top-level names that requirements.txt brings.
    """
    if path.startswith("firmware/"):
        return _firmware_violations(path, source)
    return _host_violations(path, source, packages)


def _firmware_violations(path: str, source: str) -> list[str]:
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        if "host_sim" in line:
            found.append("%s:%d: the firmware mentions host_sim" % (path, number))
    name = module_name(path).removeprefix("firmware").lstrip(".")
    row = _row(FIRMWARE, name)
    if row is None:
        return [*found, "%s: has no row in tests/layers.py: say what it may import" % path]
    inside, outside = row
    for line, target in imports(path, source):
        top = target.split(".")[0]
        if top == "firmware":
            allowed = _is_allowed(target.removeprefix("firmware."), inside)
        elif top in _OWN:
            allowed = False
        else:
            allowed = top in outside
        if not allowed:
            found.append("%s:%d: %s must not import %s" % (path, line, name, target))
    if name != "starter":
        found += [
            "%s:%d: inside the firmware imports are relative" % (path, node.lineno)
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.ImportFrom)
            and not node.level
            and (node.module or "").split(".")[0] == "firmware"
        ]
    return found


def _host_violations(path: str, source: str, packages: frozenset[str]) -> list[str]:
    name = module_name(path)
    row = _row(HOST, name)
    if row is None:
        return ["%s: has no row in tests/layers.py: say what it may import" % path]
    inside, third_party = row
    on_device = any(fnmatchcase(name, pattern) for pattern in _RUNS_ON_DEVICE)
    found = []
    for line, target in imports(path, source):
        top = target.split(".")[0]
        if top in _OWN:
            allowed = _is_allowed(target, inside)
        elif target == COMPUTED:
            allowed = True
        else:  # stand-ins for the device's modules import each other and the runtime's own by plain names
            allowed = on_device or top in sys.stdlib_module_names or (third_party and top in packages)
        if not allowed:
            found.append("%s:%d: %s must not import %s" % (path, line, name, target))
    return found
