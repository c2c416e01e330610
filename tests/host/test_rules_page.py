"""docs/rules.md says what the code does."""

from firmware import config, lane, policy
from tools.docs import rules_page


def test_the_page_is_what_the_tables_give():
    assert rules_page.PAGE.read_text(encoding="utf-8") == rules_page.render(), (
        "run `python -m tools.docs.rules_page`"
    )


def test_every_alarm_and_setting_is_explained():
    assert sorted(rules_page.ALARM_CAUSES) == sorted(policy.ALARMS[1:])
    assert sorted(rules_page.SITE_MEANINGS) == sorted(row[0] for row in config.KEYS)
    assert sorted(rules_page.NETWORK_MEANINGS) == sorted(row[0] for row in config.NETWORK_KEYS)


def test_alarms_without_a_cause_of_their_own_come_from_decisions():
    raised = {alarm for rows in policy.ROWS.values() for _, _, alarm, _ in rows}
    assert {name for name, cause in rules_page.ALARM_CAUSES.items() if not cause} <= raised


def test_every_predicate_and_handler_says_in_words_what_it_does():
    for rows in policy.ROWS.values():
        for reason, _, _, applies in rows:
            assert rules_page.words(applies), reason
    for where, handler in lane.STEPS.items():
        assert rules_page.words(handler), where


def test_every_reason_that_a_row_gives_stands_in_the_page():
    page = rules_page.render()
    for reason in policy.REASONS[1:]:
        assert "`%s`" % reason in page
