"""What the office does that no step of a story can say, played at a gate of the simulator over its link."""

import json

from firmware.crypto import card_key
from host_sim.scenario import format as scenario_format
from host_sim.scenario import runner, stage

UID = "04000000000001"
STORY = f"""
format: 1
start: "2026-03-02T09:00:00"
site: {{min_tier: uid}}
cards:
  Y1: {{uid: "{UID}"}}
  S1: {{uid: "04000000000031"}}
allow:
  - {{card: Y1, class: yellow, from: "2026-03-02T09:00", until: "2026-03-02T10:00", party: 1}}
  - {{card: S1, class: staff}}
steps:
  - {{after: 1, tap: Y1, dir: in, expect: {{decision: grant, reason: ok}}}}
  - {{after: 1, pass: in}}
  - {{after: 3, office: {{revoke: Y1}}}}
  - {{after: 3, check: {{inside: [Y1], list_seq: 3, alarms: []}}}}
  - {{after: 1, tap: Y1, dir: in, expect: {{decision: deny, reason: unknown_card}}}}
  - {{after: 3, tap: Y1, dir: out, expect: {{decision: grant, reason: exit_revoked, alarm: unknown_exit}}}}
  - {{after: 1, pass: out}}
  - {{after: 3, tap: Y1, dir: out, expect: {{decision: deny, reason: unknown_card, alarm: unknown_exit}}}}
  - {{after: 3, tap: S1, dir: in, expect: {{decision: grant, reason: ok}}}}
  - {{after: 1, check: {{inside: [], alarms: [unknown_exit], lane: open_in}}}}
"""


class Purging(runner.Run):
    """A run whose office drops a card from the list for good whenever it is told to block it."""

    def _acts(self, step):
        assert self._office is not None
        super()._acts(step)
        self._office.books.purge([card_key(stage.SITE_KEY, bytes.fromhex(UID))], self._world.unix())
        self._office.acted()


def test_who_is_inside_and_no_longer_listed_is_let_out_with_an_alarm(monkeypatch):
    monkeypatch.setitem(runner._PLAY, runner.model.Office, Purging._acts)
    one = Purging(scenario_format.parse(STORY, "story.yaml"), "cpython")
    one.play()
    assert [failure.text("story.yaml") for failure in one.failures] == []
    applied = [line for line in map(json.loads, one.log.lines) if line.get("type") == "list_applied"]
    assert len(applied) == 3, "the provisioned list, the delta, the snapshot"
