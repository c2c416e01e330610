"""The pages that stand alone, the report of a day and that of all benches, in a real browser."""

from pathlib import Path

import pytest

from tests.host.test_bench_report import RESULTS, make
from tests.host.test_office_report import busy
from tests.system.pages_bench import browsing, overflow, violations
from tools.office.report import page as report_page
from tools.office.report.settings import DEFAULTS
from tools.office.report.words import LANGUAGES, Speaker

pytestmark = pytest.mark.requires_program("chromium", package="chromium")


def test_no_serious_fault_of_accessibility_and_nothing_to_scroll_aside_at_390_px(tmp_path: Path) -> None:
    done, benches = make(tmp_path, **RESULTS)
    assert done.exit_code == 0, done.output
    pages = {language: report_page.as_html(busy(), Speaker(language, DEFAULTS)) for language in LANGUAGES}
    with browsing() as browser:
        for name, text in {**pages, "benches": benches}.items():
            for scheme in ("light", "dark"):
                page = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 844})
                page.set_content(text)
                assert (name, scheme, violations(page), overflow(page)) == (name, scheme, [], 0)
                page.close()
