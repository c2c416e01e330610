"""The words of the report, in Indonesian and English: labels, reasons, alarms, and each signal's rule.

Owns the tables. A rule's words are filled with the thresholds in force.
"""

from dataclasses import asdict

from tools.office.report.settings import Thresholds

LANGUAGES = ("id", "en")
Words = tuple[str, str]  # Indonesian, English

LABELS: dict[str, Words] = {
    "title": ("Laporan harian", "Report of the day"),
    "none": ("tidak ada catatan pada hari ini", "nothing was recorded on this day"),
    "so_far": ("sampai pukul", "as of"),
    "total": ("jumlah", "total"),
    "class": ("kelas", "class"),
    "hour": ("jam", "hour"),
    "entries": ("Masuk", "Entries"),
    "exits": ("Keluar", "Exits"),
    "issued": ("Kartu diserahkan", "Cards handed out"),
    "passages": ("Masuk dan keluar per jam", "Entries and exits by hour"),
    "inside": ("Orang di ruang layanan", "People in the service room"),
    "denials": ("Penolakan", "Denials"),
    "reason": ("alasan", "reason"),
    "direction": ("arah", "direction"),
    "count": ("jumlah", "count"),
    "in": ("masuk", "in"),
    "out": ("keluar", "out"),
    "stays": ("Lama di ruang layanan (menit)", "Time in the room (minutes)"),
    "median": ("median", "median"),
    "p90": ("persentil 90", "90th percentile"),
    "longest": ("terlama", "longest"),
    "unended": ("masuk tanpa tercatat keluar", "entries without a recorded exit"),
    "overstays": ("Melewati jadwal", "Overstays"),
    "not_returned": ("Kartu tidak kembali", "Cards not returned"),
    "card": ("kartu", "card"),
    "party": ("rombongan", "party"),
    "until": ("jadwal sampai", "window until"),
    "left": ("keluar", "left"),
    "not_seen": ("tidak terlihat keluar", "not seen leaving"),
    "over": ("lewat (menit)", "over (minutes)"),
    "opened": ("diserahkan", "handed out"),
    "returned": ("kembali", "returned"),
    "not_yet": ("belum", "not yet"),
    "busiest": ("Seperempat jam tersibuk", "Busiest quarter hour"),
    "guard": ("Tombol petugas", "Guard's button"),
    "no_passage": ("Dibuka tanpa dilewati", "Openings without a passage"),
    "unsure": ("catatan dengan jam belum pasti", "records whose time is not certain"),
    "health": ("Keadaan pintu", "Gates"),
    "gate": ("pintu", "gate"),
    "records": ("catatan", "records"),
    "starts": ("mulai ulang", "starts"),
    "down": ("mati (menit)", "down (minutes)"),
    "apart": ("terpisah (menit)", "apart (minutes)"),
    "unwatched": ("tidak diamati", "not watched"),
    "missing": ("hilang", "missing"),
    "torn": ("terputus", "torn"),
    "crashes": ("galat", "faults"),
    "clock": ("jam dibetulkan (detik)", "clock put right by (seconds)"),
    "alarms": ("alarm", "alarms"),
    "signals": ("Tanda calo", "Signals of brokers"),
    "no_signals": ("tidak ada", "none"),
    "signal_note": (
        "Tanda adalah alasan untuk memeriksa, bukan bukti kesalahan.",
        "A signal is a reason to look, not proof of guilt.",
    ),
    "rule": ("aturan", "rule"),
    "evidence": ("dasar", "evidence"),
    "times": ("pukul", "times"),
    "cards": ("kartu", "cards"),
    "visits": ("kunjungan", "visits"),
    "parties": ("rombongan", "parties"),
    "gates": ("pintu", "gates"),
    "all": ("semua", "all"),
}

REASONS: dict[str, Words] = {
    "free": ("pintu terbuka", "gate was open"),
    "gate_closed": ("pintu masuk ditutup", "entrance closed"),
    "several_cards": ("lebih dari satu kartu", "several cards"),
    "random_uid": ("ponsel", "phone"),
    "card_not_authentic": ("kartu tidak asli", "card not authentic"),
    "unknown_card": ("kartu tidak dikenal", "unknown card"),
    "revoked": ("kartu diblokir", "card blocked"),
    "weak_card": ("bukti kartu kurang", "card proved too little"),
    "list_expired": ("daftar kedaluwarsa", "list expired"),
    "clock_untrusted": ("jam belum tepat", "clock not set"),
    "too_early": ("belum waktunya", "too early"),
    "too_late": ("jadwal lewat", "too late"),
    "passback": ("kartu sudah di sisi itu", "card on that side already"),
    "principal_absent": ("pemohon tidak di dalam", "principal not inside"),
    "companion_limit": ("pendamping penuh", "too many companions"),
    "room_full": ("ruang penuh", "room full"),
    "lane_fault": ("pintu terganggu", "lane out of order"),
    "lane_busy": ("pintu sedang dipakai", "lane in use"),
    "error": ("gangguan", "error"),
}

ALARMS: dict[str, Words] = {
    "forced": ("dilewati paksa", "forced"),
    "tailgate": ("diikuti orang", "tailgating"),
    "sensor_stuck": ("sensor macet", "sensor stuck"),
    "fire": ("kebakaran", "fire"),
    "tamper": ("kotak dibuka", "housing opened"),
    "clone": ("kartu tiruan", "copied card"),
    "unknown_exit": ("keluar tanpa kartu sah", "exit of an unknown card"),
    "companion_inside": ("pendamping tertinggal", "companion left behind"),
    "still_inside": ("masih di dalam", "still inside at the reset"),
    "double_entry": ("masuk di dua pintu", "entered at two gates"),
    "card_storm": ("banyak kartu asing", "many unknown cards"),
    "reader_dead": ("pembaca mati", "reader dead"),
    "clock": ("jam mundur ditolak", "step back of the clock refused"),
    "list_stale": ("daftar hampir kedaluwarsa", "list about to expire"),
    "journal_90": ("jurnal hampir penuh", "journal nearly full"),
    "journal_lost": ("catatan tertimpa", "records overwritten"),
    "fault": ("gangguan", "fault"),
    "update_rejected": ("pembaruan ditolak", "update refused"),
    "bundle_rejected": ("daftar ditolak", "list refused"),
    "task_restart": ("program diulang", "task restarted"),
    "safe_mode": ("mode aman", "safe mode"),
    "journal_changed": ("jurnal diubah", "journal changed"),
    "journal_fork": ("jurnal bercabang", "journal forked"),
    "journal_rolled_back": ("jurnal dimundurkan", "journal set back"),
    "journal_replaced": ("jurnal diganti", "journal replaced"),
    "journal_gap": ("jurnal berlubang", "journal has a gap"),
    "list_rolled_back": ("daftar dimundurkan", "list set back"),
    "office_rolled_back": ("buku kantor dimundurkan", "books set back"),
    "companion_twice": ("pendamping dua pemohon", "companion of two parties"),
    "not_returned": ("kartu tidak kembali", "card not returned"),
}

SIGNALS: dict[str, Words] = {
    "companion_of_several": ("Pendamping beberapa pemohon", "Companion of several applicants"),
    "companion_swap": ("Pendamping bergantian", "Companions take turns"),
    "companion_alone": ("Pendamping tinggal sendiri", "Companion stays alone"),
    "slot_burst": ("Rombongan satu jadwal", "A slot that moves as a group"),
    "followed": ("Diikuti berulang kali", "Followed again and again"),
    "passed_back": ("Kartu dioper kembali", "Card passed back"),
    "handed_on": ("Kartu dipakai bergiliran", "Card handed on"),
    "entered_twice": ("Masuk dua kali tanpa keluar", "In twice without coming out"),
    "outside_slot": ("Berkali-kali di luar jadwal", "Again and again outside its time"),
    "kept_card": ("Kartu mati dicoba lagi", "Dead card tried again"),
    "copied_card": ("Kartu tiruan", "Copied card"),
    "position_corrected": ("Posisi sering dibetulkan", "Position corrected often"),
    "unknown_burst": ("Banyak kartu asing dicoba", "Many unknown cards tried"),
    "unknown_probed": ("Kartu asing di banyak pintu", "Unknown card at many gates"),
    "guard_overrides": ("Petugas membuka setelah ditolak", "Guard opens after denials"),
    "gate_restarts": ("Pintu sering mati", "Gate restarted often"),
    "journal_tampered": ("Jurnal diutak-atik", "Journal tampered with"),
}

RULES: dict[str, Words] = {
    "companion_of_several": (
        "orang yang sama menjadi pendamping {companion_parties} rombongan atau lebih dalam sehari",
        "the same person was the companion of {companion_parties} or more parties in a day",
    ),
    "companion_swap": (
        "pendamping satu rombongan berganti {companion_swaps} kali atau lebih, masing-masing dalam "
        "{companion_swap_min} menit",
        "companions of one party took turns {companion_swaps} times or more, each within "
        "{companion_swap_min} minutes",
    ),
    "companion_alone": (
        "pendamping tinggal {companion_alone_min} menit atau lebih setelah pemohon terakhir keluar",
        "a companion stayed {companion_alone_min} minutes or more after the last principal had left",
    ),
    "slot_burst": (
        "{slot_cards} kartu atau lebih dari satu jadwal, beda rombongan, diserahkan dalam {slot_issue_min} "
        "menit, masuk di satu pintu dalam {slot_enter_min} menit, keluar dalam {slot_leave_min} menit",
        "{slot_cards} or more cards of one slot, of different parties, were handed out within "
        "{slot_issue_min} minutes, went in at one gate within {slot_enter_min}, came out within "
        "{slot_leave_min}",
    ),
    "followed": (
        "di belakang satu rombongan orang menyusup masuk {followed_times} kali atau lebih",
        "somebody walked in behind the same party {followed_times} times or more",
    ),
    "passed_back": (
        "kartu ditempelkan lagi di pintu masuk dalam {passback_min} menit setelah dipakai masuk",
        "a card was shown at an entrance again within {passback_min} minutes of going in",
    ),
    "handed_on": (
        "kartu masuk lagi {reuse_times} kali atau lebih, masing-masing dalam {reuse_min} menit "
        "setelah keluar",
        "a card went in again {reuse_times} times or more, each within {reuse_min} minutes of coming out",
    ),
    "entered_twice": (
        "kartu masuk dua kali dalam satu kunjungan tanpa keluar di antaranya",
        "a card went in twice in one visit and did not come out between",
    ),
    "outside_slot": (
        "{slot_tries} percobaan atau lebih di luar jadwal dengan satu kartu",
        "{slot_tries} or more attempts outside of the window with one card",
    ),
    "kept_card": (
        "{kept_tries} percobaan masuk atau lebih dengan kartu yang hilang, sudah kembali, atau "
        "tidak dikembalikan",
        "{kept_tries} or more attempts to go in with a card that was lost, given back, or kept",
    ),
    "copied_card": (
        "kartu tidak dapat membuktikan keasliannya",
        "a card could not prove that it is the one on the list",
    ),
    "position_corrected": (
        "meja layanan membetulkan posisi kartu {corrections} kali atau lebih dalam satu kunjungan",
        "the desk corrected the position of a card {corrections} times or more in one visit",
    ),
    "unknown_burst": (
        "{unknown_cards} kartu asing atau lebih di satu pintu dalam {unknown_min} menit",
        "{unknown_cards} or more different cards of nobody at one gate within {unknown_min} minutes",
    ),
    "unknown_probed": (
        "satu kartu asing dicoba di {probe_gates} pintu atau lebih",
        "one card of nobody was tried at {probe_gates} or more gates",
    ),
    "guard_overrides": (
        "petugas membuka untuk {override_denied} kartu atau lebih dalam {override_s} detik setelah ditolak",
        "the guard's button let in {override_denied} or more cards within {override_s} seconds "
        "of their denial",
    ),
    "gate_restarts": (
        "pintu mulai ulang {restarts} kali atau lebih",
        "the gate started {restarts} times or more",
    ),
    "journal_tampered": (
        "jurnal atau daftar pintu tidak sama dengan yang diketahui kantor",
        "the journal or list of a gate is not what the office knows of it",
    ),
}


class Speaker:
    """Speaks one of LANGUAGES. Raises KeyError for a label that is in no table."""

    def __init__(self, language: str, thresholds: Thresholds) -> None:
        self.language = language
        self._at = LANGUAGES.index(language)
        self._limits = asdict(thresholds)

    def __call__(self, label: str) -> str:
        """Return the words of a label."""
        return LABELS[label][self._at]

    def reason(self, code: str) -> str:
        """Return a reason in words; a code that has none stays as it is."""
        return REASONS[code][self._at] if code in REASONS else code

    def alarm(self, code: str) -> str:
        """Return an alarm in words; a code that has none stays as it is."""
        return ALARMS[code][self._at] if code in ALARMS else code

    def signal(self, kind: str) -> str:
        """Return the name of a signal."""
        return SIGNALS[kind][self._at]

    def rule(self, kind: str) -> str:
        """Return the rule of a signal, with the thresholds in force."""
        return RULES[kind][self._at].format(**self._limits)
