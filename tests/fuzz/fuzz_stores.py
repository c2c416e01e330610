"""Fuzzes bundle parsing and recovery from flash with atheris, guided by coverage. Optional, on a host.

    pip install atheris
    python -m tests.fuzz.fuzz_stores "spoiled list" -max_total_time=600 CORPUS_FOLDER

The first argument is a target of tests/fuzz/targets.py (without one: all of them in turn, by the first byte);
the others are libFuzzer's. A crash leaves its input in a file; `python -m tests.fuzz.fuzz_stores TARGET FILE`
repeats it. `make test` runs the same targets with hypothesis.
"""

import sys

import host_sim  # noqa: F401  # pyright: ignore[reportUnusedImport]  (puts `micropython` in reach)


def main() -> None:
    """Run one target, or all, until libFuzzer ends."""
    try:
        import atheris  # pyright: ignore[reportMissingImports]
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris (Linux and macOS, CPython up to 3.13)")
    instrument = atheris.instrument_imports  # pyright: ignore[reportAttributeAccessIssue]
    with instrument(include=["firmware", "tools.office"]):  # pyright: ignore[reportAttributeAccessIssue]
        from tests.fuzz.targets import TARGETS
    arguments = sys.argv[:]
    name = arguments.pop(1) if len(arguments) > 1 and arguments[1] in TARGETS else None
    targets = list(TARGETS.values())

    def one_input(data: bytes) -> None:
        if name is not None:
            TARGETS[name](data)
        elif data:
            targets[data[0] % len(targets)](data[1:])

    atheris.Setup(arguments, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
