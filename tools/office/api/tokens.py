"""Who may use the API: names, roles, and SHA-256 of tokens, in DIR/api-tokens, for the office's user only.

A token is 32 random bytes, shown once, and kept nowhere: a hash without salt is enough for it. The file is
read anew when it changes, so a token that is taken away ends at once.
"""

import hashlib
import hmac
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from tools.office import whole

FILE = "api-tokens"
ROLES = ("monitor", "desk", "supervisor")  # each may do what those before it may
NAME = re.compile(r"[A-Za-z0-9_.-]{1,20}", re.ASCII)
_LINE = re.compile(rf"({NAME.pattern}) ({'|'.join(ROLES)}) ([0-9a-f]{{64}})", re.ASCII)


class TokenError(Exception):
    """The file of tokens is unfit, or says no; the text is one line for the user."""


@dataclass(frozen=True)
class Token:
    """A token without itself: who uses it, what that one may do."""

    name: str
    role: str
    digest: bytes

    def may(self, role: str) -> bool:
        """Return whether this role is included."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Tokens:
    """The tokens of the office in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._read: tuple[tuple[int, ...], tuple[Token, ...]] | None = None
        self._lock = threading.Lock()

    def all(self) -> tuple[Token, ...]:
        """Return what is in the file, nothing if there is none. Raises TokenError."""
        with self._lock:
            try:
                stat = self.path.stat()
                stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size, stat.st_mode)
                if self._read is None or self._read[0] != stamp:
                    self._read = stamp, self._parse(stat.st_mode)
            except FileNotFoundError:
                self._read = None
                return ()
            except OSError as error:
                raise TokenError(f"{self.path}: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise TokenError(f"{self.path} is not UTF-8") from error
            return self._read[1]

    def _parse(self, mode: int) -> tuple[Token, ...]:
        if mode & 0o077:
            raise TokenError(f"{self.path} can be read by others: chmod 600 {self.path}")
        found: list[Token] = []
        for number, line in enumerate(self.path.read_text("utf-8").splitlines(), 1):
            match = _LINE.fullmatch(line)
            if match is None:
                raise TokenError(f"{self.path}:{number}: must be NAME ROLE SHA256")
            found.append(Token(match[1], match[2], bytes.fromhex(match[3])))
        return tuple(found)

    def of(self, text: str) -> Token | None:
        """Return whose token `text` is. All are compared, each in constant time. Raises TokenError."""
        digest = hashlib.sha256(text.encode()).digest()
        found = None
        for token in self.all():
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def add(self, name: str, role: str) -> str:
        """Make a token and return it: nobody can show it again. Raises TokenError for a known name."""
        known = self.all()
        if any(token.name == name for token in known):
            raise TokenError(f"there is a token {name}: pinter office token remove {name}")
        text = secrets.token_urlsafe(32)
        self._write((*known, Token(name, role, hashlib.sha256(text.encode()).digest())))
        return text

    def remove(self, name: str) -> None:
        """Take a token away. Raises TokenError if there is none of that name."""
        known = self.all()
        if all(token.name != name for token in known):
            raise TokenError(f"there is no token {name}")
        self._write(tuple(token for token in known if token.name != name))

    def _write(self, tokens: tuple[Token, ...]) -> None:
        text = "".join(f"{token.name} {token.role} {token.digest.hex()}\n" for token in tokens)
        try:
            whole.write(self.path, text.encode())
        except OSError as error:
            raise TokenError(f"{self.path}: {error.strerror}") from error
