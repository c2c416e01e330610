"""What Home Assistant is told so that it shows the gates: MQTT discovery of the gates' reports for everybody.

Owns names and templates, no connection. The reports are not signed: for panels, never a reason for anything.
Format: Home Assistant, "MQTT integration", chapter "Discovery messages".
"""

import json
from collections.abc import Iterator
from typing import Any

PREFIX = "homeassistant"  # its default, `discovery_prefix`

# (component, object, name, template over `value_json`, further settings). The report of a gate that is away
# has only `online`, so every template has to do without its field.
_ENTITIES: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    (
        "binary_sensor",
        "online",
        "Connected",
        "{{ 'ON' if value_json.online else 'OFF' }}",
        {"device_class": "connectivity", "entity_category": "diagnostic"},
    ),
    (
        "binary_sensor",
        "fault",
        "Fault",
        "{{ 'ON' if value_json.fault | default('') else 'OFF' }}",
        {"device_class": "problem"},
    ),
    ("sensor", "lane", "Lane", "{{ value_json.lane | default('') }}", {}),
    ("sensor", "mode", "Mode", "{{ value_json.mode | default('') }}", {}),
    (
        "sensor",
        "occupancy",
        "People inside",
        "{{ value_json.occupancy | default(0) }}",
        {"state_class": "measurement"},
    ),
    ("sensor", "alarms", "Alarms", "{{ value_json.alarms | default([]) | join(', ') }}", {}),
    (
        "sensor",
        "list",
        "List",
        "{{ (value_json.list | default({}, true)).seq | default(0) }}",
        {"entity_category": "diagnostic"},
    ),
    (
        "sensor",
        "undelivered",
        "Records to deliver",
        "{{ (value_json.journal | default({}, true)).undelivered | default(0) }}",
        {"state_class": "measurement", "entity_category": "diagnostic"},
    ),
)


def messages(site: str, gate: str) -> Iterator[tuple[str, bytes]]:
    """Yield (topic, payload) of what is to be published, retained, for one gate."""
    status = f"pinter/1/{site}/{gate}/status"
    node = f"pinter_{site}_{gate}".replace(".", "_")
    device = {"identifiers": [node], "name": f"Gate {gate} {site}", "manufacturer": "PINTER"}
    for component, name, title, template, more in _ENTITIES:
        value = {
            "name": title,
            "unique_id": f"{node}_{name}",
            "object_id": f"{node}_{name}",
            "state_topic": status,
            "value_template": template,
            "device": device,
            "origin": {"name": "PINTER"},
            **more,
        }
        if name != "online":
            value["availability_topic"] = status
            value["availability_template"] = "{{ 'online' if value_json.online else 'offline' }}"
        yield f"{PREFIX}/{component}/{node}/{name}/config", json.dumps(value).encode()
