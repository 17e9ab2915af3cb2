# SPDX-License-Identifier: Apache-2.0
import os
import socket

import pytest

from undermesh.api import access
from undermesh.api.access import Access, Caller, Right, caller_of


@pytest.fixture
def rules(monkeypatch):
    monkeypatch.setattr(access, "group_id", lambda name: 77 if name == "undermesh" else None)
    monkeypatch.setattr(access, "_listed", lambda uid, group: uid == 1003)
    return Access(group="undermesh", token="s3cret-token", uid=1000)


def caller(uid, *gids):
    return Caller(pid=1, uid=uid, gids=frozenset(gids))


def test_the_kernel_says_who_is_calling():
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        found = caller_of(left)
    assert (found.pid, found.uid) == (os.getpid(), os.geteuid())
    assert os.getegid() in found.gids


def test_root_and_the_agents_own_user_may_do_all(rules):
    assert rules.of_caller(caller(0)) is Right.ALL
    assert rules.of_caller(caller(1000)) is Right.ALL


def test_the_group_may_read(rules):
    assert rules.of_caller(caller(1001, 5, 77)) is Right.READ
    assert rules.of_caller(caller(1003, 5)) is Right.READ


def test_others_may_nothing(rules):
    assert rules.of_caller(caller(1001, 5)) is Right.NONE


def test_without_the_group_only_root_may(rules):
    alone = Access(group="nobody-has-this", token=None, uid=0)
    assert alone.of_caller(caller(1001, 77)) is Right.NONE


@pytest.mark.parametrize(
    ("header", "right"),
    [
        (b"Bearer s3cret-token", Right.ALL),
        (b"bearer  s3cret-token ", Right.ALL),
        (b"Bearer s3cret-toke", Right.NONE),
        (b"Basic s3cret-token", Right.NONE),
        (b"Bearer ", Right.NONE),
        (b"", Right.NONE),
    ],
)
def test_tokens(rules, header, right):
    assert rules.of_header(header) is right


def test_without_a_token_no_token_is_right():
    assert Access(group="", token=None).of_header(b"Bearer ") is Right.NONE
