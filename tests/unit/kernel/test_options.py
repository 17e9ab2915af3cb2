# SPDX-License-Identifier: Apache-2.0
"""Options as constants of the programs."""

from pathlib import Path

import pytest

from undermesh.kernel import errors
from undermesh.kernel.options import Options


def test_the_whole_host_is_no_scope(tmp_path):
    constants = Options(cgroup_root=tmp_path).constants()
    assert (constants["scope_cgroup_id"], constants["scope_level"]) == (0, 0)
    assert Options(cgroup_root=tmp_path, scope=tmp_path).constants()["scope_cgroup_id"] == 0
    assert Options(cgroup_root=tmp_path).target == tmp_path


def test_a_scope_is_its_inode_and_its_depth(tmp_path):
    scope = tmp_path / "a.slice" / "b.service"
    scope.mkdir(parents=True)
    options = Options(cgroup_root=tmp_path, scope=scope)
    assert options.constants()["scope_cgroup_id"] == scope.stat().st_ino
    assert options.constants()["scope_level"] == 2
    assert options.target == scope


@pytest.mark.parametrize("scope", ["/", "/nowhere/at/all"])
def test_a_scope_elsewhere_is_refused(tmp_path, scope):
    with pytest.raises(errors.OperatorError, match="not below"):
        Options(cgroup_root=tmp_path, scope=Path(scope)).constants()


def test_a_scope_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(errors.OperatorError, match="No such file"):
        Options(cgroup_root=tmp_path, scope=tmp_path / "gone").constants()


def test_sample_rates_are_ordered_as_the_enum(tmp_path):
    options = Options(cgroup_root=tmp_path, errors_per_s=1, slow_per_s=2, plain_per_s=3)
    assert options.constants()["samples_per_s"] == (0, 1, 2, 3)
