# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a home folder in which ansible-test finds pip without leaving the package index.

ansible-test bootstraps its virtual environments with a get-pip script of one pip version, which it downloads once
into its cache. Where only package registries are reached, that download fails; so this puts a script of the same
effect into the cache, which carries that pip's wheel, and hands on how pip is configured here.
"""

from __future__ import annotations

import ast
import base64
import configparser
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BOOTSTRAP = '''\
import base64, os, sys, tempfile

NAME = {name!r}
WHEEL = """
{wheel}"""


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, NAME)
        with open(path, "wb") as wheel:
            wheel.write(base64.b64decode(WHEEL))
        sys.path.insert(0, path)
        from pip._internal.cli.main import main as pip

        unknown = ("--no-setuptools", "--no-wheel")
        arguments = [path if a.startswith("pip==") else a for a in sys.argv[1:] if a not in unknown]
        code = pip(["install", *arguments])
    sys.exit(code)


if __name__ == "__main__":
    main()
'''


def wanted_pip() -> str:
    """The version of pip that this environment's ansible-test wants."""
    spec = importlib.util.find_spec("ansible_test")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"no ansible-test beside {sys.executable}")
    source = Path(spec.submodule_search_locations[0], "_internal/python_requirements.py").read_text(encoding="utf-8")
    found = re.search(r"^\s+pip='([\d.]+)',$", source, flags=re.MULTILINE)
    if found is None:
        raise SystemExit(f"no version of pip in ansible_test/_internal/python_requirements.py beside {sys.executable}")
    return found[1]


def pip(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "pip", *arguments], check=True, text=True, stdout=subprocess.PIPE
    ).stdout


def write_bootstrap(path: Path, version: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip("download", "--quiet", "--no-deps", "--only-binary=:all:", f"--dest={folder}", f"pip=={version}")
        (wheel,) = Path(folder).glob("*.whl")
        text = BOOTSTRAP.format(name=wheel.name, wheel=base64.encodebytes(wheel.read_bytes()).decode())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_pip_configuration(path: Path) -> None:
    """Environment variables and the user's own file don't reach the pip that ansible-test runs."""
    config = configparser.RawConfigParser()
    for line in pip("config", "list").splitlines():
        name, value = line.split("=", 1)
        section, option = name.split(".", 1)
        section = "global" if section == ":env:" else section
        if not config.has_section(section):
            config.add_section(section)
        config.set(section, option, str(ast.literal_eval(value)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8") as file:
        config.write(file)


def main() -> None:
    home = Path(sys.argv[1])
    version = wanted_pip()
    bootstrap = home / f".ansible/test/cache/get_pip_{version.replace('.', '_')}.py"
    if not bootstrap.exists():
        write_bootstrap(bootstrap, version)
    write_pip_configuration(home / ".config/pip/pip.conf")


if __name__ == "__main__":
    main()
