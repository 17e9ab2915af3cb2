# SPDX-License-Identifier: Apache-2.0
"""The configuration as people see it."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from undermesh import config

PACKAGED = Path(__file__).parents[3] / "packaging" / "undermesh.toml"


def uncommented(text):
    """The file with every key that has a default in effect."""
    return re.sub(r"^#(\w+ = .)", r"\1", text, flags=re.MULTILINE)


def flat(document, prefix=""):
    for name, value in document.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from flat(value, f"{key}.")
        else:
            yield key, value


def test_every_key_is_described():
    for setting in config.describe():
        assert setting.sentence.endswith("."), setting.key
        assert setting.kind.allowed, setting.key
        assert setting.env[-1] == "UNDERMESH_" + setting.key.replace(".", "_").upper()


def test_the_generated_file_changes_nothing_commented_or_not(tmp_path):
    text = config.render_toml()
    assert all(table == {} for table in tomllib.loads(text).values() if table != {"sizes": {}})
    path = tmp_path / "undermesh.toml"
    path.write_text(uncommented(text))
    loaded, plain = config.load(file=path, environ={}), config.load(environ={})
    assert config.effective(loaded) == config.effective(plain)


@pytest.mark.skipif(not PACKAGED.exists(), reason="the packaged file is not in this tree")
def test_the_packaged_file_lists_every_key_with_its_default(tmp_path):
    text = PACKAGED.read_text()
    assert config.effective(config.load(file=PACKAGED, environ={})) == config.effective(
        config.load(environ={})
    )
    listed = dict(flat(tomllib.loads(uncommented(text))))
    for setting in config.describe():
        if setting.default_text:
            assert setting.key in listed, f"{setting.key} is not in {PACKAGED.name}"
            assert setting.kind.parse(listed[setting.key]) == setting.default, setting.key
        else:
            name = setting.key.rpartition(".")[2]
            assert re.search(rf"^#{name} =", text, re.MULTILINE), f"{setting.key} is not listed"


def test_the_effective_configuration_is_json_with_secrets_masked():
    token = "0123456789abcdef"
    found = config.load(
        environ={"UNDERMESH_API_TOKEN": token},
        flags={"api.listen": "localhost:8600", "telemetry.sweep": "2500ms"},
    )
    shown = config.effective(found)
    text = json.dumps(shown)
    assert token not in text
    assert shown["api"]["token"] == "***"
    assert shown["api"]["listen"] == "127.0.0.1:8600"
    assert shown["api"]["socket"] == "/run/undermesh/default.sock"
    assert shown["telemetry"]["sweep"] == "2500ms"
    assert shown["kernel"]["sizes.series"] == 4096
    assert shown["kernel"]["scope"] is None
