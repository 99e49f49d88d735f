"""Writes the Grafana dashboards from `panels.yaml`: `python deploy/observability/dashboards/build.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent


def dashboards() -> dict[str, str]:
    """The text of each file by its name, as Grafana imports it: panels three in a row."""
    wanted = yaml.safe_load((HERE / "panels.yaml").read_text())
    return {f"{name}.json": json.dumps(_dashboard(name, **of), indent=2) + "\n" for name, of in wanted.items()}


def _dashboard(name: str, title: str, panels: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "uid": f"pools-{name}",
        "title": title,
        "tags": ["0pools"],
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, **panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, title: str, unit: str, queries: dict[str, str]) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "gridPos": {"x": number % 3 * 8, "y": number // 3 * 8, "w": 8, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "legendFormat": legend, "expr": query.replace("[w]", "[$__rate_interval]")}
            for index, (legend, query) in enumerate(queries.items())
        ],
    }


if __name__ == "__main__":
    for file, text in dashboards().items():
        (HERE / file).write_text(text)
