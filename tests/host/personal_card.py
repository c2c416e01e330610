"""NTAG 424 DNA and DESFire EV2/EV3 as their issuer meets them, over APDUs. Lives beside the tests.

Its own code for sessions, encryption and rights, from the data sheets, over `cryptography`; it shares nothing
with the firmware. "DS" = NXP NT4H2421Gx data sheet Rev. 3.0.
"""

import zlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from host_sim.cards.isodep import IsoDepCard

DF_NAME = bytes.fromhex("D2760000850101")
PLAIN, MAC, FULL = 0, 1, 3
OK, MORE = b"\x91\x00", b"\x91\xaf"
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


def cbc(key, iv, data, encrypt):
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    context = cipher.encryptor() if encrypt else cipher.decryptor()
    return context.update(data) + context.finalize()


def cmac(key, data):
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def truncated(mac):
    return mac[1::2]


class Status(Exception):
    """The command ends with this status."""

    def __init__(self, low):
        super().__init__(hex(low))
        self.low = low


class File:
    def __init__(self, size, mode, *rights):
        self.data = bytearray(size)
        self.mode = mode
        self.read, self.write, self.read_write, self.change = rights

    def settings(self):
        rights = bytes((self.read_write << 4 | self.change, self.read << 4 | self.write))
        packed = bytes((0, self.mode)) + rights
        return packed + len(self.data).to_bytes(3, "little")


def rights_of(raw):
    return raw[1] >> 4, raw[1] & 15, raw[0] >> 4, raw[0] & 15


class Application:
    def __init__(self, count=5):
        self.keys = dict.fromkeys(range(count), bytes(16))
        self.versions = dict.fromkeys(range(count), 0)
        self.files = {}


class OnAir(IsoDepCard):
    """The card in a field; without the field it forgets its session."""

    def __init__(self, card):
        super().__init__(card.uid, card)
        self.card = card

    def on_power_on(self):
        super().on_power_on()
        self.card.power_off()


class PersonalCard:
    """A card of `kind` "ntag424" or "desfire", as from the factory. `card(apdu)` is its response."""

    def __init__(self, kind="ntag424", uid=None, signature=None):
        number, sign = SIGNED[kind]
        self.kind = kind
        self.uid = bytes.fromhex(number) if uid is None else uid
        self.signature = bytes.fromhex(sign) if signature is None else signature
        self.applications = {}
        if kind == "ntag424":
            application = Application()
            application.files[3] = File(128, FULL, 2, 3, 3, 0)
            self.applications[DF_NAME] = application
        self.wrong_keys = 0
        self.power_off()
        self.on_air = OnAir(self)

    @property
    def application(self):
        """Our application, None if there is none."""
        return self.applications.get(DF_NAME)

    @property
    def open(self):
        return self.applications.get(self.selected)

    @property
    def keys(self):
        """Keys 0 to 4 with their versions."""
        return [(self.application.keys[n], self.application.versions[n]) for n in range(5)]

    @property
    def file(self):
        """File 3."""
        return self.application.files[3]

    def contents(self):
        """Return all that personalising could change."""
        return [
            (name, dict(a.keys), dict(a.versions), {n: f.settings() + f.data for n, f in a.files.items()})
            for name, a in self.applications.items()
        ]

    def power_off(self):
        self.selected = None
        self.logged_out()
        self.pending = None

    def logged_out(self):
        self.key_no = None

    def __call__(self, apdu):
        if apdu[:4] == b"\x00\xa4\x04\x0c":
            name = apdu[5 : 5 + apdu[4]]
            self.power_off()
            if name not in self.applications:
                return b"\x6a\x82"
            self.selected = name
            return b"\x90\x00"
        assert apdu[0] == 0x90 and apdu[2:4] == b"\0\0" and apdu[-1] == 0
        data = apdu[5:-1]
        assert len(apdu) == 5 or len(data) == apdu[4]
        pending, self.pending = self.pending, None
        try:
            if apdu[1] == 0xAF:
                if pending is None:
                    raise Status(0xCA)
                return pending(data)
            return self.command(apdu[1], data)
        except Status as status:
            self.logged_out()
            return bytes((0x91, status.low))

    def command(self, code, data):
        if code in (0x71, 0x77):
            return self.authenticate(code, data)
        commands = {
            0x60: (0, self.get_version),
            0x51: (0, self.get_card_uid),
            0x64: (1, self.get_key_version),
            0xF5: (1, self.get_file_settings),
            0x5F: (1, self.change_file_settings),
            0xC4: (1, self.change_key),
            0xAD: (7, self.read),
            0x8D: (7, self.write),
            0x3C: (1, self.read_signature),
        }
        if self.kind == "desfire":
            commands |= {
                0x5A: (3, self.select_application),
                0xCA: (12, self.create_application),
                0xCD: (7, self.create_file),
            }
        if code not in commands:
            raise Status(0x1C)
        size, function = commands[code]
        return function(code, data[:size], data[size:])

    # Authentication

    def authenticate(self, code, data):
        if self.open is None or data[0] >= len(self.open.keys):
            raise Status(0x40)
        if code == 0x77 and self.key_no is None:
            raise Status(0xAE)
        key = self.open.keys[data[0]]
        rnd_b = bytes(range(16))
        if code == 0x71:
            self.logged_out()

        def part_2(answer):
            plain = cbc(key, bytes(16), answer, False)
            rnd_a = plain[:16]
            if plain[16:] != rnd_b[1:] + rnd_b[:1]:
                self.wrong_keys += 1
                raise Status(0xAE)
            mixed = bytes(a ^ b for a, b in zip(rnd_a[2:8], rnd_b[:6], strict=True))
            vector = b"\x00\x01\x00\x80" + rnd_a[:2] + mixed + rnd_b[6:] + rnd_a[8:]
            self.enc_key = cmac(key, b"\xa5\x5a" + vector)
            self.mac_key = cmac(key, b"\x5a\xa5" + vector)
            self.key_no = data[0]
            turned = rnd_a[1:] + rnd_a[:1]
            if code == 0x77:
                return cbc(key, bytes(16), turned, True) + OK
            self.ti, self.counter = b"\x01\x02\x03\x04", 0
            return cbc(key, bytes(16), self.ti + turned + bytes(12), True) + OK

        self.pending = part_2
        return cbc(key, bytes(16), rnd_b, True) + MORE

    # Secure messaging

    def mac(self, first, data):
        return truncated(
            cmac(self.mac_key, bytes((first,)) + self.counter.to_bytes(2, "little") + self.ti + data)
        )

    def checked(self, code, header, body):
        """Return the body without its MAC."""
        if len(body) < 8 or self.mac(code, header + body[:-8]) != body[-8:]:
            raise Status(0x1E)
        return body[:-8]

    def iv(self, label):
        block = label + self.ti + self.counter.to_bytes(2, "little") + bytes(8)
        return cbc(self.enc_key, bytes(16), block, True)

    def decrypted(self, body):
        plain = cbc(self.enc_key, self.iv(b"\xa5\x5a"), body, False).rstrip(b"\0")
        if plain[-1:] != b"\x80":
            raise Status(0x1E)
        return plain[:-1]

    def answer(self, data=b"", mode=MAC):
        """Seal the answer to a command of a session."""
        if self.key_no is None:
            return data + OK
        self.counter += 1
        if mode == PLAIN:
            return data + OK
        if mode == FULL and data:
            padded = data + b"\x80" + bytes(-(len(data) + 1) % 16)
            data = cbc(self.enc_key, self.iv(b"\x5a\xa5"), padded, True)
        return data + self.mac(0, data) + OK

    def need(self, *numbers):
        if self.key_no is None or self.key_no not in numbers:
            raise Status(0xAE if self.key_no is None else 0x9D)

    def file_of(self, number):
        if self.open is None or number not in self.open.files:
            raise Status(0xF0)
        return self.open.files[number]

    # Commands

    def get_version(self, code, header, body):
        hardware = {"ntag424": "04040230001105", "desfire": "04010133001a05"}[self.kind]
        parts = [
            bytes.fromhex(hardware),
            bytes.fromhex("0404023000110 5".replace(" ", "")),
            (self.uid if len(self.uid) == 7 else bytes(7)) + bytes(7),
        ]
        if self.key_no is not None:
            raise Status(0x1E)

        def go_on(data):
            part = parts.pop(0)
            if parts:
                self.pending = go_on
            return part + (MORE if parts else OK)

        return go_on(b"")

    def read_signature(self, code, header, body):
        return self.signature + (b"\x91\x90" if self.kind == "ntag424" else OK)

    def get_card_uid(self, code, header, body):
        self.need(*range(5))
        self.checked(code, header, body)
        return self.answer(self.uid, FULL)

    def get_key_version(self, code, header, body):
        if self.open is None or header[0] >= len(self.open.keys):
            raise Status(0x40)
        if self.key_no is not None:
            self.checked(code, header, body)
        return self.answer(bytes((self.open.versions[header[0]],)))

    def get_file_settings(self, code, header, body):
        self.file_of(header[0])
        if self.key_no is not None:
            self.checked(code, header, body)
        return self.answer(self.file_of(header[0]).settings())

    def change_file_settings(self, code, header, body):
        file = self.file_of(header[0])
        self.need(file.change)
        plain = self.decrypted(self.checked(code, header, body))
        file.mode = plain[0]
        file.read, file.write, file.read_write, file.change = rights_of(plain[1:3])
        return self.answer()

    def change_key(self, code, header, body):
        self.need(0)
        number = header[0]
        plain = self.decrypted(self.checked(code, header, body))
        if number == 0:
            self.open.keys[0], self.open.versions[0] = plain[:16], plain[16]
            self.logged_out()
            return OK
        old = self.open.keys[number]
        new = bytes(a ^ b for a, b in zip(plain[:16], old, strict=True))
        if (zlib.crc32(new) ^ 0xFFFFFFFF).to_bytes(4, "little") != plain[17:21]:
            raise Status(0x1E)
        self.open.keys[number], self.open.versions[number] = new, plain[16]
        return self.answer()

    def place(self, header, file):
        offset, size = int.from_bytes(header[1:4], "little"), int.from_bytes(header[4:7], "little")
        if offset + size > len(file.data):
            raise Status(0xBE)
        return slice(offset, offset + size)

    def read(self, code, header, body):
        file = self.file_of(header[0])
        self.need(file.read, file.read_write)
        self.checked(code, header, body)
        return self.answer(bytes(file.data[self.place(header, file)]), file.mode)

    def write(self, code, header, body):
        file = self.file_of(header[0])
        self.need(file.write, file.read_write)
        body = self.checked(code, header, body)
        file.data[self.place(header, file)] = body if file.mode == MAC else self.decrypted(body)
        return self.answer()

    def select_application(self, code, header, body):
        assert header == bytes(3)
        self.power_off()
        return OK

    def create_application(self, code, header, body):
        if self.selected is not None or header[:3] != b"PNT" or header[4] & 0xF0 != 0x80:
            raise Status(0x9D)
        name = header[7:] + body
        if name in self.applications:
            raise Status(0xDE)
        self.applications[name] = Application(header[4] & 15)
        return OK

    def create_file(self, code, header, body):
        self.need(0)
        self.checked(code, header, body)
        if header[0] in self.open.files:
            raise Status(0xDE)
        size = int.from_bytes(header[4:7], "little")
        self.open.files[header[0]] = File(size, header[1], *rights_of(header[2:4]))
        return self.answer()
