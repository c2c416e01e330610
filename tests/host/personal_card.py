"""The simulated NTAG 424 DNA and DESFire as their issuer meets them: numbers with real signatures, APDUs.

Lives beside the tests.
"""

from dataclasses import astuple

from host_sim.cards.desfire import Desfire
from host_sim.cards.ntag424 import DF_NAME, Ntag424

SIGNED = {  # numbers with the signatures that NXP made for them
    "ntag424": (
        "0463474AA26A80",
        "27E9A50E6CA4BA9037C02F7D20A80D0284D0C1D83C67F5A5AC1D8A4EF86C9508417E4E9C6F85AA7920F0ABDED984CAF20467D66EA54BBF08",
    ),
    "desfire": (
        "04448BD2DB6B80",
        "5CBB5632795C8F15263FEFB095B51C7B541AFD914A1AE44EF6FB8AF605EDF13DBFEE6C3A2DB372245E671DFE0D42CB1F0D0B8FE67A89D2F6",
    ),
}
MODELS = {"ntag424": Ntag424, "desfire": Desfire}
_WRITE_DATA = 0x8D


class PersonalCard:
    """A card of `kind` as from the factory; `card(apdu)` is its response. `on_air`: the card for a field.

    `forgets`: it confirms what is written into files and does not keep it.
    """

    def __init__(self, kind="ntag424", uid=None, signature=None):
        number, sign = SIGNED[kind]
        self.uid = bytes.fromhex(number) if uid is None else uid
        signature = bytes.fromhex(sign) if signature is None else signature
        self.on_air = MODELS[kind](self.uid, signature=signature)
        self.chip = self.on_air.chip
        self.forgets = False

    def __call__(self, apdu):
        if not self.forgets or apdu[1] != _WRITE_DATA:
            return self.chip(apdu)
        kept = bytes(self.file.data)
        response = self.chip(apdu)
        self.file.data[:] = kept
        return response

    def power_off(self):
        """Forget the session."""
        self.chip.reset()

    @property
    def application(self):
        """Our application, None if there is none."""
        return next((one for one in self.chip.applications if one.df_name == DF_NAME), None)

    @property
    def keys(self):
        """Keys 0 to 4 with their versions."""
        assert self.application
        return [astuple(key) for key in self.application.keys]

    @property
    def file(self):
        """File 3."""
        assert self.application
        return self.application.files[3]

    def contents(self):
        """Return all that personalising could change."""
        return [
            (
                one.df_name,
                [astuple(key) for key in one.keys],
                {n: file.settings() + file.data for n, file in one.files.items()},
            )
            for one in self.chip.applications
        ]
