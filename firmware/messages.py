"""Words for people: what happened and where to go, for every reason, in Indonesian and English.

Owns the texts and nothing else. Every text is one sentence for pages, and two lines of at most 16
characters for a display. Imported when something is to be shown, then released.
"""

from collections import namedtuple

from micropython import const

_WIDTH = const(16)

LANGUAGES = ("id", "en")

# sentence: what happened, then where to go. line1, line2: the same for a display of 2 x 16 characters.
Text = namedtuple("Text", ["sentence", "line1", "line2"])

# place: (Indonesian, English); the config of a site may name its own (Site.places).
PLACES = {
    "waiting_room": ("ruang tunggu", "waiting room"),
    "desk": ("meja layanan", "service desk"),
    "passport_lockers": ("loker paspor", "passport lockers"),
    "exit_desk": ("loket", "counter"),
}

SLOT = (" Jadwal Anda %02d.%02d.", " Your slot is %02d:%02d.")
WAYS = {"in": ("masuk", "enter"), "out": ("keluar", "leave")}

# What happened. reason: (where to go, Indonesian, its display line, English, its display line). An empty
# line is the sentence without its full stop. {slot}: the sentence about the booked time, if it is known;
# {way}: of WAYS.
WHAT = {
    "free": ("pass", "Pintu terbuka.", "", "The gate is open.", "Gate is open"),
    "gate_closed": (
        "lockers",
        "Pintu masuk sedang ditutup.",
        "Pintu ditutup",
        "The entrance is closed.",
        "Gate is closed",
    ),
    "several_cards": (
        "one",
        "Terbaca lebih dari satu kartu.",
        "Satu kartu saja",
        "More than one card was read.",
        "One card only",
    ),
    "random_uid": (
        "desk",
        "Ponsel bukan kartu masuk.",
        "Gunakan kartu",
        "A phone is not a card.",
        "Use your card",
    ),
    "card_not_authentic": (
        "guard",
        "Kartu ini tidak terbukti asli.",
        "Kartu tidak sah",
        "This card could not be verified.",
        "Card not valid",
    ),
    "unknown_card": (
        "desk",
        "Kartu tidak dikenal.",
        "Tidak dikenal",
        "This card is not known.",
        "Unknown card",
    ),
    "revoked": (
        "desk",
        "Kartu ini tidak berlaku lagi.",
        "Tidak berlaku",
        "This card is no longer valid.",
        "No longer valid",
    ),
    "weak_card": (
        "desk",
        "Kartu ini tidak dapat dipakai di sini.",
        "Kartu tak cocok",
        "This card cannot be used here.",
        "Card not usable",
    ),
    "list_expired": (
        "desk",
        "Data kunjungan sudah lama.",
        "Data kedaluwarsa",
        "The list of visits is old.",
        "List out of date",
    ),
    "clock_untrusted": (
        "desk",
        "Jam pintu ini belum tepat.",
        "Jam belum tepat",
        "The gate's clock is not set.",
        "Clock not set",
    ),
    "too_early": (
        "waiting_room",
        "Belum waktunya.{slot}",
        "Belum waktunya",
        "It is not yet time.{slot}",
        "Not yet time",
    ),
    "too_late": (
        "desk",
        "Jadwal Anda sudah lewat.",
        "Jadwal lewat",
        "Your slot has passed.",
        "Slot has passed",
    ),
    "passback": (
        "guard",
        "Kartu ini sudah dipakai {way}.",
        "Sudah dipakai",
        "This card has already been used to {way}.",
        "Already used",
    ),
    "principal_absent": (
        "together",
        "Pendamping masuk bersama pemohon.",
        "Masuk bersama",
        "Companions enter together with the applicant.",
        "Enter together",
    ),
    "companion_limit": (
        "waiting_room",
        "Pendamping sudah penuh.",
        "Pendamping penuh",
        "No more companions can enter.",
        "Companion limit",
    ),
    "room_full": (
        "moment",
        "Ruang layanan penuh.",
        "Ruang penuh",
        "The service room is full.",
        "Room is full",
    ),
    "lane_fault": (
        "guard",
        "Pintu sedang terganggu.",
        "Pintu terganggu",
        "The gate is out of order.",
        "Out of order",
    ),
    "ok": ("enter", "Selamat datang.", "", "Welcome.", ""),
    "reentry": ("enter", "Selamat datang kembali.", "Selamat kembali", "Welcome back.", ""),
    "exit_revoked": (
        "exit",
        "Terima kasih. Kartu ini tidak berlaku lagi.",
        "Tidak berlaku",
        "Thank you. This card is no longer valid.",
        "No longer valid",
    ),
    "exit": ("exit", "Terima kasih.", "", "Thank you.", ""),
    "lane_busy": (
        "again",
        "Pintu sedang dipakai.",
        "Pintu dipakai",
        "The gate is in use.",
        "Gate in use",
    ),
    "error": ("guard", "Terjadi gangguan.", "Ada gangguan", "Something went wrong.", "Gate problem"),
}

WHAT["exit_late"] = WHAT["exit_unrecorded"] = WHAT["exit"]  # nothing that its holder must know

# Where to go: (Indonesian, its display line, English, its display line), as above; "exit blue" is "exit"
# for the class blue.
WHERE = {
    "pass": ("Silakan lewat.", "", "Please walk through.", "Walk through"),
    "lockers": (
        "Pengambilan paspor di {passport_lockers}.",
        "Ke {passport_lockers}",
        "Collect passports at the {passport_lockers}.",
        "{passport_lockers}",
    ),
    "one": (
        "Tempelkan satu kartu atau hubungi petugas.",
        "Hubungi petugas",
        "Present one card, or see an officer.",
        "See an officer",
    ),
    "desk": ("Silakan ke {desk}.", "Ke {desk}", "Please go to the {desk}.", "To {desk}"),
    "guard": ("Silakan hubungi petugas.", "Hubungi petugas", "Please see an officer.", "See an officer"),
    "waiting_room": (
        "Silakan tunggu di {waiting_room}.",
        "Ke {waiting_room}",
        "Please wait in the {waiting_room}.",
        "To {waiting_room}",
    ),
    "together": ("", "pemohon", "", "with applicant"),
    "moment": ("Mohon tunggu sebentar.", "Mohon tunggu", "Please wait a moment.", "Please wait"),
    "enter": ("Silakan masuk.", "", "Please enter.", ""),
    "exit": (
        "Kembalikan kartu di {exit_desk}.",
        "Kartu ke {exit_desk}",
        "Please return the card at the {exit_desk}.",
        "Card to {exit_desk}",
    ),
    "exit blue": (
        "Ambil identitas Anda di {exit_desk}.",
        "ID Anda di {exit_desk}",
        "Collect your ID at the {exit_desk}.",
        "ID at {exit_desk}",
    ),
    "again": (
        "Silakan tempelkan lagi.",
        "Coba lagi",
        "Please try again.",
        "Try again",
    ),
}


def language_for(class_name: str) -> str:
    """Return the language that a card of this class is shown first: "en" for green, else "id"."""
    return "en" if class_name == "green" else "id"


def text(
    reason: str, class_name: str = "", language=None, places=None, direction: str = "in", slot_min=None
) -> "Text":
    """Return the Text for `reason` (of policy.REASONS) at the reader of `direction`.

    `class_name` chooses the language unless `language` ("id" or "en") is given, and the text for blue cards.
    `places`: Site.places. `slot_min`: when the booked time begins, in minutes of the local day, for
    `too_early`. A display line that the site's own names make too long shows the default names. Raise
    KeyError for an unknown reason.
    """
    lang = LANGUAGES.index(language or language_for(class_name))
    at = 2 * lang + 1
    what = WHAT[reason]
    where = what[0]
    if where == "desk" and direction == "out":  # the desk lies outside; the guard was called
        where = "guard"
    going = WHERE.get(where + " " + class_name) or WHERE[where]
    slot = ""
    if slot_min is not None:
        slot = SLOT[lang] % (slot_min // 60, slot_min % 60)
    names = {place: PLACES[place][lang] for place in PLACES}
    line1 = what[at + 1] or what[at][:-1]
    line2 = (going[at] or going[at - 1][:-1]).format(**names)
    if places:
        for place in places:
            names[place] = places[place][lang]
    own_line2 = going[at].format(**names)
    sentence = what[at].format(slot=slot, way=WAYS[direction][lang]) + " " + going[at - 1].format(**names)
    return Text(sentence.strip(), line1, own_line2 if 0 < len(own_line2) <= _WIDTH else line2)
