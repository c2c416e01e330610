"""The REPL of the virtual board: raw, raw paste and friendly, byte for byte as tools expect it of a board.

Reads the terminal from standard input. Owns how code is run and its errors are shown; a soft reset ends it.
"""

import sys

import _console
import _packets
import _world

import __main__

_WINDOW = 128
_A, _B, _C, _D, _E = 1, 2, 3, 4, 5
_OPENING, _CLOSING = "([{", ")]}"

_in = sys.stdin.buffer
_out = _console.raw.write
_names = __main__.__dict__
_byte = bytearray(1)


def run(source, name, mode, ready=b""):
    """Run `source` as the board's user; Ctrl-C interrupts it. SystemExit is a soft reset. Return success.

    `ready`: for a client in raw REPL, sent when Ctrl-C counts; then the end of what it prints is marked.
    """
    error = None
    try:
        try:
            _console.interrupts(True)
            if ready:
                _out(ready)
            exec(compile(source if isinstance(source, str) else bytes(source), name, mode), _names)
        except BaseException as caught:  # noqa: BLE001 - shown to the user, whatever it is
            error = caught
        _console.interrupts(False)
    except KeyboardInterrupt as caught:
        error = caught
        _console.interrupts(False)
    if ready:
        _out(b"\x04")
    if isinstance(error, SystemExit):
        if ready:
            _out(b"\x04")
        soft_reset(bool(ready))
    if error is not None:
        _console.report(error)
    return error is None


def run_file(name):
    """Run a file of the board if it is there; return False if it ended with an error."""
    try:
        with open(name) as file:
            source = file.read()
    except OSError:
        return True
    return run(source, name, "exec")


def soft_reset(raw):
    """Start the interpreter again; never returns."""
    _world.post(_packets.SOFT_RESET, bytes((raw,)))
    while True:
        _get()


def _get():
    if not _in.readinto(_byte):
        raise SystemExit  # the terminal has gone
    return _byte[0]


def _execute_raw(source, ready):
    run(source, "<stdin>", "exec", ready)
    _out(b"\x04>")


def _paste():
    """Receive a program with flow control; return it, or None if the client gave up."""
    _out(b"R\x01" + bytes((_WINDOW & 255, _WINDOW >> 8)) + b"\x01")
    source, room = bytearray(), _WINDOW
    while True:
        c = _get()
        if c == _D:
            return source
        if c == _C:
            return None
        source.append(c)
        room -= 1
        if not room:
            room = _WINDOW
            _out(b"\x01")


def raw():
    """Serve a program at the other end; return when it wants the friendly REPL."""
    _out(b"raw REPL; CTRL-B to exit\r\n>")
    line = bytearray()
    while True:
        c = _get()
        if c == _A and len(line) == 2 and line[0] == _E:
            if line[1] != 65:
                _out(b"R\x00>")
            else:
                source = _paste()
                if source is None:
                    _out(b"\x04\x04\x04>")
                else:
                    _execute_raw(source, b"\x04")
        elif c == _A:
            _out(b"raw REPL; CTRL-B to exit\r\n>")
        elif c == _B:
            _out(b"\r\n")
            return
        elif c == _D:
            if not line:
                _out(b"OK\r\n")
                soft_reset(True)
            _execute_raw(line, b"OK")
        elif c != _C:
            line.append(c)
            continue
        line = bytearray()


def friendly():
    """Serve a person; return when the other end wants raw REPL."""
    _console.out.write(_console.banner())
    history = []
    while True:
        text = _line(">>> ", history)
        if text == "\x01":
            return
        if text == "\x02":
            _console.out.write("\n" + _console.banner())
        elif text == "\x03":
            _out(b"\r\n")
        elif text == "\x04":
            _out(b"\r\n")
            soft_reset(False)
        elif text == "\x05":
            _paste_by_hand()
        elif text.strip():
            while _is_unfinished(text):
                more = _line("... ", history)
                if more in ("\x03", "\x04"):
                    _out(b"\r\n")
                    text = ""
                    break
                text += "\n" + more
            if text:
                run(text, "<stdin>", "single")


def _line(prompt, history):
    """Read a line with echo; return it, or the control character that came instead of one."""
    _out(prompt.encode())
    line = bytearray()
    back = len(history)
    while True:
        c = _get()
        if c == 13 or c == 10:
            _out(b"\r\n")
            text = line.decode()
            if text.strip() and text not in history[-1:]:
                history.append(text)
                del history[:-20]
            return text
        if c == _C or (c in (_A, _B, _D, _E) and not line):
            return chr(c)
        if c in (8, 127):
            if line:
                line = line[:-1]
                _out(b"\b \b")
        elif c == 27:
            step = {"[A": -1, "[B": 1}.get(chr(_get()) + chr(_get()), 0)
            if step and 0 <= back + step <= len(history):
                back += step
                _out(b"\b \b" * len(line))
                line = bytearray((history[back] if back < len(history) else "").encode())
                _out(line)
        elif c >= 32 or c == 9:
            line.append(c)
            _out(bytes((c,)))


def _is_unfinished(text):
    """Tell whether a person would go on: an open bracket, a block without its empty line, a backslash."""
    depth, quote, at = 0, "", 0
    while at < len(text):
        c = text[at]
        if quote:
            if c == "\\":
                at += 1
            elif text[at : at + len(quote)] == quote:
                at += len(quote) - 1
                quote = ""
        elif c in "\"'":
            quote = c * 3 if text[at : at + 3] == c * 3 else c
            at += len(quote) - 1
        elif c == "#":
            while at < len(text) and text[at] != "\n":
                at += 1
        elif c in _OPENING:
            depth += 1
        elif c in _CLOSING:
            depth -= 1
        at += 1
    if depth > 0 or len(quote) == 3 or text.endswith("\\"):
        return True
    first = text.split("\n")[0]
    is_block = first.rstrip().endswith(":") or first.startswith("@")
    return is_block and not text.endswith("\n")


def _paste_by_hand():
    _out(b"\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")
    source = bytearray()
    while True:
        c = _get()
        if c in (_C, _D):
            _out(b"\r\n")
            if c == _D:
                run(source, "<stdin>", "exec")
            return
        source.append(10 if c == 13 else c)
        _out(b"\r\n=== " if c == 13 else bytes((c,)))


def serve(is_raw):
    """Serve the terminal for ever, in raw REPL first if `is_raw`."""
    _console.interrupts(False)
    while True:
        try:
            if is_raw:
                raw()
            is_raw = True
            friendly()
        except KeyboardInterrupt:  # came just when a program had ended
            _out(b"\r\n")
