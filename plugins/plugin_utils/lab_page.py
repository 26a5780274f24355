# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's report as one HTML page, from templates/status of the role ``lab``.

Called by the filter ``lab_page``. Ansible's own templating escapes nothing, and names, errors and versions in a report
are what other machines say; so this has an environment of its own, in which everything is escaped.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Mapping

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATE = "page.html.j2"


def page(report: Mapping[str, Any], templates: str, now: datetime) -> str:
    """The page of a lab_report.report(). `templates`: a folder with a page.html.j2. `now` may be of any time zone."""
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["gib"] = gib
    return environment.get_template(TEMPLATE).render(report=report, now=now.astimezone(timezone.utc))


def gib(mebibytes: int) -> str:
    """MiB as GiB, with a digit after the point where that says more."""
    amount = mebibytes / 1024
    return f"{amount:.0f}" if amount >= 10 or amount == int(amount) else f"{amount:.1f}"
