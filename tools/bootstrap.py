"""From a fresh clone to a running target: makes `.venv` with the pinned packages, then starts the target.

`make TARGET` calls this file and nothing else; `python3 tools/bootstrap.py TARGET [ARGUMENT...]` does the
same without make. It uses the standard library only, and it is written so that Pythons far too old for the
project still parse it and get a clear answer. It downloads everything before it touches `.venv`, and it needs
no compiler. It never names a package index: pip's own configuration decides. Exit code 2 and one line on
stderr say what is missing.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

MINIMUM = (3, 11)
NEWEST_TRIED = 15
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
PROBE = "click"  # small, and needed by every target
SOURCES = ("esptool",)  # published as source only: pure Python, built by the setuptools of the pins

# target, level of the environment that it needs, what it does
TARGETS = (
    (
        "sim",
        "sim",
        "run the demonstration: a gate, its cards and its visitors, simulated (ARGS=... passes on)",
    ),
    ("test", "test", "run every test and check with reduced counts of random cases (ARGS=... passes on)"),
    ("test-full", "test", "run every test and check with full counts"),
    ("help", None, "list the targets"),
    ("clean", None, "remove what the other targets made: .venv, build, caches"),
)
LEVELS = {
    "sim": ("requirements.txt",),
    "test": ("requirements.txt", "requirements-dev.txt", "requirements-apart.txt"),
}


class Refusal(Exception):
    """Something is missing that only the user can supply; the text is the one line to show."""


def say(text):
    """Write a line of progress to stderr, so that a target's stdout stays its own."""
    sys.stderr.write("bootstrap: %s\n" % text)
    sys.stderr.flush()


def run(command):
    """Run `command` and return (exit code, stdout and stderr as text)."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.communicate()[0]
    return process.returncode, output.decode("utf-8", "replace")


def which(name):
    """Return the path of program `name` on PATH, or None (shutil.which is missing in the oldest Pythons)."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder, name)
        if folder and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


# --- what must be there before anything is written ---------------------------------------------------------


def newer_python():
    """Return the name of a Python on PATH that is new enough and really starts, or None."""
    for minor in range(NEWEST_TRIED, MINIMUM[1] - 1, -1):
        name = "python3.%d" % minor
        if which(name):
            try:
                code, text = run([name, "-c", "import sys; print(sys.version_info[:2] >= (3, %d))" % minor])
            except OSError:
                continue
            if code == 0 and text.strip() == "True":
                return name
    return None


def check_python(target):
    """Raise Refusal on a Python that is too old, naming a newer one where there is one."""
    if sys.version_info[:2] >= MINIMUM:
        return
    text = "Python %d.%d is too old, PINTER needs %d.%d or newer: " % (sys.version_info[:2] + MINIMUM)
    name = newer_python()
    if name:
        text += "run `make %s PYTHON=%s`" % (target, name)
    else:
        text += "none was found on PATH as python3.%d to python3.%d" % (MINIMUM[1], NEWEST_TRIED)
    raise Refusal(text)


def environment_maker():
    """Return the command that makes a virtual environment with pip in the folder appended to it."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401

        return [sys.executable, "-m", "venv"]
    except ImportError:
        pass
    import importlib.util

    if importlib.util.find_spec("virtualenv"):
        return [sys.executable, "-m", "virtualenv", "--quiet"]
    program = which("virtualenv")
    if program:
        return [program, "--quiet", "--python", sys.executable]
    raise Refusal(
        "%s cannot make virtual environments: install the package python3-venv (Debian, Ubuntu: "
        "`apt-get install python3-venv`) or python3-virtualenv (Fedora: `dnf install python3-virtualenv`)"
        % sys.executable
    )


# --- the pinned packages -----------------------------------------------------------------------------------


def requirement_lines(name):
    """Return the lines of requirements file `name` without comments and blank lines."""
    with open(os.path.join(ROOT, name)) as file:
        lines = [line.split(" #")[0].strip() for line in file]
    return [line for line in lines if line and not line.startswith("#")]


def apart():
    """Return {folder below .venv: [pinned requirement, ...]} of the packages that are kept apart."""
    folders = {}
    for line in requirement_lines("requirements-apart.txt"):
        folder, requirement = line.split(":", 1)
        folders.setdefault(folder, []).append(requirement.strip())
    return folders


def wheels_of(requirements, folder):
    """Return the downloaded wheels of `requirements`; one whose marker excludes this machine has none."""
    files = sorted(os.listdir(folder))
    found = []
    for requirement in requirements:
        name = requirement.split("==")[0].strip().lower().replace("-", "_").replace(".", "_")
        found += [os.path.join(folder, file) for file in files if file.lower().startswith(name + "-")]
    return found


def pip(python, *arguments):
    """Run pip of the interpreter `python`; return (exit code, its last error line or "")."""
    command = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    code, text = run(command + list(arguments))
    errors = [line[len("ERROR: ") :].strip() for line in text.splitlines() if line.startswith("ERROR: ")]
    return code, errors[-1] if errors else text.strip().split("\n")[-1]


def download(level, python, folder):
    """Fetch the wheels of `level` into `folder`; raise Refusal when the package index does not give them."""
    wheels_only = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder]
    for name in SOURCES:
        wheels_only += ["--no-binary", name]
    probe = next(line for line in requirement_lines("requirements.txt") if line.startswith(PROBE + "=="))
    code, error = pip(python, *(wheels_only + ["--retries", "1", "--timeout", "20", probe]))
    if code:
        raise Refusal(
            "pip cannot reach a package index (%s): check the network and `%s -m pip config list`"
            % (error, sys.executable)
        )
    say("fetching the pinned packages (once; a minute or two)")
    arguments = []
    for name in LEVELS[level]:
        if name == "requirements-apart.txt":
            for requirements in apart().values():
                arguments += requirements
        else:
            arguments += ["--requirement", os.path.join(ROOT, name)]
    code, error = pip(python, *(wheels_only + arguments))
    if code:
        raise Refusal("pip cannot fetch the pinned packages: %s" % error)


# --- .venv -------------------------------------------------------------------------------------------------


def digest(level):
    """Return what an environment of `level` depends on, as a hash: pins, metadata, interpreter, place."""
    import hashlib
    import json
    import tomllib

    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)
    parts = [sys.version_info[:2], sys.implementation.name, ROOT, LEVELS[level]]
    parts += [project["build-system"], project["project"], project["tool"]["setuptools"]]
    parts += [requirement_lines(name) for name in LEVELS[level]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def stamp(level):
    """Return the path of the file that is written last when an environment of `level` is complete."""
    return os.path.join(VENV, "pinter-%s.stamp" % level)


def is_ready(level):
    """Return True if `.venv` is complete for `level` and nothing that it depends on has changed."""
    try:
        with open(stamp(level)) as file:
            return file.read() == digest(level) and os.path.exists(PYTHON)
    except OSError:
        return False


def write_stamp(level):
    with open(stamp(level), "w") as file:
        file.write(digest(level))


def install(python, *arguments):
    """Install into `.venv` from files alone, whatever pip's configuration says."""
    quiet = ("install", "--quiet", "--no-index", "--no-deps", "--no-warn-script-location")
    code, error = pip(python, *(("--isolated", "--python", PYTHON) + quiet + arguments))
    if code:
        raise Refusal("pip cannot install the pinned packages: %s" % error)


def make_base(maker, python, wheels):
    """Make `.venv` anew with the packages of level `sim` and the project itself, editable."""
    if os.path.lexists(VENV):
        say(".venv is incomplete or out of date: making it again")
        remove(VENV)
    options = ["--without-pip"] if maker[1:] == ["-m", "venv"] else []  # pip comes from the pins
    code, text = run(maker + options + [VENV])
    if code:
        raise Refusal("cannot make .venv: %s" % text.strip().split("\n")[-1])
    files = wheels_of(requirement_lines("requirements.txt"), wheels)
    install(python, *[file for file in files if file.endswith(".whl")])
    sources = [file for file in files if not file.endswith(".whl")]
    install(python, *(["--no-build-isolation"] + sources + ["--editable", ROOT]))
    write_stamp("sim")


def add_tests(python, wheels):
    """Add to a `.venv` of level `sim` what the tests need."""
    if os.path.exists(stamp("test")):
        os.remove(stamp("test"))
    install(python, *wheels_of(requirement_lines("requirements-dev.txt"), wheels))
    for folder, requirements in apart().items():
        target = os.path.join(VENV, *folder.split("/"))
        remove(target)
        install(python, "--target", target, *wheels_of(requirements, wheels))
    write_stamp("test")


def ensure(level):
    """Make or complete `.venv` for `level`; on failure nothing half-made stays behind. Quick when ready."""
    if is_ready(level):
        return
    with open(os.path.abspath(__file__)) as lock:
        wait_for(lock)
        if is_ready(level):  # another process made it meanwhile
            return
        maker = environment_maker()
        temporary = tempfile.mkdtemp(prefix="pinter-bootstrap-")
        touched = False
        try:
            code, text = run(maker + [os.path.join(temporary, "pip")])
            if code:
                raise Refusal("cannot make a virtual environment: %s" % text.strip().split("\n")[-1])
            python = os.path.join(temporary, "pip", "bin", "python")
            wheels = os.path.join(temporary, "wheels")
            download(level, python, wheels)
            say("installing them into .venv")
            touched = not is_ready("sim")
            if touched:
                make_base(maker, python, wheels)
                touched = False
            if level == "test":
                add_tests(python, wheels)
        except BaseException:
            if touched:
                remove(VENV)
            raise
        finally:
            remove(temporary)


def wait_for(lock):
    """Hold `lock`, a file that is open for reading, until it is closed: one bootstrap at a time."""
    try:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
    except (ImportError, OSError):  # no such locks on this file system: two at once stay possible
        pass


def remove(path):
    """Remove the file, link or folder `path` if it is there."""
    if os.path.islink(path) or os.path.isfile(path):
        os.remove(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


# --- the targets -------------------------------------------------------------------------------------------


def show_help():
    """Print the targets, one line each."""
    for name, _, text in TARGETS:
        sys.stdout.write("make %-10s %s\n" % (name, text))


def clean():
    """Remove everything that git ignores and a target made."""
    for name in (
        ".venv",
        "build",
        ".pytest_cache",
        ".ruff_cache",
        ".hypothesis",
        ".coverage",
        "pinter.egg-info",
    ):
        remove(os.path.join(ROOT, name))
    for folder, folders, _ in os.walk(ROOT):
        if ".git" in folders:
            folders.remove(".git")
        if "__pycache__" in folders:
            folders.remove("__pycache__")
            remove(os.path.join(folder, "__pycache__"))


def start(target, arguments):
    """Replace this process by the program of `target`, with `arguments` and those in ARGS."""
    arguments = arguments + shlex.split(os.environ.get("ARGS", ""))
    if target == "sim":
        command = [os.path.join(VENV, "bin", "pinter"), "sim", "demo"]
    else:
        os.chdir(ROOT)
        os.environ["PINTER_FULL"] = "1" if target == "test-full" else "0"
        # Two for each core of a small machine: many tests wait for a board, a broker or a browser.
        workers = min(4, 2 * (os.cpu_count() or 1))
        command = [PYTHON, "-m", "pytest", "-n", "%d" % workers, "--dist", "loadfile"]
    os.execv(command[0], command + arguments)


def stop(number, frame):
    """Turn a polite kill into an exit that cleans up."""
    sys.exit(128 + number)


def main(arguments):
    """Run the target named by `arguments`; return the exit code."""
    target = arguments[0] if arguments else "help"
    levels = dict((name, level) for name, level, _ in TARGETS)  # noqa: C402
    try:
        if target not in levels:
            raise Refusal("usage: bootstrap.py %s [ARGUMENT...]" % "|".join(name for name, _, _ in TARGETS))
        if target == "help":
            show_help()
        elif target == "clean":
            clean()
        else:
            check_python(target)
            signal.signal(signal.SIGTERM, stop)
            ensure(levels[target])
            start(target, arguments[1:])
    except Refusal as error:
        say(error)
        return 2
    except EnvironmentError as error:  # IOError is not OSError in the oldest Pythons
        say("%s: %s" % (error.filename or "error", error.strerror or error))
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
