# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``vbmcd-addresses``: read the command line, plan, carry the plan out, and tell about it as JSON.

Exit codes: 0 done, 1 refused or failed (the reason is on stderr, and as JSON on stdout), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import sys
import time
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Set, Tuple

from vbmcd.addresses import links
from vbmcd.addresses.lists import ADDED, FOLDER, Lists
from vbmcd.addresses.plan import Link, Pair, Steps, Wish, plan
from vbmcd.errors import InvalidRequest, VbmcError

DEFAULT_INTERFACE = "vbmc0"

WAIT_SECONDS = 30.0
"""How long `restore` waits for an interface that somebody else makes when the host starts."""
_LOOK = 0.2

Document = Dict[str, object]


def main(argv: Optional[List[str]] = None) -> int:
    options = _parser().parse_args(argv)
    lists = Lists(options.folder, options.added)
    try:
        with lists.lock():
            answer = _carry_out(options, lists)
    except VbmcError as error:
        print(error, file=sys.stderr)
        json.dump({"error": str(error)}, sys.stdout)
        return 1
    json.dump(answer, sys.stdout)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vbmcd-addresses", description="Keep addresses that virtual BMCs have alone.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the lists are; default: %(default)s")
    parser.add_argument("--added", type=Path, default=ADDED, help="what was added since the start; %(default)s")
    commands = parser.add_subparsers(dest="command", required=True)
    apply = commands.add_parser("apply", help="give an owner's BMCs their addresses")
    apply.add_argument("--owner", required=True, help="whose they are: the name of a lab")
    apply.add_argument("--interface", default=DEFAULT_INTERFACE, help="made where it is missing; default: %(default)s")
    apply.add_argument("--purge", action="store_true", help="remove the owner's others")
    apply.add_argument("addresses", metavar="ADDRESS", nargs="*")
    clear = commands.add_parser("clear", help="remove and forget all of them")
    restore = commands.add_parser("restore", help="add what the lists say: when the host starts")
    for command in (apply, clear, restore):
        command.add_argument("--check", action="store_true", help="only say what would change")
    return parser


def _carry_out(options: argparse.Namespace, lists: Lists) -> Document:
    before = lists.wishes()
    if options.command == "restore":
        return _restore(lists, before, options.check)
    found = links.links()
    if options.command == "clear":
        gone = {owner: Wish(wish.interface, wish.own, ()) for owner, wish in before.items()}
        return _converge(lists, before, gone, found, options.check)
    was, added = before.get(options.owner), lists.added()
    wish = _wish(options, was, found)
    answer = _converge(lists, before, {**before, options.owner: wish}, found, options.check)
    return {
        **answer,
        "before": list(was.addresses) if was is not None else [],
        "after": list(wish.addresses),
        "interface": wish.interface,
        "host": sorted({one for link in found.values() for one in link.addresses if (link.name, one) not in added}),
    }


def _restore(lists: Lists, wishes: Mapping[str, Wish], check: bool) -> Document:
    """What the lists say. Raises LinkError where an interface of others did not come up; the rest is done then."""
    found = _wait(wishes)
    missing = _awaited(wishes, found)
    there = {owner: wish for owner, wish in wishes.items() if wish.interface not in missing}
    answer = _converge(lists, there, there, found, check)
    if missing:
        raise links.LinkError(
            f"no interface {missing[0]!r} within {WAIT_SECONDS:g} seconds: bring it up, then start this again"
        )
    return answer


def _wish(options: argparse.Namespace, was: Optional[Wish], found: Mapping[str, Link]) -> Wish:
    """What the owner wants now."""
    named = [_address(text) for text in options.addresses]
    kept = [] if options.purge or was is None else list(was.addresses)
    link = found.get(options.interface)
    if link is not None:
        own = link.ours
    else:
        # One that others make, and that is away now, stays theirs.
        own = was is None or was.interface != options.interface or was.own
    return Wish(options.interface, own, tuple(dict.fromkeys([*kept, *named])))


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidRequest(f"{text!r} is no IP address: give one, without a prefix length") from None


def _converge(
    lists: Lists, before: Mapping[str, Wish], after: Mapping[str, Wish], found: Mapping[str, Link], check: bool
) -> Document:
    added = lists.added()
    steps = plan(after.values(), found, added)
    saved = {owner: wish for owner, wish in after.items() if _differs(before.get(owner), wish)}
    actions = [*steps.words(), *(f"keep the list of {owner}" for owner in saved)]
    if not check:
        # The lists first: an address that nothing tells of would never be removed again.
        for owner, wish in saved.items():
            lists.save(owner, wish)
        _do(steps, lists, added)
    return {"changed": bool(actions), "actions": actions}


def _differs(before: Optional[Wish], after: Wish) -> bool:
    return bool(after.addresses) if before is None else before != after


def _do(steps: Steps, lists: Lists, added: Set[Pair]) -> None:
    for name in steps.links:
        links.make(name)
    for name in steps.up:
        links.set_up(name)
    if steps.add:
        lists.save_added(added | set(steps.add))
    for name, address in steps.add:
        links.add(name, address)
    for name, address in steps.delete:
        links.delete(name, address)
    for name in steps.delete_links:
        links.remove(name)
    lists.save_added({pair for pair in added | set(steps.add) if _stays(pair, steps)})


def _stays(pair: Pair, steps: Steps) -> bool:
    return pair not in steps.delete and pair[0] not in steps.delete_links


def _wait(wishes: Mapping[str, Wish]) -> Dict[str, Link]:
    """The interfaces, once those are there that others make, or when it has been long enough."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = links.links()
        if not _awaited(wishes, found) or time.monotonic() >= deadline:
            return found
        time.sleep(_LOOK)


def _awaited(wishes: Mapping[str, Wish], found: Mapping[str, Link]) -> Tuple[str, ...]:
    return tuple(wish.interface for wish in wishes.values() if not wish.own and wish.interface not in found)


if __name__ == "__main__":
    sys.exit(main())
