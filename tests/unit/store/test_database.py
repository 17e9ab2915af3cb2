# SPDX-License-Identifier: Apache-2.0
"""The state file: its modes, and what becomes of one that is damaged or newer."""

import sqlite3
import stat

import pytest

from undermesh.store import Database, KeyStore, NewerSchema, StoreUnusable


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_owner_can_read_the_state(tmp_path):
    directory = tmp_path / "lib" / "default"
    with Database.open(directory) as database:
        assert mode(directory) == 0o700
        assert mode(database.path) == 0o600
        assert all(mode(path) == 0o600 for path in directory.iterdir())


def test_modes_that_were_opened_up_are_closed_again(tmp_path):
    Database.open(tmp_path).close()
    tmp_path.chmod(0o755)
    (tmp_path / "state.db").chmod(0o644)
    with Database.open(tmp_path) as database:
        assert (mode(tmp_path), mode(database.path)) == (0o700, 0o600)


@pytest.mark.parametrize("damage", ["garbage", "page"])
def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(tmp_path, caplog, damage):
    with Database.open(tmp_path) as database:
        keys = KeyStore(database)
        for n in range(2000):
            keys.put(f"/nodes/n1/{n}", b"x" * 100)
    path = tmp_path / "state.db"
    raw = bytearray(path.read_bytes())
    start = 0 if damage == "garbage" else 4096
    raw[start : start + 40000] = b"\xa5" * 40000
    path.write_bytes(raw)
    with Database.open(tmp_path) as database:
        assert database.moved_aside is not None
        assert database.moved_aside.read_bytes() == raw
        assert KeyStore(database).range("/") == ()
    assert str(database.moved_aside) in caplog.text
    assert "damaged" in caplog.text


def test_every_damaged_file_is_kept(tmp_path):
    for _ in range(3):
        (tmp_path / "state.db").write_bytes(b"not a database at all" * 100)
        Database.open(tmp_path).close()
    assert len(list(tmp_path.glob("state.db.corrupt-*"))) == 3


def test_a_newer_file_is_refused_and_left_alone(tmp_path):
    Database.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(NewerSchema, match=r"newer undermesh.*99"):
        Database.open(tmp_path)
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_a_directory_that_cannot_be_made_is_said_plainly(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match=r"agent\.state_dir"):
        Database.open(tmp_path / "file" / "state")


def test_what_fails_within_a_transaction_leaves_nothing(tmp_path):
    with Database.open(tmp_path) as database:
        keys = KeyStore(database)

        def interrupted():
            with database.transaction() as connection:
                connection.execute("INSERT INTO keys VALUES ('/a', x'00', 1)")
                raise RuntimeError("interrupted")

        with pytest.raises(RuntimeError):
            interrupted()
        assert keys.get("/a") is None
        keys.put("/a", b"1")
        assert keys.get("/a").value == b"1"


def test_a_query_that_cannot_be_answered_names_the_file(tmp_path):
    with Database.open(tmp_path) as database, pytest.raises(StoreUnusable, match=r"state\.db"):
        database.rows("SELECT * FROM nowhere")
