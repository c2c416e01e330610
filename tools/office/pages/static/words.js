// Every word of the pages: [Indonesian, English].
const WORDS = {
  skip: ["Langsung ke isi", "Skip to content"],
  pages: ["Halaman", "Pages"],
  desk: ["Meja layanan", "Service desk"],
  supervisor: ["Pengawas", "Supervisor"],
  leave: ["Keluar", "Log out"],
  login: ["Masuk", "Log in"],
  token: ["Token", "Token"],
  token_hint: ["Dari pengelola kantor. Token menentukan apa yang boleh dilakukan.", "From who runs the office. The token says what you may do."],
  actor: ["Nama petugas", "Your name"],
  actor_hint: ["Tercatat dalam jejak audit.", "Stands in the audit trail."],
  actor_ascii: ["Nama petugas: hanya huruf Latin tanpa aksen, angka, dan tanda baca", "Your name: plain Latin letters, digits and signs only"],
  optional: ["(boleh kosong)", "(optional)"],
  session_over: ["Sesi berakhir. Silakan masuk lagi.", "The session is over. Please log in again."],
  unreachable: ["Kantor tidak terjangkau. Periksa jaringan, lalu coba lagi.", "The office cannot be reached. Check the network, then try again."],
  scan: ["Kartu", "Card"],
  scan_hint: ["Tempelkan kartu pada pembaca, atau ketik nomornya lalu Enter.", "Hold the card to the reader, or type its number and press Enter."],
  look: ["Cari", "Find"],
  out: ["Kartu di tangan pengunjung", "Cards in visitors' hands"],
  kept: ["Identitas yang dititipkan", "Documents that we keep"],
  nothing: ["Tidak ada", "None"],
  free: ["Tersedia", "Free"],
  issued: ["Dipakai", "Issued"],
  lost: ["Hilang", "Lost"],
  blocked: ["Diblokir", "Blocked"],
  class: ["Kelas", "Class"],
  yellow: ["Kuning", "Yellow"], green: ["Hijau", "Green"], blue: ["Biru", "Blue"], staff: ["Petugas", "Staff"],
  window: ["Jadwal", "Window"],
  untimed: ["tanpa batas waktu", "untimed"],
  party: ["Rombongan", "Party"],
  booking: ["Kode antrean", "Booking code"],
  position: ["Posisi", "Position"],
  inside: ["di dalam", "inside"], outside: ["di luar", "outside"], unknown: ["belum diketahui", "not known"],
  document: ["Jenis identitas", "Kind of document"],
  identity: ["Nomor identitas", "Number of the document"],
  identity_hint: ["Nomor tidak disimpan.", "The number is not kept."],
  place: ["Tempat simpan", "Where it is kept"],
  deposit: ["Titipan", "Deposit"],
  give_to: ["Serahkan kartu untuk", "Hand the card out for"],
  with_booking: ["Kode antrean", "Booking"],
  without_booking: ["Tanpa antrean", "No booking"],
  companion: ["Pendamping", "Companion"],
  from: ["Mulai", "From"],
  until: ["Sampai", "Until"],
  now: ["kosong = sekarang", "empty = now"],
  principal: ["Kartu pemohon", "Applicant's card"],
  principal_hint: ["Tempelkan kartu pemohon yang didampingi.", "Hold the card of the applicant to the reader."],
  slow: ["Perlu waktu lebih di pintu", "Needs more time at the gate"],
  issue: ["Serahkan kartu", "Hand out the card"],
  take_back: ["Terima kembali", "Take back"],
  report_lost: ["Kartu hilang", "Report lost"],
  revoke: ["Blokir", "Block"],
  restore: ["Kartu ditemukan", "Card was found"],
  correct: ["Betulkan posisi", "Correct position"],
  close_deposit: ["Kembalikan identitas", "Give the document back"],
  close: ["Tutup", "Close"],
  refused: ["Ditolak", "Refused"],
  done_issue: ["Kartu siap diserahkan", "Card is ready to hand out"],
  done_return: ["Kartu diterima kembali dan diblokir", "Card taken back and blocked"],
  done_lost: ["Kartu dilaporkan hilang", "Card reported lost"],
  done_revoke: ["Kartu diblokir", "Card blocked"],
  done_restore: ["Kartu kembali tersedia", "Card is in the pool again"],
  done_position: ["Posisi dibetulkan", "Position corrected"],
  done_deposit_close: ["Titipan selesai", "Deposit closed"],
  give_back: ["KEMBALIKAN", "GIVE BACK"],
  keep: ["SIMPAN", "KEEP"],
  ask_lost: ["Laporkan kartu {0} hilang?", "Report card {0} lost?"],
  ask_lost_text: ["Kartu tidak dapat dipakai lagi sampai pengawas memulihkannya.", "Nobody can use it again until a supervisor restores it."],
  ask_revoke: ["Blokir kartu {0}?", "Block card {0}?"],
  ask_revoke_text: ["Pemegangnya masih dapat keluar, tetapi tidak masuk lagi.", "Its holder can still leave, but not enter again."],
  no: ["Batal", "Cancel"],
  occupancy: ["orang di ruang layanan", "people in the service room"],
  handed: ["kartu di tangan pengunjung", "cards in visitors' hands"],
  online_gates: ["pintu tersambung", "gates online"],
  alarms_hour: ["alarm dalam satu jam", "alarms within an hour"],
  gates: ["Pintu", "Gates"],
  gate: ["Pintu", "Gate"],
  online: ["tersambung", "online"],
  offline: ["terputus", "offline"],
  not_served: ["tidak diketahui", "not known"],
  heard: ["Terdengar", "Heard"],
  ago: ["{0} detik lalu", "{0} s ago"],
  list: ["Daftar", "List"],
  up_to_date: ["terbaru", "up to date"],
  behind: ["tertinggal {0}", "{0} behind"],
  undelivered: ["Catatan tertunda", "Records on the way"],
  mode: ["Mode", "Mode"],
  lane: ["Jalur", "Lane"],
  fault: ["Gangguan", "Fault"],
  normal: ["normal", "normal"], lockdown: ["kunci total", "lockdown"], out_of_service: ["tidak melayani", "out of service"],
  mode_free: ["terbuka bebas", "free passage"],
  set: ["Terapkan", "Set"],
  open_in: ["Buka masuk", "Open in"],
  open_out: ["Buka keluar", "Open out"],
  identify: ["Kedipkan lampu", "Identify"],
  reboot: ["Mulai ulang", "Restart"],
  acknowledge: ["Tandai alarm diterima", "Acknowledge alarm"],
  commands: ["Perintah", "Commands"],
  sent: ["dikirim…", "sent…"],
  arrived: ["diterima pintu", "the gate has it"],
  waiting: ["belum diterima pintu; berlaku satu jam", "the gate has not had it yet; it holds for an hour"],
  ask_command: ["Pintu {0}: {1}?", "Gate {0}: {1}?"],
  ask_command_text: ["Perintah ini tercatat atas nama Anda.", "This is recorded in your name."],
  events: ["Kejadian", "Events"],
  live: ["langsung", "live"],
  reconnecting: ["menyambung kembali…", "reconnecting…"],
  show: ["Tampilkan", "Show"],
  all: ["semua", "everything"],
  grants: ["izin masuk dan keluar", "grants"],
  passages: ["lintasan", "passages"],
  denials: ["penolakan", "denials"],
  alarms: ["Alarm", "Alarms"],
  time: ["Waktu", "Time"], what: ["Kejadian", "What"], card: ["Kartu", "Card"],
  report: ["Laporan harian", "Report of the day"],
  day: ["Tanggal", "Day"],
  new_tab: ["Buka di tab baru", "Open in a new tab"],
  audit: ["Jejak audit", "Audit trail"],
  earlier: ["Sebelumnya", "Earlier"],
  visit: ["Kunjungan", "Visit"],
  many_cards: ["{0} kartu", "{0} cards"], many_visits: ["{0} kunjungan", "{0} visits"],
  many_bookings: ["{0} antrean", "{0} bookings"], many_deposits: ["{0} titipan", "{0} deposits"],
  number: ["No.", "No."], who: ["Siapa", "Who"], act: ["Tindakan", "Act"], about: ["Tentang", "About"],
  in: ["masuk", "in"], dir_out: ["keluar", "out"],
  ev_grant: ["diizinkan", "granted"], ev_deny: ["ditolak", "denied"], ev_passage: ["lewat", "passed"],
  ev_late_passage: ["lewat terlambat", "passed late"], ev_no_passage: ["tidak lewat", "did not pass"],
  ev_alarm: ["ALARM", "ALARM"], ev_alarm_end: ["alarm berakhir", "alarm over"], ev_boot: ["mulai", "started"],
  ev_mode: ["mode", "mode"], ev_command: ["perintah", "command"], ev_list_applied: ["daftar diterapkan", "list applied"],
  ev_clock: ["jam dibetulkan", "clock put right"], ev_override: ["tombol petugas", "guard's button"],
  ev_presence: ["posisi", "position"], ev_crash: ["galat program", "fault of the program"],
};

let language = localStorage.getItem("pinter-language") === "en" ? 1 : 0;
const more = {};

export const code = () => ["id", "en"][language];
/** Adds words that the office gives: reasons and alarms. */
export function learn(words) { for (const [name, texts] of Object.entries(words)) more[`r_${name}`] = texts; }
/** Returns the text of `key`, or the key itself if nobody knows it. */
export function t(key, ...values) {
  const found = WORDS[key] ?? more[key];
  const text = found ? found[language] : key.replace(/^(r|ev)_/, "").replaceAll("_", " ");
  return text.replace(/\{(\d)\}/g, (_, at) => values[at]);
}
/** Puts the words of the language into the page below `root`. */
export function translate(root = document) {
  for (const [attribute, to] of [["data-t", ""], ["data-t-label", "aria-label"], ["data-t-title", "title"]]) {
    for (const element of root.querySelectorAll(`[${attribute}]`)) {
      const text = t(element.getAttribute(attribute));
      if (to) element.setAttribute(to, text); else element.textContent = text;
    }
  }
  document.documentElement.lang = code();
}
export function toggle() {
  language = 1 - language;
  localStorage.setItem("pinter-language", code());
  translate();
}
