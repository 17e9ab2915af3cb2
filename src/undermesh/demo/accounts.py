# SPDX-License-Identifier: Apache-2.0
"""Whom the parts of the shop run as."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys


def choose(caller: str | None) -> tuple[str | None, str | None]:
    """Whom servers and Python services run as: nobody in particular where that works. Python may
    live where only its owner can read (a home directory), so that is tried, not assumed."""
    if os.geteuid() != 0:
        return None, None
    known = {entry.pw_name for entry in pwd.getpwall()}
    account = next((name for name in ("www-data", "nobody") if name in known), None)
    for candidate in (account, caller):
        if candidate and _runs_python(candidate):
            return account, candidate
    return account, None


def _runs_python(account: str) -> bool:
    try:
        known = pwd.getpwuid(int(account)) if account.isdecimal() else pwd.getpwnam(account)
        tried = subprocess.run(
            [sys.executable, "-c", "import undermesh.demo.services"],
            check=False,
            user=known.pw_uid,
            group=known.pw_gid,
            extra_groups=[],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
    except (OSError, KeyError):
        return False
    return tried.returncode == 0
