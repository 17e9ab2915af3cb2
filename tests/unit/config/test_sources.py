# SPDX-License-Identifier: Apache-2.0
"""File, environment and flags become one configuration, or every error at once."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undermesh import config
from undermesh.config.kinds import Secret

TOKEN = "0123456789abcdef"


@pytest.fixture
def write(tmp_path):
    def make(text, mode=0o600):
        path = tmp_path / "undermesh.toml"
        path.write_text(text)
        path.chmod(mode)
        return path

    return make


def wrong(**sources):
    with pytest.raises(config.ConfigError) as caught:
        config.load(**{"environ": {}, **sources})
    return caught.value.diagnostics


def test_without_any_source_everything_has_its_default():
    found = config.load(environ={})
    assert found.socket == Path("/run/undermesh/default.sock")
    assert found.agent.state == Path("/var/lib/undermesh/default")
    assert found.agent.pid_file == Path("/run/undermesh/default.pid")
    assert found.agent.detach_log == Path("/var/log/undermesh/default.log")
    assert found.agent.node
    assert found.api.listen is None


def test_a_flag_wins_over_the_environment_and_that_over_the_file(write):
    path = write('[agent]\ninstance = "file"\nnode = "file"\n[kernel]\nshards = 2\n')
    found = config.load(
        file=path,
        environ={"UNDERMESH_INSTANCE": "env", "UNDERMESH_KERNEL_SHARDS": "8"},
        flags={"kernel.shards": 16, "agent.instance": None},
    )
    assert (found.agent.node, found.agent.instance, found.kernel.shards) == ("file", "env", 16)
    assert found.sources == (str(path), "UNDERMESH_INSTANCE", "UNDERMESH_KERNEL_SHARDS", "--shards")


def test_the_environment_can_name_the_file(write):
    path = write("[kernel.sizes]\nseries = 100\n")
    found = config.load(environ={"UNDERMESH_CONFIG": str(path)})
    assert found.kernel.sizes.entries()["um_series"] == 100
    assert found.kernel.sizes.entries()["um_flows"] == 4 << 20


def test_values_have_real_types(tmp_path, write):
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    path = write(
        f"""
        [kernel]
        scope = "/sys/fs/cgroup/test.slice"
        keep_query = true
        [telemetry]
        window = 90
        gone_for = "1.5h"
        [api]
        listen = "[::1]:8600"
        token_file = "{token}"
        """
    )
    found = config.load(file=path, environ={})
    assert found.kernel.scope == Path("/sys/fs/cgroup/test.slice")
    assert found.kernel.keep_query is True
    assert found.telemetry.window == timedelta(seconds=90)
    assert found.telemetry.gone_for == timedelta(minutes=90)
    assert found.api.listen == ("::1", 8600)
    assert config.bearer(found.api).reveal() == TOKEN


def test_every_error_is_reported_with_its_place(write):
    path = write(
        """\
[agent]
instance = "Not A Label"
shards = 4
[kernel]
keepquery = true
[kernel.sizes]
flows_bytes = 5000
[api]
listen = "0.0.0.0:80"
[telemetry]
window = "3w"
"""
    )
    found = wrong(
        file=path,
        environ={"UNDERMESH_LOG_LEVEL": "loud"},
        flags={"kernel.plain_per_s": -1},
    )
    said = [(d.source, d.line, d.key, d.suggestion) for d in found]
    assert said == [
        (str(path), 2, "agent.instance", ""),
        (str(path), 3, "agent.shards", "kernel.shards"),
        (str(path), 5, "kernel.keepquery", "kernel.keep_query"),
        (str(path), 7, "kernel.sizes.flows_bytes", ""),
        (str(path), 9, "api.listen", ""),
        (str(path), 11, "telemetry.window", ""),
        ("UNDERMESH_LOG_LEVEL", None, "log.level", ""),
        ("--plain-per-s", None, "kernel.plain_per_s", ""),
    ]
    text = str(config.ConfigError(found))
    assert f"{path}:3: agent.shards: no such key; did you mean kernel.shards?" in text
    assert "UNDERMESH_LOG_LEVEL: log.level: 'loud' is not one of them; allowed: debug, info" in text


@pytest.mark.parametrize(
    ("text", "line"), [("[agent\n", 1), ("a = 1\nb = \n", 2), ("\n\nx = 1\nx = 2\n", 4)]
)
def test_what_is_no_toml_says_the_line(write, text, line):
    (found,) = wrong(file=write(text))
    assert "not TOML" in found.problem
    assert found.line in (line, line + 1)


def test_files_that_cannot_be_read_say_why(tmp_path, write):
    (missing,) = wrong(file=tmp_path / "none.toml")
    assert "No such file" in missing.problem
    path = write("")
    path.write_bytes(b"\xff\xfe")
    assert "utf-8" in wrong(file=path)[0].problem
    path.write_bytes(b"#" * (1 << 20) + b"##")
    assert "larger than" in wrong(file=path)[0].problem


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("agent = 5", "agent"),
        ("[agent]\ninstance = []", "agent.instance"),
        ("[agent]\ninstance = {}", "agent.instance"),
        ("[nowhere]", "nowhere"),
        ("[[kernel]]\nshards = 1", "kernel"),
        ("[kernel]\nsizes = 1", "kernel.sizes"),
        ("[kernel]\nshards = true", "kernel.shards"),
        ("[kernel]\nshards = 4.0", "kernel.shards"),
        ("[kernel]\nshards = 3", "kernel.shards"),
        ("[kernel]\nkeep_query = 1", "kernel.keep_query"),
        ('[kernel]\nscope = "relative"', "kernel.scope"),
        ('[kernel]\nscope = "/a/../b"', "kernel.scope"),
        ("[telemetry]\nwindow = nan", "telemetry.window"),
        ("[telemetry]\nwindow = -5", "telemetry.window"),
        ('[agent]\nnode = "a b"', "agent.node"),
        ('[api]\ngroup = "a:b"', "api.group"),
        ('[api]\nlisten = "localhost"', "api.listen"),
        ('[api]\nlisten = "127.0.0.1:0"', "api.listen"),
        ('[api]\nlisten = "example.org:80"', "api.listen"),
        (f'[api]\nsocket = "/{"x" * 110}"', "api.socket"),
        (f'[agent]\nruntime_dir = "/{"x" * 110}"', "agent.runtime_dir"),
    ],
)
def test_a_wrong_value_is_one_diagnostic_for_its_key(write, text, key):
    found = wrong(file=write(text))
    assert [diagnostic.key for diagnostic in found] == [key]


def test_an_unknown_variable_is_a_warning():
    found = config.load(environ={"UNDERMESH_SOKET": "/x", "UNDERMESH_NODE": "", "PATH": "/"})
    assert [(w.source, w.suggestion) for w in found.warnings] == [
        ("UNDERMESH_SOKET", "UNDERMESH_SOCKET")
    ]
    assert found.sources == ()


def test_listening_needs_a_token():
    (found,) = wrong(flags={"api.listen": "127.0.0.1:8600"})
    assert (found.key, found.source) == ("api.listen", "--listen")
    assert "token" in found.allowed


def test_a_token_that_others_may_read_is_refused(tmp_path, write):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o640)
    flags = {"api.listen": "127.0.0.1:1", "api.token_file": str(path)}
    assert "others may read" in wrong(flags=flags)[0].problem
    path.chmod(0o600)
    assert config.load(environ={}, flags=flags).api.token_file == path
    path.write_text("short")
    assert "too short" in wrong(flags=flags)[0].problem
    path.unlink()
    assert "No such file" in wrong(flags=flags)[0].problem
    text = f'[api]\ntoken = "{TOKEN}"\n'
    assert wrong(file=write(text, 0o644))[0].key == "api.token"
    assert config.load(file=write(text, 0o600), environ={}).api.token == Secret(TOKEN)
    both = {"api.token_file": str(path), "api.token": TOKEN}
    assert wrong(flags=both)[0].allowed == "one of the two"


def test_a_wrong_token_is_never_part_of_the_message(write):
    secret = "my secret token with blanks"
    assert secret not in str(config.ConfigError(wrong(environ={"UNDERMESH_API_TOKEN": secret})))
    assert TOKEN not in repr(config.load(environ={"UNDERMESH_API_TOKEN": TOKEN}))


@given(st.dictionaries(st.sampled_from([s.key for s in config.describe()]), st.text(max_size=20)))
def test_any_text_for_any_key_is_taken_or_reported(flags):
    known = {setting.key for setting in config.describe()}
    try:
        config.load(environ={}, flags=flags)
        reported = set()
    except config.ConfigError as error:
        reported = {diagnostic.key for diagnostic in error.diagnostics}
    assert reported <= known
