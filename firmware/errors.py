"""The exception tree of the firmware: every error that it raises on purpose, and nothing else.

Raised where a fault is detected and turned into a reason, a journal record or an alarm at one place (the
application). Absence ("no card", "not listed") is a value, never an exception.
"""


class PinterError(Exception):
    """Base of every error that the firmware raises on purpose."""


class BusError(PinterError):
    """The reader chip did not answer as its datasheet says."""


class CardError(PinterError):
    """A card in the field did not answer as ISO/IEC 14443 says; the reader chip itself is well."""


class CardTimeout(CardError):
    """No answer within the time that the standard or the card's own FWT allows."""


class CardGarbled(CardError):
    """An answer is damaged: its checksum or a parity bit is wrong."""


class CardProtocolError(CardError):
    """An answer arrived whole but is none that the protocol allows here."""


class CardCollision(CardError):
    """Several cards answered with different bits where one was expected."""


class ProofFailed(PinterError):
    """A card does not prove what it claims to be: it has not the keys, or what it says is not signed."""


class CounterBack(ProofFailed):
    """A signed card shows an older counter than before: it is a copy, or there is one."""


class ConfigError(PinterError):
    """The provisioned config is wrong: `field` names the place as a dotted path, `text` says what it is."""

    def __init__(self, field, text):
        super().__init__("%s: %s" % (field, text))
        self.field = field
        self.text = text


class BundleError(PinterError):
    """A list bundle is refused; the text names the field or section and what is wrong with it."""


class StoreError(PinterError):
    """The flash did not keep what was written, or a store on it cannot be used."""
