"""The gate's report: what it is doing, for a technician at the keyboard and for the broker.

Owns its names and what is in it; reads no flash and changes nothing. For app.App.status and for link.py.
"""

import json

from . import lane


def report(gate, link) -> dict:
    """Return the report on `gate` (gate.Gate), as it can be written in JSON; keys of cards in hex.

    `link`: why the gate is not connected, "" if it is; None without a broker in the config.
    """
    journal, credentials = gate.journal, gate.list
    found = {
        "fault": gate.fault,
        "lane": "fault" if gate.fault else lane.name(gate.lane),
        "mode": gate.lane.mode,
        "inside": sorted([key.hex() for key in gate.presence.inside()]),
        "occupancy": gate.presence.occupancy(),
        "alarms": sorted({kind for kind, _ in gate.alarms}),
        "trusted": gate.clock.trusted,
        "time": gate.clock.now(),
        "clock": {
            "source": gate.clock.source,
            "synced": gate.clock.synced,
            "drift_ppm": gate.clock.drift_ppm,
        },
        "list": {"seq": credentials.seq, "count": credentials.count, "expires": credentials.expires}
        if credentials
        else None,
        "journal": {"seq": journal.seq, "undelivered": journal.undelivered, "lost": journal.lost}
        if journal
        else None,
    }
    if link is not None:
        found["link"] = link
    return found


def for_broker(status: dict, rejected: int) -> bytes:
    """Return the report `status`, which it spends, for everybody on the broker: without the cards inside.

    `rejected`: frames of the office that changed nothing. `online` is true: the last will, which the broker
    publishes for a gate that is gone, says false.
    """
    status.pop("inside", None)
    status["online"] = True
    status["rejected_frames"] = rejected
    return json.dumps(status).encode()
