# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from undermesh.agent.lock import AlreadyRunning, PidLock, holder, is_held, wait_released


def test_the_second_is_told_who_the_first_is(tmp_path):
    path = tmp_path / "run" / "t.pid"
    with PidLock(path, "t"):
        assert is_held(path)
        with pytest.raises(AlreadyRunning, match=str(os.getpid())) as refused:
            PidLock(path, "t")
        assert refused.value.pid == os.getpid()
    assert not is_held(path)


def test_what_a_killed_agent_left_does_not_count(tmp_path):
    path = tmp_path / "t.pid"
    path.write_text("4711\n")
    assert holder(path) == 4711
    assert not is_held(path)
    with PidLock(path, "t"):
        assert holder(path) == os.getpid()
    assert holder(path) == 0


def test_no_file_is_no_holder(tmp_path):
    assert not is_held(tmp_path / "none.pid")
    assert holder(tmp_path / "none.pid") == 0
    assert wait_released(tmp_path / "none.pid", seconds=0)


def test_waiting_has_an_end(tmp_path):
    with PidLock(tmp_path / "t.pid", "t"):
        assert not wait_released(tmp_path / "t.pid", seconds=0.01)
