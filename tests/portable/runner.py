"""Runs functions of one portable test file: `runner.py MODULE FUNCTION...`, on MicroPython and on CPython.

Prints one marked line before and after each function, so that the reader on the other side can tell what a
function printed from what happened to it, and notices when the interpreter itself ended.
"""

import sys

MARK = "\x1e"  # the first character of the lines that are not output of a test


def print_exception(error):
    """Print the traceback of `error` on stdout, in the words of the runtime."""
    if hasattr(sys, "print_exception"):
        sys.print_exception(error, sys.stdout)
    else:
        import traceback

        traceback.print_exception(error, file=sys.stdout)


def main(module, names):
    """Import `module` and call its functions `names`; an exception of one does not stop the others."""
    module = __import__(module)
    for name in names:
        print(MARK + "begin " + name)
        try:
            getattr(module, name)()
            outcome = "passed "
        except Exception as error:  # noqa: BLE001  (whatever a test raises is its result)
            print_exception(error)
            outcome = "failed "
        print(MARK + outcome + name)


main(sys.argv[1], sys.argv[2:])
