"""Runs a private copy of the firmware on CPython, with the board's modules in place of the host's.

Each `Importer` has modules of its own, so several boards live in one process and none sees the host's `time`
or `asyncio`. Owns what firmware code may import; knows nothing of what that code does.
"""

import builtins
import functools
import io
import os
import pathlib
import sys
import types
from collections.abc import Callable, Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHIMS = ROOT / "host_sim" / "shims"

# Modules of CPython that behave as MicroPython's for what the firmware uses of them.
_SHARED = frozenset(
    (
        "struct",
        "json",
        "binascii",
        "collections",
        "errno",
        "random",
        "math",
        "array",
        "re",
        "heapq",
        "_asyncio",
    )
)


class Importer:
    """`load(name)` imports a firmware or stand-in module; `path` is searched in order.

    `link` becomes the module `_link` (exchange, take, take_into, gmtime, timegm, sha256, aes). Files are
    opened relative to `home`, as a board's are to its root. `hooks`: called with a module once loaded.
    """

    def __init__(
        self,
        path: Sequence[pathlib.Path],
        link: types.ModuleType,
        home: pathlib.Path,
        write: Callable[[str], object] = sys.stdout.write,
        hooks: Mapping[str, Callable[[types.ModuleType], None]] = types.MappingProxyType({}),
    ) -> None:
        self._path = list(path)
        self._home = home
        self._write = write
        self._hooks = hooks
        self.modules: dict[str, types.ModuleType] = {"_link": link, "io": types.ModuleType("io")}
        self.modules.update(sys=self._sys(), os=self._os())
        self.modules["io"].__dict__.update(BytesIO=io.BytesIO, StringIO=io.StringIO)
        self._builtins = dict(vars(builtins))
        self._builtins.update(__import__=self._import, open=self._open, print=self._print)

    def load(self, name: str) -> types.ModuleType:
        """Import `name` (dotted) and return the module itself. Raises ImportError if there is none."""
        if name in self.modules:
            return self.modules[name]
        parent, _, tail = name.rpartition(".")
        if parent:
            self.load(parent)
            folders = [pathlib.Path(entry) for entry in self.modules[parent].__path__]
        else:
            folders = [*(self._home / entry for entry in self.modules["sys"].path), *self._path]
        for folder in folders:
            package, module = folder / tail / "__init__.py", folder / f"{tail}.py"
            if package.is_file() or module.is_file():
                return self._execute(name, package if package.is_file() else module, package.is_file())
        if name in _SHARED:
            self.modules[name] = __import__(name)
            return self.modules[name]
        raise ImportError(f"no module named '{name}'")

    def _execute(self, name: str, file: pathlib.Path, is_package: bool) -> types.ModuleType:
        module = types.ModuleType(name)
        parent, _, tail = name.rpartition(".")
        module.__dict__.update(__builtins__=self._builtins, __file__=str(file))
        module.__package__ = name if is_package else parent
        if is_package:
            module.__path__ = [str(file.parent)]
        self.modules[name] = module
        try:
            exec(_code(file.read_text(encoding="utf-8"), str(file)), module.__dict__)
        except BaseException:
            self.modules.pop(name, None)
            raise
        if parent:
            setattr(self.modules[parent], tail, module)
        if name in self._hooks:
            self._hooks[name](module)
        return module

    def _import(self, name, globals=None, locals=None, fromlist=(), level=0):
        if level and globals:
            base = globals["__package__"].split(".")
            base = base[: len(base) - level + 1]
            name = ".".join([*base, name] if name else base)
        module = self.load(name)
        if not fromlist:
            return module if level else self.modules[name.partition(".")[0]]
        for item in fromlist:
            if not hasattr(module, item) and hasattr(module, "__path__"):
                self.load(f"{name}.{item}")
        return module

    def _print(self, *values, sep=" ", end="\n", file=None):
        self._write(sep.join(map(str, values)) + end)

    def _open(self, name, mode="r", *arguments, **keywords):
        return open(self._home / str(name).lstrip("/"), mode, *arguments, **keywords)

    def _sys(self) -> types.ModuleType:
        module = types.ModuleType("sys")
        implementation = types.SimpleNamespace(name="cpython", version=(1, 29, 0, ""), _mpy=6)
        module.__dict__.update(
            modules=self.modules,
            implementation=implementation,
            platform="esp32",
            path=[],
            print_exception=self._print_exception,
        )
        return module

    def _print_exception(self, error, file=None):
        (file.write if file else self._write)(f"{type(error).__name__}: {error}\n")

    def _os(self) -> types.ModuleType:
        module, home = types.ModuleType("os"), self._home

        def at(name):
            return home / str(name).lstrip("/")

        module.__dict__.update(
            rename=lambda old, new: os.replace(at(old), at(new)),
            remove=lambda name: os.remove(at(name)),
            stat=lambda name: tuple(os.stat(at(name))),
            listdir=lambda name="/": os.listdir(at(name)),
            mkdir=lambda name: os.mkdir(at(name)),
            rmdir=lambda name: os.rmdir(at(name)),
            statvfs=lambda name: tuple(os.statvfs(at(name))),
            urandom=os.urandom,
        )
        return module


@functools.lru_cache(maxsize=512)
def _code(source: str, name: str) -> types.CodeType:
    """Compile `source`; a gate that starts again finds it done."""
    return compile(source, name, "exec")
