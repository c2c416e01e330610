"""docs/formats.md: the examples give the bytes that it shows, and its tables match the code."""

import io
import json
import re
import struct
import types
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware import bundles, crash, ed25519, keywrap, records, rtcmem
from firmware.allowlist import Allowlist
from firmware.cards import aes, desfire
from firmware.cmac import cmac
from firmware.crypto import card_key, hmac_sha256
from firmware.journal import Journal
from host_sim.chips.nor_flash import SECTOR, NorFlash, Partition
from host_sim.importer import ROOT, SHIMS, Importer
from tools.board import release
from tools.office import bundle, cardkeys, pool

TEXT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
EXAMPLES = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", TEXT, re.M | re.S)]
KEYS = {
    name: bytes.fromhex(value)
    for example in EXAMPLES
    if example["example"] == "keys"
    for name, value in example.items()
    if name != "example"
}


def examples(kind):
    found = [example for example in EXAMPLES if example["example"] == kind]
    assert found, f"docs/formats.md has no example of a {kind}"
    return found


def raw(text):
    return bytes.fromhex(" ".join(text) if isinstance(text, list) else text)


def fields(example: dict[str, Any], names: str) -> list[Any]:
    """Return the values of the fields `names`, those called key as bytes."""
    return [raw(example[name]) if name == "key" else example[name] for name in names.split()]


def test_every_kind_of_example_is_checked_here():
    kinds = {example["example"] for example in EXAMPLES}
    stores = {"keys", "card_key", "credential", "bundle", "delta", "merged", "sector_header", "record"}
    cards = {"card_secret", "card_key_entry", "aes_card", "signed_record", "pool"}
    assert kinds == stores | cards | {"rtc_memory", "slot", "update"}


def test_update():
    for example in examples("update"):
        modules = {name: raw(text) for name, text in example["modules"].items()}
        data = release.assemble(
            Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
            example["number"],
            example["text"],
            modules,
        )
        assert data == raw(example["bytes"])
        found = release.parse(data)
        assert found.modules == modules
        assert (found.header.version, found.header.text) == (example["number"], example["text"])
        slices = ed25519.verify(raw(example["release_key"]), found.signed, found.signature)
        with pytest.raises(StopIteration) as end:
            while True:
                next(slices)
        assert end.value.value is True


def test_rtc_memory():
    for example in examples("rtc_memory"):
        text = example["text"].encode()
        assert rtcmem.pack(example["boots"], example["is_trusted"], text) == raw(example["bytes"])
        record = example["reason"], example["cls"], raw(example["key"])
        assert crash.fields(example["text"].removeprefix("!")) == record
        assert crash.of_record(*record) == crash.facts(example["text"].removeprefix("!"))


def test_slot(tmp_path):
    importer = Importer([ROOT / "firmware", SHIMS / "host"], types.ModuleType("_link"), tmp_path)
    machine = importer.modules["machine"] = types.ModuleType("machine")
    vars(machine).update(RTC=None, WDT=None, reset=None, reset_cause=None)
    importer.modules["gc"] = types.ModuleType("gc")
    starter: Any = importer.load("starter")
    for example in examples("slot"):
        starter.write(*example["values"])
        assert (tmp_path / "slot").read_text() == example["text"]
        assert starter.read() == example["values"]
        assert sorted(file.name for file in tmp_path.iterdir()) == ["slot"]


def test_card_key():
    for example in examples("card_key"):
        assert card_key(KEYS["site_key"], raw(example["uid"])) == raw(example["bytes"])


def test_card_secret():
    for example in examples("card_secret"):
        master, uid = raw(example["master"]), raw(example["uid"])
        assert cardkeys.secret(master, uid, records.TIERS.index("aes")) == raw(example["aes"])
        assert cardkeys.secret(master, uid, records.TIERS.index("signed")) == raw(example["signed"])


def test_card_key_entry():
    for example in examples("card_key_entry"):
        wk, key, secret = raw(example["wk"]), raw(example["key"]), raw(example["secret"])
        assert keywrap.wrapping_key(KEYS["gate_key"]) == wk
        assert cardkeys.entries(KEYS["gate_key"], {key: secret}) == [raw(example["bytes"])]
        assert keywrap.unwrap(wk, raw(example["bytes"])) == secret


def test_signed_record():
    for example in examples("signed_record"):
        secret, uid = raw(example["secret"]), raw(example["uid"])
        for half, (counter, text) in enumerate(zip(example["counters"], example["bytes"], strict=True)):
            head = b"PN" + bytes((0x10 | half, example["key_version"])) + struct.pack(">I", counter)
            mac = cmac(secret, b"PINTER signed 1" + bytes((len(uid),)) + uid + head)[:8]
            assert head + mac == raw(text)
        assert cmac(secret, b"PINTER classic A")[:6] == raw(example["classic_a"])
        assert cmac(secret, b"PINTER classic B")[:6] == raw(example["classic_b"])


def test_pool(tmp_path):
    for example in examples("pool"):
        cards = pool.parse(example["text"].encode(), "pool.csv", 420)
        said = [pool.PoolCard(**{**card, "uid": raw(card["uid"])}) for card in example["cards"]]
        assert list(cards.values()) == said
        pool.write(tmp_path / "pool.csv", cards.values(), 420)
        assert (tmp_path / "pool.csv").read_text() == example["text"]


def test_credential():
    for example in examples("credential"):
        names = "key cls blocked untimed tier slow from_min length_min party"
        credential = records.Credential(*fields(example, names))
        assert bundles.pack_credential(credential) == raw(example["bytes"])
        assert records.unpack_credential(raw(example["bytes"])) == credential
        assert records.from_unix(credential) == example["from_unix"]
        assert records.until_unix(credential) == example["until_unix"]


def test_aes_card():
    for example in examples("aes_card"):
        assert desfire.record(example["site"], example["key_version"]) == raw(example["bytes"])
    assert "DF name `%s`" % aes.DF_NAME.hex().upper() in TEXT


def test_bundle():
    for example in examples("bundle"):
        listed = [records.unpack_credential(raw(text)) for text in example["credentials"]]
        site, gate, seq, issued, expires = fields(example, "site gate seq issued expires")
        built = bundle.snapshot(site, gate, KEYS["gate_key"], listed, seq, issued, expires)
        assert built == raw(example["bytes"])
        assert list(bundle.parse(raw(example["bytes"]), KEYS["gate_key"]).credentials) == listed


def test_delta():
    for example in examples("delta"):
        listed = [records.unpack_credential(raw(text)) for text in example["credentials"]]
        keys = [raw(text) for text in example["card_keys"]]
        site, gate, first, last, issued, expires = fields(example, "site gate seq_from seq_to issued expires")
        key = KEYS["gate_key"]
        assert bundle.delta(site, gate, key, listed, first, last, issued, expires, keys) == raw(
            example["bytes"]
        )
        opened = bundle.parse(raw(example["bytes"]), key)
        assert (list(opened.credentials), list(opened.card_keys)) == (listed, keys)


def test_a_gate_makes_the_merged_slot_of_the_examples():
    flash = NorFlash(16 * SECTOR)
    example = examples("bundle")[0]
    allowlist = Allowlist(Partition(flash, 0, flash.size), KEYS["gate_key"], example["site"], example["gate"])
    allowlist.open()
    for data in (example, examples("delta")[0]):
        assert allowlist.load(io.BytesIO(raw(data["bytes"])))
    allowlist._short = True  # merges, however little there is
    while allowlist.work(True):
        pass
    merged = raw(examples("merged")[0]["bytes"])
    assert flash.contents()[allowlist._slot * SECTOR :].startswith(merged)
    assert bundles.unpack_header(merged).kind == bundles.MERGED
    assert merged[-32:] == hmac_sha256(KEYS["gate_key"], merged[:-32])


def test_sector_header():
    for example in examples("sector_header"):
        head = b"PJ" + struct.pack(">H", example["lost"]) + raw(example["journal_id"])
        head += struct.pack(">II", example["first"], example["acknowledged"]) + raw(example["before_oldest"])
        assert head + hmac_sha256(KEYS["gate_key"], head)[:8] == raw(example["bytes"])


def test_a_gate_starts_from_the_sector_header_of_the_example():
    flash = NorFlash(4 * SECTOR)
    example = examples("sector_header")[0]
    assert example["first"] == 162 * 127 + 1  # the first place of a sector
    flash.program((example["first"] // 127 % 4) * SECTOR, raw(example["bytes"]))
    journal = Journal(Partition(flash, 0, flash.size), KEYS["gate_key"])
    journal.open()
    assert journal.journal_id == raw(example["journal_id"]) and journal.lost == example["lost"]
    assert journal.acknowledged == example["acknowledged"]
    assert journal.append("boot") == example["first"]


def test_record():
    for example in examples("record"):
        names = "seq time ms untrusted marks type direction reason cls key party"
        event = records.Event(*fields(example, names))
        packed = bytearray(32)
        records.pack_event_into(packed, event)
        before = raw(example["before"])
        packed[24:] = hmac_sha256(KEYS["gate_key"], before, packed[:24])[:8]
        assert packed == raw(example["bytes"])
        assert records.unpack_event(packed) == event


def test_the_gate_writes_the_record_of_the_example(monkeypatch):
    example = examples("record")[0]
    monkeypatch.setattr("firmware.journal_open.urandom", lambda n: raw(example["before"])[:n])
    flash = NorFlash(4 * SECTOR)
    journal = Journal(Partition(flash, 0, flash.size), KEYS["gate_key"])
    journal.open()
    journal.append("grant", 1, 16, 1, raw(example["key"]), 17, time=example["time"], ms=250, marks=4)
    assert flash.contents()[32:64] == raw(example["bytes"])


def test_codes_of_types_that_the_text_names():
    for name, code in re.findall(r"^- `(\w+)` \((\d+)\):", TEXT, re.M):
        assert records.TYPES[int(code)] == name
    assert len(re.findall(r"^- `\w+` \(\d+\):", TEXT, re.M)) == 2


def numbers(text):
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]


@pytest.mark.parametrize("flash_size", ["4 MB", "16 MB"])
def test_the_slots_of_the_list_partition(flash_size):
    row = re.search(rf"^\| {flash_size} \| (0x\w+) \| ([\d,]+) \| (.*?) \| (.*?) \| (.*?) \|$", TEXT, re.M)
    assert row, "the table of slots has no row for " + flash_size
    size, blocks = int(row[1], 16), numbers(row[2])[0]
    assert size == blocks * SECTOR

    class Device:
        def ioctl(self, op, argument):
            return blocks

    slot = Allowlist(Device(), b"", "S", "A")._slot_blocks
    assert numbers(row[3]) == [slot, slot * SECTOR]
    header, count, credential, keys, entry, mac, total = numbers(row[4])
    assert (header, credential, entry, mac) == (64, 16, 32, 32)
    assert (count, keys) == {"4 MB": (20_000, 2_000), "16 MB": (250_000, 20_000)}[flash_size]
    assert total == header + count * credential + keys * entry + mac <= slot * SECTOR
    assert numbers(row[5])[0] == blocks - 2 * slot == 18


def test_what_a_full_journal_keeps():
    for sectors, size, kept in ((162, 0xA2000, "20,066"), (1028, 0x404000, "130,048")):
        assert sectors * SECTOR == size and f"0x{size:X}" in TEXT
        assert f"{(sectors - 4) * 127:,}" == kept and kept in TEXT
