"""The bootstrap in a copy of the project with tiny packages from a folder: what it makes, refuses and leaves.

Nothing here needs a network: pip is pointed to a folder of wheels by its ordinary environment variables.
"""

import ast
import base64
import hashlib
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tools import bootstrap
from tools.mpy import ROOT

SOURCE = ROOT / "tools" / "bootstrap.py"

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "pinter"
version = "1"
[project.scripts]
pinter = "tools.cli.main:main"
[tool.setuptools]
package-dir = { "" = "." }
packages = ["tools", "tools.cli"]
"""
ECHO = "import os, sys\ndef main():\n    print('%s', sys.argv[1:], os.environ.get('PINTER_FULL'))\n"


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    """Write a wheel of pure Python into `folder`."""
    info = "%s-%s.dist-info" % (name, version)
    files = files | {
        info + "/METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version),
        info + "/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / ("%s-%s-py3-none-any.whl" % (name, version)), "w") as archive:
        record = ""
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += "%s,sha256=%s,%d\n" % (path, digest, len(text.encode()))
        archive.writestr(info + "/RECORD", record + info + "/RECORD,,\n")


def source(folder: Path, name: str, version: str) -> None:
    """Write a source distribution of one module of pure Python into `folder`, as setuptools builds it."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n'
        'build-backend = "setuptools.build_meta"\n[project]\nname = "%s"\nversion = "%s"\n' % (name, version),
        name + ".py": "",
        "PKG-INFO": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version),
    }
    with tarfile.open(folder / ("%s-%s.tar.gz" % (name, version)), "w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo("%s-%s/%s" % (name, version, path))
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


def wheel_of_installed(folder: Path, name: str) -> str:
    """Write a wheel of what is installed here as `name` into `folder`; return its version."""
    found = metadata.distribution(name)
    target = folder / ("%s-%s-py3-none-any.whl" % (name, found.version))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in found.files or []:
            if "__pycache__" not in file.parts and file.parts[0] != "..":
                archive.write(str(file.locate()), str(file))
    return found.version


class Copy:
    """A small project with the real bootstrap, and an environment that installs from `wheels` only."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.wheels = folder / "wheels"
        self.temporary = folder / "tmp"
        self.home = folder / "home"
        for path in (self.root / "tools" / "cli", self.wheels, self.temporary, self.home):
            path.mkdir(parents=True)
        shutil.copy(SOURCE, self.root / "tools")
        (self.root / "tools" / "__init__.py").touch()
        (self.root / "tools" / "cli" / "__init__.py").touch()
        (self.root / "tools" / "cli" / "main.py").write_text(ECHO % "pinter")
        (self.root / "pyproject.toml").write_text(PYPROJECT)
        (self.root / "requirements.txt").write_text("click==1\nsetuptools==1  # not fetched in most tests\n")
        (self.root / "requirements-dev.txt").write_text("pytest==2\nabsent==1 ; sys_platform == 'mars'\n")
        (self.root / "requirements-apart.txt").write_text(
            "# apart\njudges/one: driver-one==3\nstubs: hints==4\n"
        )
        wheel(self.wheels, "click", "1", {"click.py": "", "micropython_like.py": ""})
        wheel(self.wheels, "pytest", "2", {"pytest.py": ECHO % "pytest" + "main()\n"})
        wheel(self.wheels, "driver_one", "3", {"driver.py": ""})
        wheel(self.wheels, "hints", "4", {"machine.pyi": ""})
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def files(self) -> set[str]:
        return {path.relative_to(self.root).as_posix() for path in self.root.rglob("*")}

    def run(self, *arguments: str, program: str | None = None, **environment: str) -> tuple[int, str, str]:
        """Return (exit code, stdout, stderr) of the bootstrap; `program` is Python code to run instead."""
        command = [sys.executable, "-c", program] if program else [sys.executable]
        done = subprocess.run(
            [*command, str(self.root / "tools" / "bootstrap.py"), *arguments],
            cwd=self.root.parent,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def refused(self, *arguments: str, program: str | None = None, **environment: str) -> str:
        """Return the one line with which the bootstrap refuses; check that it left everything as it was."""
        before = self.files()
        code, out, err = self.run(*arguments, program=program, **environment)
        assert (code, out) == (2, ""), (code, out, err)
        assert err.startswith("bootstrap: ") and err.count("\n") == 1, err
        assert self.files() == before
        assert list(self.temporary.iterdir()) == []
        return err


@pytest.fixture
def copy(tmp_path) -> Copy:
    return Copy(tmp_path)


def script(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


# --- refusals ----------------------------------------------------------------------------------------------

# Runs the file named by the first argument as a Python of another version would see itself.
PRETEND = (
    "import runpy, sys; sys.version_info = (3, 9, 18, 'final', 0); sys.argv.pop(0); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


def test_an_old_python_is_refused_and_a_newer_one_named(copy, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    script(programs, "python3.14", "exit 127\n")  # as the stand-ins of version managers do
    script(programs, "python3.13", "echo True\n")
    script(programs, "python3.12", "echo True\n")
    line = copy.refused("test", program=PRETEND, PATH=str(programs))
    assert "Python 3.9 is too old, PINTER needs 3.11 or newer" in line
    assert "`make test PYTHON=python3.13`" in line


def test_an_old_python_is_refused_where_there_is_no_newer_one(copy, tmp_path):
    line = copy.refused("sim", program=PRETEND, PATH=str(tmp_path))
    assert "none was found on PATH" in line


def test_old_pythons_can_parse_the_file():
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 4))
    for node in ast.walk(tree):
        assert not isinstance(
            node,
            ast.JoinedStr | ast.AnnAssign | ast.NamedExpr | ast.Match | ast.Nonlocal | ast.AsyncFunctionDef,
        ), node
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None and not node.args.kwonlyargs and not node.args.posonlyargs, node.name
            assert not any(argument.annotation for argument in node.args.args), node.name
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            assert not any(isinstance(item, ast.Starred) for item in node.elts), node.lineno
        if isinstance(node, ast.Dict):
            assert None not in node.keys, node.lineno
        if isinstance(node, ast.Raise):
            assert node.cause is None, node.lineno


def test_what_only_new_pythons_have_is_imported_after_the_version_was_checked():
    old = {"os", "shlex", "shutil", "signal", "subprocess", "sys", "tempfile"}
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    assert {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names} <= old


def without_ensurepip(tmp_path: Path) -> dict[str, str]:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "ensurepip.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": str(modules), "PATH": str(tmp_path)}


def test_without_ensurepip_the_package_to_install_is_named(copy, tmp_path):
    line = copy.refused("test", **without_ensurepip(tmp_path))
    assert "apt-get install python3-venv" in line and "dnf install" in line


def test_without_ensurepip_virtualenv_is_used(tmp_path, monkeypatch):
    script(tmp_path, "virtualenv", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    expected = [str(tmp_path / "virtualenv"), "--quiet", "--python", sys.executable]
    assert bootstrap.environment_maker() == expected


def test_an_index_out_of_reach_is_refused(copy):
    dead = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_FIND_LINKS": ""}
    line = copy.refused("test", **dead)
    assert "cannot reach a package index" in line and "click" in line


def test_a_package_that_cannot_be_had_is_refused_by_name(copy):
    (copy.wheels / "driver_one-3-py3-none-any.whl").unlink()
    (copy.root / "requirements.txt").write_text("click==1\n")
    code, out, err = copy.run("test")
    assert (code, out) == (2, "")
    assert "driver-one==3" in err.splitlines()[-1]
    assert not (copy.root / ".venv").exists()


def test_a_failing_installation_leaves_nothing_behind(copy):
    (copy.root / "requirements.txt").write_text(
        "click==1\n"
    )  # no setuptools: the project itself cannot be built
    code, _, err = copy.run("sim")
    assert code == 2
    assert "cannot install" in err.splitlines()[-1]
    assert not (copy.root / ".venv").exists()
    assert list(copy.temporary.iterdir()) == []


@pytest.mark.parametrize("arguments", [("tset",), ("--help",)])
def test_a_wrong_target_is_refused_with_the_right_ones(copy, arguments):
    assert "sim|test|test-full|help|clean" in copy.refused(*arguments)


# --- success -----------------------------------------------------------------------------------------------


def test_from_nothing_to_a_running_target_and_back(copy):
    version = wheel_of_installed(copy.wheels, "setuptools")
    (copy.root / "requirements.txt").write_text("click==1  # comment\nsetuptools==%s\nesptool==2\n" % version)
    source(copy.wheels, "esptool", "2")  # of which there is no wheel
    environment = copy.root / ".venv"

    # a half-made environment is made again
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to("/nowhere")
    code, out, err = copy.run("sim", ARGS="--seed 1 'two words'")
    assert (code, out) == (0, "pinter ['sim', 'demo', '--seed', '1', 'two words'] None\n"), err
    assert "making it again" in err
    assert not (environment / "stubs").exists()
    assert list(environment.glob("lib/*/site-packages/esptool.py")), "built from its source"
    assert list(copy.temporary.iterdir()) == []

    # quick when nothing changed: with nothing to install from, it still runs and says nothing
    nothing = {"PIP_FIND_LINKS": "", "PATH": "/nowhere"}
    assert copy.run("sim", "--seed", "2", **nothing) == (
        0,
        "pinter ['sim', 'demo', '--seed', '2'] None\n",
        "",
    )

    # the tests add to it, each package that must be kept apart in a folder of its own
    code, out, err = copy.run("test", "-k", "x")
    assert code == 0, err
    workers = min(4, 2 * (os.cpu_count() or 1))
    assert out.startswith("pytest ['-n', '%d'" % workers) and out.endswith("'-k', 'x'] 0\n")
    assert (environment / "judges" / "one" / "driver.py").exists()
    assert (environment / "stubs" / "machine.pyi").exists()
    assert not list(environment.glob("lib/*/site-packages/driver.py"))
    assert copy.run("test-full", **nothing)[1].endswith("] 1\n")
    assert copy.run("sim", **nothing)[0] == 0

    # a changed pin that cannot be had leaves the environment that is there
    pins = (copy.root / "requirements.txt").read_text()
    (copy.root / "requirements.txt").write_text(pins + "absent==7\n")
    code, _, err = copy.run("test")
    assert (code, err.count("absent==7")) == (2, 1)
    (copy.root / "requirements.txt").write_text(pins)
    assert copy.run("test", **nothing)[0] == 0

    before = copy.files()
    (copy.root / "build").mkdir()
    assert copy.run("clean")[0] == 0
    assert not (copy.root / ".venv").exists() and not (copy.root / "build").exists()
    assert "tools/bootstrap.py" in copy.files() and copy.files() < before


# --- pins --------------------------------------------------------------------------------------------------

PIN = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+( ; .+)?")


def test_everything_is_pinned_exactly():
    lines = bootstrap.requirement_lines("requirements.txt") + bootstrap.requirement_lines(
        "requirements-dev.txt"
    )
    lines += [line for lines in bootstrap.apart().values() for line in lines]
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    names = [line.split("==")[0].lower() for line in lines]
    assert len(names) == len(set(names))


def test_the_pins_contain_all_that_they_need():
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_the_project_depends_on_is_pinned():
    pinned = {line.split("==")[0].lower() for line in bootstrap.requirement_lines("requirements.txt")}
    lines = [line for line in metadata.requires("pinter") or [] if "extra ==" not in line]
    needed = {re.split(r"[<>=; ]", line)[0].lower() for line in lines}
    assert needed and needed <= pinned


def test_no_package_index_is_named():
    for name in ("tools/bootstrap.py", "Makefile", ".ci/run", *bootstrap.LEVELS["test"]):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|index-url|--find-links", text), name


# --- make --------------------------------------------------------------------------------------------------


def test_the_makefile_has_the_targets_of_the_bootstrap_and_calls_nothing_else():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = re.findall(r"^([a-z][a-z-]*):.*\n\t(.*)$", text, re.MULTILINE)
    assert rules == [(name, "@$(PYTHON) tools/bootstrap.py %s" % name) for name, _ in rules]
    assert {name for name, _ in rules} == {name for name, _, _ in bootstrap.TARGETS}


@pytest.mark.requires_program("make")
def test_make_without_a_target_lists_the_targets():
    command = ["make", "--no-print-directory", "PYTHON=" + sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        name for name, _, _ in bootstrap.TARGETS
    ]
