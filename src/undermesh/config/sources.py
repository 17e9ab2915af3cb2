# SPDX-License-Identifier: Apache-2.0
"""File, environment and flags into one `Config`; a flag wins over the environment, that over the
file, and every error is reported, not only the first."""

import dataclasses
import difflib
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undermesh.config import kinds
from undermesh.config.diagnostics import ConfigError, Diagnostic
from undermesh.config.kinds import Secret
from undermesh.config.rooms import ApiConfig, Config
from undermesh.config.settings import Setting, settings_of

Place = tuple[str, int | None]
"""Where a value is from: the file and its line, or the variable or flag."""

DEFAULT_FILE = Path("/etc/undermesh/undermesh.toml")
FILE_LIMIT = 1 << 20
_SOCKET_LIMIT = 107  # unix(7): sun_path holds 108 bytes with the terminating zero
_SETTINGS = {setting.key: setting for setting in settings_of(Config)}
_ENVIRONMENT = {name: setting for setting in _SETTINGS.values() for name in setting.env}
_HEADER = re.compile(r"\s*\[\s*([A-Za-z0-9_.\s\"'-]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+(?:\s*\.\s*[A-Za-z0-9_\"'-]+)*)\s*=")


def load(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Config:
    """The effective configuration.

    `file` None means UNDERMESH_CONFIG, and else /etc/undermesh/undermesh.toml where it exists.
    `flags` maps dotted keys to values; None values are flags that were not given.

    Raises ConfigError with every diagnostic there is.
    """
    environ = os.environ if environ is None else environ
    read = _Read()
    path = chosen_file(file, environ)
    if path is not None:
        read.sources.append(str(path))
        for key, value, line in _read_file(path, read.wrong):
            read.take(key, value, (str(path), line))
    _read_environment(environ, read)
    for key, value in (flags or {}).items():
        if value is not None:
            source = "--" + key.rpartition(".")[2].replace("_", "-")
            read.sources.append(source)
            read.take(key, value, (source, None))
    if _rank(read.origin.get("agent.instance")) > _rank(read.origin.get("api.socket")):
        read.values.pop("api.socket", None)  # it is the socket of the instance meant there

    config = dataclasses.replace(
        _build(read.values), sources=tuple(read.sources), warnings=tuple(read.warnings)
    )
    wrong = (*read.wrong, *_check(config, read.origin))
    if wrong:
        raise ConfigError(wrong)
    return config


class _Read:
    """What was read so far: values by key, where each is from, and what is wrong."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.origin: dict[str, Place] = {}
        self.wrong: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self.sources: list[str] = []

    def take(self, key: str, value: object, where: Place) -> None:
        """Takes one value, or notes what is wrong with it."""
        source, line = where
        setting = _SETTINGS.get(key)
        allowed = suggestion = ""
        if setting is None:
            problem, suggestion = "no such key", _suggest(key)
        else:
            try:
                self.values[key] = setting.kind.parse(value)
                self.origin[key] = where
                return
            except ValueError as error:
                problem, allowed = str(error), setting.kind.allowed
        self.wrong.append(
            Diagnostic(
                source=source,
                line=line,
                key=key,
                problem=problem,
                allowed=allowed,
                suggestion=suggestion,
            )
        )


def _read_environment(environ: Mapping[str, str], read: _Read) -> None:
    """Takes every UNDERMESH_ variable that is not empty; one that is no setting is a warning."""
    for name in sorted(environ):
        if not name.startswith("UNDERMESH_") or name == "UNDERMESH_CONFIG":
            continue
        setting = _ENVIRONMENT.get(name)
        if setting is None:
            near = _near(name, _ENVIRONMENT)
            read.warnings.append(
                Diagnostic(source=name, key="", problem="no such setting", suggestion=near)
            )
        elif environ[name] != "":
            read.sources.append(name)
            read.take(setting.key, environ[name], (name, None))


def _rank(where: Place | None) -> int:
    """Which source wins: a flag (3), the environment (2), the file (1), nothing (0)."""
    if where is None:
        return 0
    source, _ = where
    return 3 if source.startswith("--") else 2 if source in _ENVIRONMENT else 1


def chosen_file(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file that is read: the one named, and else the usual one where it exists."""
    if file is not None:
        return file
    if environ.get("UNDERMESH_CONFIG"):
        return Path(environ["UNDERMESH_CONFIG"])
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _suggest(key: str) -> str:
    """The known key that is nearest: the same name in another table first, then a like one."""
    name = key.rpartition(".")[2]
    for known in _SETTINGS.values():
        if known.name == name:
            return known.key
    return _near(key, _SETTINGS)


def _near(name: str, known: Mapping[str, Setting]) -> str:
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.6)), "")


def _read_file(path: Path, wrong: list[Diagnostic]) -> list[tuple[str, object, int | None]]:
    """(key, value, line) of every leaf in the file."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_LIMIT + 1)
        if len(raw) > FILE_LIMIT:
            raise ValueError(f"is larger than {FILE_LIMIT} bytes")
        text = raw.decode()
        document = tomllib.loads(text)
    except OSError as error:
        problem = f"reading it: {error.strerror or error}"
        wrong.append(Diagnostic(source=str(path), key="", problem=problem))
        return []
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        line = int(at.group(1)) if at else None
        wrong.append(Diagnostic(source=str(path), line=line, key="", problem=f"not TOML: {error}"))
        return []
    except ValueError as error:  # UnicodeDecodeError is one
        wrong.append(Diagnostic(source=str(path), key="", problem=str(error)))
        return []
    lines = _lines_of(text)
    return [(key, value, lines.get(key)) for key, value in _leaves(document, "")]


def _leaves(table: Mapping[str, Any], prefix: str) -> list[tuple[str, object]]:
    """Dotted key and value of everything in a TOML document that is not a table of ours."""
    found: list[tuple[str, object]] = []
    for name, value in table.items():
        key = f"{prefix}.{name}" if prefix else name
        ours = any(known.startswith(f"{key}.") for known in _SETTINGS)
        if isinstance(value, dict) and (ours or key not in _SETTINGS):
            found.extend(_leaves(value, key) if value or ours else [(key, value)])
        else:
            found.append((key, value))
    return found


def _lines_of(text: str) -> dict[str, int]:
    """Line of each dotted key; the parser keeps no positions, so they are looked for."""
    table = ""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _HEADER.match(line):
            table = _plain(match.group(1))
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            name = _plain(match.group(1))
            key = f"{table}.{name}" if table else name
            lines.setdefault(key, number)
            for inner in re.findall(r"[{,]\s*([A-Za-z0-9_-]+)\s*=", line):
                lines.setdefault(f"{key}.{inner}", number)
    return lines


def _plain(key: str) -> str:
    return re.sub(r"[\s\"']", "", key)


def _build(values: Mapping[str, object]) -> Config:
    """A Config from what was read; what is missing takes its default."""

    def fill(room: type, table: str) -> Any:
        given: dict[str, Any] = {}
        for field in dataclasses.fields(room):
            key = f"{table}.{field.name}" if table else field.name
            if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
                given[field.name] = fill(field.type, key)
            elif key in values:
                given[field.name] = values[key]
        return room(**given)

    config: Config = fill(Config, "")
    if not config.agent.node:
        node = re.sub(r"[^A-Za-z0-9._-]", "-", os.uname().nodename).strip("-._") or "localhost"
        config = dataclasses.replace(config, agent=dataclasses.replace(config.agent, node=node))
    return config


def _check(config: Config, origin: Mapping[str, Place]) -> list[Diagnostic]:
    """What is wrong with settings that are each right by themselves."""
    wrong: list[Diagnostic] = []

    def say(key: str, problem: str, allowed: str = "") -> None:
        source, line = origin.get(key, ("default", None))
        wrong.append(
            Diagnostic(source=source, line=line, key=key, problem=problem, allowed=allowed)
        )

    api = config.api
    if api.token is not None and api.token_file is not None:
        say("api.token_file", "there is a token already in api.token", "one of the two")
    elif api.listen is not None and api.token is None and api.token_file is None:
        say("api.listen", "nobody could be let in", "only together with api.token_file")
    source, line = origin.get("api.token", ("", None))
    if line is not None and (problem := _too_open(Path(source))):
        say("api.token", f"it stands in a file that {problem}", "chmod 600, or a token_file")
    if api.token_file is not None:
        try:
            read_token(api.token_file)
        except ValueError as error:
            say("api.token_file", str(error), kinds.TOKEN.allowed + ", in a file of mode 0600")
    if len(os.fsencode(config.socket)) > _SOCKET_LIMIT:
        key = "api.socket" if api.socket else "agent.runtime_dir"
        say(key, f"the path {config.socket} is too long", f"at most {_SOCKET_LIMIT} bytes")
    return wrong


def _too_open(path: Path) -> str:
    """Who else may read or write a file, in words; empty when nobody."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        return "is not a file"
    return f"others may read or write (mode {mode & 0o777:04o})" if mode & 0o077 else ""


def read_token(path: Path) -> Secret:
    """The token in a file. Raises ValueError when it is missing, too open or no token."""
    try:
        if problem := _too_open(path):
            raise ValueError(f"{path} {problem}")
        with path.open("rb") as stream:
            token = kinds.TOKEN.parse(stream.read(4096).decode("ascii", "replace"))
    except OSError as error:
        raise ValueError(f"reading {path}: {error.strerror or error}") from error
    assert isinstance(token, Secret)
    return token


def bearer(api: ApiConfig) -> Secret | None:
    """The token that callers over TCP must show; None when there is none."""
    return read_token(api.token_file) if api.token_file is not None else api.token


def settings() -> tuple[Setting, ...]:
    """Every setting there is."""
    return tuple(_SETTINGS.values())
