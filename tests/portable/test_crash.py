"""What is kept of a fault is read as it was written, and nothing else is taken for one."""

from firmware import crash

TEXT = "task reader out, cause 3, uptime 86461 s, free 20480 bytes\nTraceback\nValueError: a, b"


def test_a_text_says_what_was():
    assert crash.facts(TEXT) == ("reader out", 3, 86461, 20480)
    assert crash.facts(TEXT.split("\n")[0]) == ("reader out", 3, 86461, 20480)


def test_the_record_says_the_same():
    assert crash.fields(TEXT) == (4, 3, bytes.fromhex("000151bd00005000"))
    assert crash.of_record(*crash.fields(TEXT)) == crash.facts(TEXT)


def test_every_task_has_its_code():
    for code in range(1, len(crash.TASKS)):
        task = crash.TASKS[code]
        assert crash.fields("task %s, cause 1, uptime 0 s, free 0 bytes" % task)[0] == code
        assert crash.of_record(code, 1, bytes(8)) == (task, 1, 0, 0)
    assert crash.TASKS[:6] == ("", "start", "inputs", "reader in", "reader out", "housekeeping")
    assert crash.TASKS[6:] == ("link", "sntp", "display", "expander"), "append only: they are in journals"


def test_a_task_of_another_version_has_no_name():
    assert crash.fields("task brewing, cause 17, uptime 0 s, free 0 bytes")[:2] == (0, 1)
    assert crash.of_record(len(crash.TASKS), 2, bytes(8)) == ("", 2, 0, 0)


def test_anything_else_is_no_text_of_a_fault():
    for text in (
        "",
        "task start",
        "task start, cause 1, uptime 0 s",
        "task start, cause 1, uptime 0 s, free 0 bytes, more",
        "tusk start, cause 1, uptime 0 s, free 0 bytes",
        "task start, cause x, uptime 0 s, free 0 bytes",
        "task start, cause 1, uptime , free 0 bytes",
    ):
        try:
            crash.facts(text)
        except ValueError:
            continue
        raise AssertionError(text)


def test_it_is_said_what_was_no_text():
    try:
        crash.facts("start, cause 1\nmore")
    except ValueError as error:
        assert str(error) == "no text of a fault: start"
    else:
        raise AssertionError
