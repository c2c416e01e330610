"""The doctor's words: what each check is called, what was found, and what to do, in Indonesian and English.

One table, used by the tool, docs/technician.md and its tests. `{0}` and so on are the facts of a finding.
"""

LANGUAGES = ("id", "en")

# check: (Indonesian, English), in the order of the table. A check of both readers or relays has one row each.
CHECKS = {
    "service": ("layanan", "service"),
    "alarms": ("alarm", "alarms"),
    "runtime": ("MicroPython", "MicroPython"),
    "board": ("papan", "board"),
    "partitions": ("partisi flash", "flash partitions"),
    "files": ("sistem berkas", "file system"),
    "application": ("aplikasi", "application"),
    "config": ("konfigurasi", "config"),
    "keys": ("kunci", "keys"),
    "list": ("daftar kartu", "list"),
    "journal": ("jurnal", "journal"),
    "heap": ("memori", "heap"),
    "clock": ("jam", "clock"),
    "clock_chip": ("chip jam", "clock chip"),
    "reader_in": ("pembaca masuk", "entry reader"),
    "reader_out": ("pembaca keluar", "exit reader"),
    "sensor_in": ("sensor masuk", "entry sensor"),
    "sensor_out": ("sensor keluar", "exit sensor"),
    "guard_in": ("tombol petugas masuk", "guard's entry button"),
    "guard_out": ("tombol petugas keluar", "guard's exit button"),
    "fire": ("kontak kebakaran", "fire contact"),
    "tamper": ("kontak kotak", "cabinet contact"),
    "lamps": ("lampu dan buzzer", "lamps and buzzer"),
    "relay_in": ("relai masuk", "entry relay"),
    "relay_out": ("relai keluar", "exit relay"),
    "network": ("jaringan", "network"),
    "broker": ("broker", "broker"),
    "link": ("hubungan ke kantor", "link to the office"),
}
PARTS = {
    "version": ("versi", "version"),
    "fifo": ("FIFO", "FIFO"),
    "self_test": ("uji diri", "self-test"),
    "gain": ("penguatan", "gain"),
    "antenna": ("antena", "antenna"),
    "card": ("kartu", "card"),
}

_REPLACE = ("Ganti modul pembaca.", "Replace the reader module.")
_FLASH = (
    "Pasang ulang: `pinter board flash`, lalu `pinter board provision`.",
    "Flash it again: `pinter board flash`, then `pinter board provision`.",
)
_PROVISION = ("Jalankan `pinter board provision`.", "Run `pinter board provision`.")
_NOTHING = ("", "")

# code: ((found, Indonesian; found, English), (what to do, Indonesian; English)).
FINDINGS = {
    "error": (
        ("pemeriksaan gagal: {0}", "the check itself failed: {0}"),
        (
            "Ulangi; bila tetap, kirim baris ini ke pembuat.",
            "Try again; if it stays, send this line to the makers.",
        ),
    ),
    "skipped": (("tidak diperiksa", "not checked"), _NOTHING),
    "skipped_after": (
        ("tidak diperiksa: {0} belum beres", "not checked: {0} is not well"),
        ("Bereskan dahulu yang disebut.", "Mend that first."),
    ),
    "skipped_moves": (
        ("tidak diperiksa: pintu akan bergerak", "not checked: the turnstile would move"),
        ("Jalankan lagi dengan --yes.", "Run it again with --yes."),
    ),
    "skipped_look": (
        ("dinyalakan, tidak ada yang melihat", "switched on, nobody was asked"),
        ("Lihat dan dengarkan: hijau, merah, buzzer.", "Look and listen: green, red, buzzer."),
    ),
    "none_in_config": (("tidak ada di konfigurasi", "none in the config"), _NOTHING),
    # --- service
    "service_ok": (("gerbang melayani", "the gate is in service"), _NOTHING),
    "service_fault": (
        ("gerbang terganggu: {0}", "the gate is in fault: {0}"),
        ("Bereskan baris yang gagal di bawah ini.", "Mend the lines below that fail."),
    ),
    "service_safe": (
        ("mode aman: {0}", "safe mode: {0}"),
        (
            "Bereskan yang gagal di bawah ini, lalu matikan dan nyalakan; docs/supervision.md.",
            "Mend what fails below, then switch it off and on; docs/supervision.md.",
        ),
    ),
    "service_absent": (
        ("gerbang tidak berjalan", "the gate was not running"),
        (
            "Nyalakan ulang; bila tetap, pasang ulang aplikasinya: `pinter board provision`.",
            "Switch it off and on; if it stays, put the application on again: `pinter board provision`.",
        ),
    ),
    "alarms_none": (("tidak ada", "none"), _NOTHING),
    "alarms_on": (
        ("menyala: {0}", "on: {0}"),
        ("Lihat docs/rules.md, bagian alarm.", "See docs/rules.md, alarms."),
    ),
    # --- what runs
    "runtime_ok": (("{0}, ESP-IDF {1}", "{0}, ESP-IDF {1}"), _NOTHING),
    "runtime_old": (("{0}: perlu 1.29 atau lebih baru", "{0}: 1.29 or later is needed"), _FLASH),
    "idf_old": (
        (
            "ESP-IDF {1}: pulsa relai tidak dapat dipersingkat (perlu 5.5.2)",
            "ESP-IDF {1}: a relay pulse cannot be shortened (5.5.2 can)",
        ),
        ("Tidak perlu apa-apa; pulsa berakhir sendiri.", "Nothing: the pulse ends by itself."),
    ),
    "board_ok": (("{0}", "{0}"), _NOTHING),
    "board_missing": (
        ("board.py tidak ada", "board.py is missing"),
        (
            "Jalankan `pinter board provision`; untuk memeriksa saja: --board NAMA.",
            "Run `pinter board provision`; to examine only: --board NAME.",
        ),
    ),
    "board_other": (("board.py bukan milik {0}", "board.py is not that of {0}"), _PROVISION),
    "board_unknown": (
        ("board.py menyebut {0}, yang tidak dikenal", "board.py says {0}, which is not known"),
        _PROVISION,
    ),
    "partitions_ok": (("{0} partisi", "{0} partitions"), _NOTHING),
    "partition_wrong": (("{0}: {1}, seharusnya {2}", "{0}: {1}, should be {2}"), _FLASH),
    "vfs_ok": (("LittleFS, {0} kB kosong", "LittleFS, {0} kB free"), _NOTHING),
    "vfs_full": (
        ("tinggal {0} kB kosong", "only {0} kB are free"),
        ("Hapus berkas yang bukan milik gerbang.", "Remove files that are not the gate's."),
    ),
    "vfs_damaged": (
        ("rusak: {0}", "damaged: {0}"),
        (
            "Hapus partisi vfs dan pasang ulang: docs/technician.md, pemulihan.",
            "Erase partition vfs and provision again: docs/technician.md, recovery.",
        ),
    ),
    "vfs_write": (
        ("tidak menyimpan berkas: {0}", "does not keep a file: {0}"),
        ("Pasang ulang; bila tetap, ganti papan.", "Flash it again; if it stays, replace the board."),
    ),
    "application_ok": (("{0}, {1} modul", "{0}, {1} modules"), _NOTHING),
    "application_trial": (
        ("{0} sedang diuji, {1} modul", "{0} is on trial, {1} modules"),
        ("Biarkan berjalan 2 menit.", "Let it run for 2 minutes."),
    ),
    "application_missing": (("{0} tidak ada", "{0} is missing"), _PROVISION),
    "application_damaged": (("{0}: {1}", "{0}: {1}"), _PROVISION),
    # --- what it is
    "config_ok": (("situs {0}, gerbang {1}", "site {0}, gate {1}"), _NOTHING),
    "config_bad": (
        ("{0}", "{0}"),
        (
            "Perbaiki, periksa dengan `pinter config check`, lalu `pinter board provision`.",
            "Mend it, `pinter config check` it, then `pinter board provision`.",
        ),
    ),
    "config_board": (
        ("untuk papan {0}, ini {1}", "for board {0}, this is {1}"),
        (
            "Perbaiki `board` di konfigurasi, lalu `pinter board provision`.",
            "Mend `board`, then `pinter board provision`.",
        ),
    ),
    "keys_ok": (("{0} kunci", "{0} keys"), _NOTHING),
    "key_missing": (("{0} tidak ada di NVS", "{0} is not in NVS"), _PROVISION),
    "list_ok": (("nomor {0}, {1} kartu, sampai {2}", "number {0}, {1} cards, until {2}"), _NOTHING),
    "list_stale": (
        ("nomor {0} berakhir {2}", "number {0} ends {2}"),
        ("Periksa hubungan ke kantor.", "See to the link to the office."),
    ),
    "list_missing": (
        ("tidak ada daftar yang sah", "there is no valid list"),
        (
            "Hubungkan gerbang, atau `pinter office export` dan `pinter board provision`.",
            "Connect the gate, or `pinter office export` and `pinter board provision`.",
        ),
    ),
    "list_expired": (
        ("nomor {0} sudah berakhir {2}", "number {0} ended {2}"),
        (
            "Hubungkan gerbang, atau `pinter office export` dan `pinter board provision`.",
            "Connect the gate, or `pinter office export` and `pinter board provision`.",
        ),
    ),
    "journal_ok": (("{0} catatan, {1} belum di kantor", "{0} records, {1} not at the office yet"), _NOTHING),
    "journal_empty": (("kosong", "empty"), _NOTHING),
    "journal_lost": (
        (
            "{0} catatan, {2} hilang sebelum sampai di kantor",
            "{0} records, {2} lost before the office had them",
        ),
        ("Periksa hubungan ke kantor.", "See to the link to the office."),
    ),
    "journal_damaged": (
        ("rantai putus di catatan {0} dari {1}", "the chain is broken at record {0} of {1}"),
        (
            "Simpan dengan `pinter board logs --export`, lapor ke kantor, lalu `pinter board replace`.",
            "Keep it: `pinter board logs --export`, tell the office, then `pinter board replace`.",
        ),
    ),
    "journal_foreign": (
        ("bukan milik kunci gerbang ini, atau rusak", "is not under this gate's key, or is damaged"),
        (
            "Simpan dengan `pinter board logs --export`, lalu `pinter board replace`.",
            "Keep it: `pinter board logs --export`, then `pinter board replace`.",
        ),
    ),
    "heap_ok": (("{0} kB kosong saat melayani", "{0} kB free in service"), _NOTHING),
    "heap_low": (
        ("hanya {0} kB kosong saat melayani", "only {0} kB are free in service"),
        ("Nyalakan ulang; bila tetap, laporkan.", "Switch it off and on; if it stays, report it."),
    ),
    "clock_ok": (("tepercaya, selisih {0} s", "trusted, {0} s off"), _NOTHING),
    "clock_wrong": (
        ("selisih {0} s dengan komputer ini", "{0} s off this computer's"),
        (
            "Periksa jam komputer ini, chip jam, dan hubungan ke kantor.",
            "See to this computer's clock, the clock chip, and the link to the office.",
        ),
    ),
    "clock_untrusted": (
        ("belum tepercaya", "not trusted"),
        (
            "Hubungkan gerbang ke kantor, atau pasang chip jam (`rtc`).",
            "Connect the gate to the office, or fit a clock chip (`rtc`).",
        ),
    ),
    "rtc_ok": (("selisih {0} s", "{0} s off"), _NOTHING),
    "rtc_wrong": (
        ("selisih {0} s dengan komputer ini", "{0} s off this computer's"),
        (
            "Hubungkan gerbang ke kantor: ia menyetel chip. Bila kembali, ganti baterai.",
            "Connect the gate to the office: it sets the chip. If it comes back, replace the battery.",
        ),
    ),
    "rtc_stopped": (
        ("pernah berhenti: waktunya hilang", "has stopped: its time is lost"),
        (
            "Ganti baterai CR2032, lalu hubungkan ke kantor.",
            "Replace the battery CR2032, then connect to the office.",
        ),
    ),
    "rtc_missing": (
        ("tidak menjawab", "does not answer"),
        ("Periksa SDA, SCL, 3V3 dan GND modul DS3231.", "Check SDA, SCL, 3V3 and GND of the DS3231 module."),
    ),
    "rtc_bad": (("{0}", "{0}"), ("Ganti modul DS3231.", "Replace the DS3231 module.")),
    "rtc_unused": (
        ("terpasang, tetapi `rtc` tidak ada di konfigurasi", "is fitted, but `rtc` is not in the config"),
        ("Setel `rtc: true` di konfigurasi.", "Set `rtc: true` in the config."),
    ),
    # --- readers
    "reader_version": (("{0}", "{0}"), _NOTHING),
    "reader_version_odd": (
        ("{0}", "{0}"),
        ("Tiruan boleh dipakai bila baris lain baik.", "A clone may serve if the other lines are well."),
    ),
    "reader_version_bad": (
        ("chip tidak menjawab: {0}", "the chip does not answer: {0}"),
        (
            "Periksa 3V3, GND, SCK, MOSI, MISO, SDA (CS) dan RST; lalu ganti modul pembaca.",
            "Check 3V3, GND, SCK, MOSI, MISO, SDA (CS) and RST; then replace the reader module.",
        ),
    ),
    "reader_fifo": (("{0}", "{0}"), _NOTHING),
    "reader_fifo_bad": (
        ("{0}", "{0}"),
        (
            "Pendekkan kabel SPI di bawah 30 cm, cari hubung singkat; lalu ganti modul pembaca.",
            "Keep the SPI wires below 30 cm, look for a short; then replace the reader module.",
        ),
    ),
    "reader_self_test": (("{0}", "{0}"), _NOTHING),
    "reader_self_test_odd": (
        ("{0}", "{0}"),
        ("Tiruan boleh dipakai bila baris lain baik.", "A clone may serve if the other lines are well."),
    ),
    "reader_gain": (("{0}", "{0}"), _NOTHING),
    "reader_gain_bad": (("{0}", "{0}"), _REPLACE),
    "reader_antenna": (("{0}", "{0}"), _NOTHING),
    "reader_antenna_bad": (
        ("antena tidak menyala: {0}", "the antenna stays off: {0}"),
        (
            "Periksa catu 3V3 (100 nF dan 10 µF di modul) dan antena; lalu ganti modul pembaca.",
            "Check 3V3 (100 nF and 10 µF at the module) and the antenna; then replace the reader module.",
        ),
    ),
    "card_read": (("kartu terbaca, {0} byte", "a card was read, {0} bytes"), _NOTHING),
    "card_none": (
        ("tidak ada kartu terbaca", "no card was read"),
        (
            "Tempelkan kartu datar di antena; bila tetap, jauhkan dari logam, lalu ganti modul.",
            "Lay a card flat on the antenna; if it stays, keep metal away, then replace the module.",
        ),
    ),
    "card_bus": (("{0}", "{0}"), _REPLACE),
    # --- inputs and outputs
    "at_rest": (("diam", "at rest"), _NOTHING),
    "sensor_on": (
        ("menyala tanpa orang", "on with nobody there"),
        (
            "Kosongkan lorong; periksa sensor, kabelnya ke GND, dan 10 kΩ ke 3V3.",
            "Clear the passage; check the sensor, its wire for a short to GND, and 10 kΩ to 3V3.",
        ),
    ),
    "guard_on": (
        ("tertekan", "pressed"),
        (
            "Lepaskan tombol; periksa kabelnya ke GND.",
            "Let go of the button; check its wire for a short to GND.",
        ),
    ),
    "fire_on": (
        ("terbuka: kebakaran, atau kabel putus", "open: fire, or a broken wire"),
        (
            "Periksa panel kebakaran, relai dan kabel loop; gerbang terbuka selama ini.",
            "Check the fire panel, its relay and the wire of the loop; the gate stays open meanwhile.",
        ),
    ),
    "tamper_on": (
        ("kotak terbuka, atau kabel putus", "the cabinet is open, or a wire is broken"),
        ("Tutup kotak setelah selesai; periksa kontak.", "Close the cabinet when done; check the contact."),
    ),
    "lamps_seen": (("hijau, merah, buzzer: terlihat", "green, red, buzzer: seen"), _NOTHING),
    "lamps_unseen": (
        ("tidak semua terlihat", "not all of them came"),
        (
            "Periksa MOSFET, catu 12/24 V, lampu, dan buzzer (harus aktif).",
            "Check the MOSFET drivers, their 12/24 V supply, the lamps, and the buzzer (an active one).",
        ),
    ),
    "relay_pulse": (("GPIO {0}, pulsa {1} ms", "GPIO {0}, pulse of {1} ms"), _NOTHING),
    "relay_unseen": (
        ("pulsa diberikan, pintu tidak terbuka", "the pulse was given, the turnstile did not open"),
        (
            "Periksa catu 5 V relai, kabel ke pintu, dan masukan pintu (kontak kering).",
            "Check the relay module's 5 V, the wires to the turnstile, and its input (dry contact).",
        ),
    ),
    "relay_short": (
        ("GPIO {0} terhubung singkat ke {1}", "GPIO {0} is shorted to {1}"),
        ("Lepas kabel relai dan cari hubung singkat.", "Take the relay's wire off and look for the short."),
    ),
    "relay_open": (
        (
            "GPIO {0}: kabel ke modul relai putus, atau tahanan 10 kΩ ke GND tidak ada",
            "GPIO {0}: the wire to the relay module is broken, or its 10 kΩ to GND is missing",
        ),
        (
            "Sambungkan kabel dan tahanan: tanpa itu relai dapat menyala saat papan mulai.",
            "Mend wire and resistor: without it the relay may come on while the board starts.",
        ),
    ),
    # --- network
    "network_up": (("{0} tersambung", "{0} is up"), _NOTHING),
    "network_none": (
        ("{0}", "{0}"),
        (
            "Perbaiki konfigurasi atau kata sandi, lalu `pinter board provision`.",
            "Mend config or password, then `pinter board provision`.",
        ),
    ),
    "network_down": (
        ("{0}", "{0}"),
        (
            "Periksa kabel atau titik akses, nama Wi-Fi dan kata sandinya.",
            "Check cable or access point, the name of the Wi-Fi and its password.",
        ),
    ),
    "broker_ok": (("{0}:{1} menjawab", "{0}:{1} answers"), _NOTHING),
    "broker_name": (
        ("nama {0} tidak dikenal", "the name {0} is not known"),
        ("Periksa DNS jaringan dan `network.broker`.", "Check the network's DNS and `network.broker`."),
    ),
    "broker_refused": (
        ("{0}:{1} tidak menjawab: {2}", "{0}:{1} does not answer: {2}"),
        (
            "Periksa apakah kantor melayani (`pinter office serve`), port, dan tembok api.",
            "See that the office serves (`pinter office serve`), and check port and firewall.",
        ),
    ),
    "link_ok": (("terhubung", "connected"), _NOTHING),
    "link_down": (
        ("tidak terhubung: {0}", "not connected: {0}"),
        (
            "Bila jaringan dan broker baik: kunci gerbang di kantor dan di papan harus sama.",
            "If network and broker are well: the gate's key must be the same at the office and here.",
        ),
    ),
}


def check_name(check: str, lang: str) -> str:
    """Return the name of the check `check`, such as "reader_in.fifo", in the language `lang`."""
    at = LANGUAGES.index(lang)
    base, _, part = check.partition(".")
    return CHECKS[base][at] + (": " + PARTS[part][at] if part else "")


def found(code: str, facts: list[object], lang: str) -> str:
    """Return in words what was found."""
    return FINDINGS[code][0][LANGUAGES.index(lang)].format(*facts)


def remedy(code: str, lang: str) -> str:
    """Return what to do about it, "" if nothing."""
    return FINDINGS[code][1][LANGUAGES.index(lang)]
