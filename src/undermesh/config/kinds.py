# SPDX-License-Identifier: Apache-2.0
"""What a setting may hold: from TOML values, environment text and flags to real types."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Secret:
    """A text that is never printed. Its value is read through `reveal()` only."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('***')"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is read. `parse` raises ValueError with what is wrong with the value."""

    name: str
    allowed: str
    parse: Callable[[object], object]
    show: Callable[[object], object] = str
    """The value as TOML and JSON would hold it."""


def _same(value: object) -> object:
    return value


def choice(*words: str) -> Kind:
    """One of a closed list of words."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or value.strip().lower() not in words:
            raise ValueError(f"{value!r} is not one of them")
        return value.strip().lower()

    return Kind("word", ", ".join(words), parse)


def whole(low: int, high: int, *, power_of_two: bool = False) -> Kind:
    """A whole number between `low` and `high`, both included."""

    def parse(value: object) -> int:
        number = _whole(value)
        if not low <= number <= high:
            raise ValueError(f"{number} is out of range")
        if power_of_two and number & (number - 1):
            raise ValueError(f"{number} is not a power of two")
        return number

    kind = "a power of two" if power_of_two else "a whole number"
    return Kind("number", f"{kind} from {low} to {high}", parse, _same)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is not a whole number")
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a whole number") from None


def duration(low: timedelta, high: timedelta) -> Kind:
    """A length of time: seconds as a number, or text such as "500ms", "2s", "5m", "1h"."""

    def parse(value: object) -> timedelta:
        length = _duration(value)
        if not low <= length <= high:
            raise ValueError(f"{value!r} is out of range")
        return length

    allowed = f'seconds, or text such as "500ms", "2s", "1h"; {_text(low)} to {_text(high)}'
    return Kind("duration", allowed, parse, _text)


def _duration(value: object) -> timedelta:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value <= 1e9:
            raise ValueError(f"{value!r} is out of range")
        return timedelta(seconds=value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or len(match.group(1)) > 12:
        raise ValueError(f"{value!r} is not a length of time")
    seconds = float(match.group(1)) * _SECONDS[match.group(2) or "s"]
    if seconds > 1e9:
        raise ValueError(f"{value!r} is out of range")
    return timedelta(seconds=seconds)


def _text(value: object) -> str:
    if not isinstance(value, timedelta):
        return str(value)
    ms = round(value / timedelta(milliseconds=1))
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise ValueError(f"{value!r} is neither true nor false")


def _absolute(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"{value!r} is not a path")
    path = Path(value)
    if "\0" in str(path) or not path.is_absolute():
        raise ValueError(f"{str(value)!r} does not start with '/'")
    if ".." in path.parts:
        raise ValueError(f"{str(value)!r} contains '..'")
    return path


def _label(value: object) -> str:
    if not isinstance(value, str) or not LABEL.fullmatch(value):
        raise ValueError(f"{value!r} is not such a name")
    return value


def _host_name(value: object) -> str:
    if not isinstance(value, str) or not _HOST_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a host name")
    return value


def _group(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}", value):
        raise ValueError(f"{value!r} is not a group name")
    return value


def _loopback(value: object) -> tuple[str, int]:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not an address")
    host, colon, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ValueError(f"{value!r} is not ADDRESS:PORT") from None
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{value!r} has no port from 1 to 65535")
    if not address.is_loopback:
        raise ValueError(f"{address} can be reached from outside this host")
    return str(address), int(port)


def _show_listen(value: object) -> object:
    if not isinstance(value, tuple):
        return value
    host, port = value
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _token(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    text = value.strip() if isinstance(value, str) else ""
    # The value is never part of the message: messages reach logs.
    if not re.fullmatch(r"[\x21-\x7e]{16,512}", text):
        raise ValueError("the token is too short, too long or has characters a header cannot carry")
    return Secret(text)


SWITCH = Kind("switch", "true or false", _switch, _same)
PATH = Kind("path", "an absolute path", _absolute)
NAME = Kind("name", "lower-case letters, digits and '-', at most 63 of them", _label)
HOST_NAME = Kind("name", "letters, digits, '.', '-' and '_', at most 253 of them", _host_name)
GROUP = Kind("name", "the name of a group of this host", _group)
LOOPBACK = Kind(
    "address", "a loopback address and a port, such as 127.0.0.1:8600", _loopback, _show_listen
)
TOKEN = Kind(
    "secret", "16 to 512 printable ASCII characters without blanks", _token, lambda _: "***"
)
