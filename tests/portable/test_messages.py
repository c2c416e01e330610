"""Words for people: every reason in both languages and both forms, within the display, saying where to go."""

from firmware import config, messages, policy
from firmware.messages import text

CLASSES = ("yellow", "green", "blue", "staff", "orange")


def all_texts():
    """Yield (reason, language, class, direction, Text) for all that can be shown."""
    for reason in policy.REASONS[1:]:
        for language in messages.LANGUAGES:
            for cls in CLASSES:
                for direction in ("in", "out"):
                    yield reason, language, cls, direction, text(reason, cls, language, None, direction)


def test_every_reason_has_a_text_and_no_text_lacks_a_reason():
    assert sorted(messages.WHAT) == sorted(policy.REASONS[1:])


def test_every_text_has_a_sentence_and_two_lines_of_at_most_16_characters():
    for reason, language, _, _, t in all_texts():
        assert 0 < len(t.line1) <= 16, (reason, language, t)
        assert 0 < len(t.line2) <= 16, (reason, language, t)
        assert t.sentence.endswith("."), (reason, language, t)
        assert t.sentence[0].isupper(), (reason, language, t)


def test_nothing_is_left_to_fill_in():
    for reason, language, _, _, t in all_texts():
        for part in t:
            assert "{" not in part and "  " not in part, (reason, language, t)


def test_texts_are_plain_ascii():
    for reason, _, _, _, t in all_texts():
        for part in t:
            assert all(" " <= c <= "~" for c in part), (reason, part)


def test_the_two_languages_differ():
    for reason in policy.REASONS[1:]:
        assert text(reason, language="id").sentence != text(reason, language="en").sentence


def test_every_text_is_used():
    used = {row[0] for row in messages.WHAT.values()}
    assert sorted(used | {"exit blue"}) == sorted(messages.WHERE)


def test_the_texts_that_set_the_tone():
    for reason, cls, indonesian, english in (
        ("ok", "yellow", "Selamat datang. Silakan masuk.", "Welcome. Please enter."),
        (
            "too_late",
            "yellow",
            "Jadwal Anda sudah lewat. Silakan ke meja layanan.",
            "Your slot has passed. Please go to the service desk.",
        ),
        (
            "unknown_card",
            "",
            "Kartu tidak dikenal. Silakan ke meja layanan.",
            "This card is not known. Please go to the service desk.",
        ),
        (
            "passback",
            "yellow",
            "Kartu ini sudah dipakai masuk. Silakan hubungi petugas.",
            "This card has already been used to enter. Please see an officer.",
        ),
        (
            "principal_absent",
            "blue",
            "Pendamping masuk bersama pemohon.",
            "Companions enter together with the applicant.",
        ),
        (
            "room_full",
            "yellow",
            "Ruang layanan penuh. Mohon tunggu sebentar.",
            "The service room is full. Please wait a moment.",
        ),
        (
            "exit",
            "yellow",
            "Terima kasih. Kembalikan kartu di loket.",
            "Thank you. Please return the card at the counter.",
        ),
        (
            "exit",
            "blue",
            "Terima kasih. Ambil identitas Anda di loket.",
            "Thank you. Collect your ID at the counter.",
        ),
    ):
        assert text(reason, cls, "id").sentence == indonesian
        assert text(reason, cls, "en").sentence == english


def test_too_early_tells_the_booked_time():
    assert text("too_early", slot_min=510).sentence == (
        "Belum waktunya. Jadwal Anda 08.30. Silakan tunggu di ruang tunggu."
    )
    assert text("too_early", "green", slot_min=510).sentence == (
        "It is not yet time. Your slot is 08:30. Please wait in the waiting room."
    )
    assert text("too_early").sentence == "Belum waktunya. Silakan tunggu di ruang tunggu."
    assert "10.00" in text("too_early", slot_min=600).sentence
    assert "23.59" in text("too_early", slot_min=1439).sentence
    assert text("too_early", slot_min=0).sentence == (
        "Belum waktunya. Jadwal Anda 00.00. Silakan tunggu di ruang tunggu."
    )


def test_green_is_shown_english_first_and_all_others_indonesian():
    assert messages.language_for("green") == "en"
    for cls in ("yellow", "blue", "staff", "orange", ""):
        assert messages.language_for(cls) == "id"
    assert text("ok", "green").line1 == "Welcome"
    assert text("ok", "yellow")[1:] == ("Selamat datang", "Silakan masuk")
    assert text("ok", "green", "id").line1 == "Selamat datang"


def test_blue_cards_are_sent_to_the_deposited_identity_at_every_exit():
    for reason in ("exit", "exit_late", "exit_unrecorded", "exit_revoked"):
        assert "ID" in text(reason, "blue", "en").sentence
        assert "identitas" in text(reason, "blue", "id").sentence
        assert text(reason, "blue", "id").line2 == "ID Anda di loket"
        assert "card" in text(reason, "yellow", "en").sentence


def test_a_passback_is_told_by_its_direction():
    assert "enter" in text("passback", language="en").sentence
    assert "leave" in text("passback", language="en", direction="out").sentence
    assert "keluar" in text("passback", direction="out").sentence


def test_nobody_inside_is_sent_to_the_desk_outside():
    for _, language, _, direction, t in all_texts():
        if direction == "out":
            desk = messages.PLACES["desk"][messages.LANGUAGES.index(language)]
            assert desk not in t.sentence and desk not in t.line2, t


def test_somebody_outside_is_sent_to_the_desk():
    assert text("unknown_card", language="en").line2 == "To service desk"
    assert text("unknown_card", language="en", direction="out").line2 == "See an officer"
    assert text("passback", language="en").line2 == "See an officer"
    assert text("companion_limit", language="en", direction="out").line2 == "To waiting room"


def test_a_site_names_its_own_places():
    places = config.parse(
        {"site": "x", "gate": "A", "board": "b", "desk": {"id": "Loket 3", "en": "Counter 3"}}
    ).places
    assert text("too_late", places=places) == (
        "Jadwal Anda sudah lewat. Silakan ke Loket 3.",
        "Jadwal lewat",
        "Ke Loket 3",
    )
    assert text("too_late", "green", places=places).line2 == "To Counter 3"
    assert text("too_early", places=places).line2 == "Ke ruang tunggu"


def test_a_name_that_is_too_long_for_the_display_stays_off_it():
    fits, long = "Ruang Tiga Be", "Ruang Tiga Bel"
    assert text("too_late", places={"desk": (fits, fits)}).line2 == "Ke Ruang Tiga Be"
    t = text("too_late", places={"desk": (long, long)})
    assert t.line2 == "Ke meja layanan"
    assert t.sentence == "Jadwal Anda sudah lewat. Silakan ke Ruang Tiga Bel."


def test_a_name_may_be_one_letter():
    assert text("gate_closed", "green", places={"passport_lockers": ("L", "L")}).line2 == "L"


def test_a_reason_that_is_none_has_no_text():
    for reason in ("", "maybe"):
        try:
            text(reason)
            raise AssertionError(reason)
        except KeyError:
            pass
