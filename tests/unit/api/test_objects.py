# SPDX-License-Identifier: Apache-2.0
"""Desired state over real sockets: what is asked, what is answered, and every no."""

import asyncio
import json

import pytest

from tests.unit.api.test_server import ask, run, served, until
from tests.unit.app.desired import Dialect
from tests.unit.app.watched import Node
from undermesh.app.desired import DesiredState
from undermesh.app.objects import Objects
from undermesh.testing.desired import MemoryStore


class Api:
    """One agent's API, a server for each call."""

    def __init__(self, place):
        self.node = Node()
        self.place = place
        self.store = MemoryStore()
        self.dialect = Dialect()
        state = DesiredState(self.store, read=self.dialect.read)
        self.objects = Objects(state, read=self.dialect.read, check=self.dialect.check)

    def served(self):
        return served(self.node, self.place, objects=self.objects)

    def call(self, target, body=None, *, raw=None):
        async def once():
            async with self.served():
                sent = (
                    raw if raw is not None else b"" if body is None else json.dumps(body).encode()
                )
                method = "GET" if body is None and raw is None else "POST"
                return await ask(self.place, target, method=method, body=sent)

        status, _, payload = run(once())
        return status, json.loads(payload)

    def apply(self, *lines, **more):
        return self.call("/v1/objects:apply", {"sources": [source(*lines)], **more})


def source(*lines, name="shop.txt"):
    return {"name": name, "text": "\n".join(lines)}


def changes(answer):
    return {one["name"]: one["change"] for one in answer["objects"]}


@pytest.fixture
def api(tmp_path):
    return Api(tmp_path / "t.sock")


def test_apply_says_what_became_of_each_object(api):
    status, answer = api.apply("cart 80", "pay 81", "?odd")
    assert (status, answer["schema"], answer["dry_run"]) == (200, 1, False)
    assert answer["revision"] == api.objects.state.changed
    assert answer["objects"][0] == {
        "kind": "Service", "namespace": "shop", "name": "cart", "change": "created",
    }  # fmt: skip
    assert answer["diagnostics"] == [
        {"message": "odd", "file": "shop.txt", "line": 3, "column": 1, "severity": "warning"}
    ]
    assert changes(api.apply("cart 80", "pay 82", dry_run=True)[1]) == {
        "cart": "unchanged",
        "pay": "configured",
    }


def test_all_errors_are_one_problem(api):
    status, problem = api.apply("!this", "cart 80", "!that")
    assert (status, problem["status"]) == (422, 422)
    assert "nothing was changed" in problem["detail"]
    assert [(one["file"], one["line"], one["message"]) for one in problem["diagnostics"]] == [
        ("shop.txt", 1, "this"),
        ("shop.txt", 3, "that"),
    ]
    assert api.store.commits == 0


def test_diff_has_what_differs(api):
    api.apply("cart 80", "pay 81")
    status, answer = api.call(
        "/v1/objects:diff", {"sources": [source("cart 80", "pay 82", "web 1")]}
    )
    assert (status, answer["unchanged"]) == (200, 1)
    pay, web = answer["objects"]
    assert (pay["change"], pay["before"]["port"], pay["after"]["port"]) == ("configured", 81, 82)
    assert (web["change"], web["before"], web["origin"]) == ("created", None, "shop.txt:3")


def test_delete_by_name_and_by_manifest(api):
    api.apply("cart 80", "pay 81", "web 82")
    ref = {"kind": "svc", "namespace": "shop", "name": "cart"}
    status, answer = api.call("/v1/objects:delete", {"objects": [ref], "sources": [source("pay")]})
    assert (status, changes(answer)) == (200, {"cart": "deleted", "pay": "deleted"})
    status, problem = api.call("/v1/objects:delete", {"objects": [ref]})
    assert status == 404
    assert "Service/shop/cart" in problem["detail"]
    status, answer = api.call("/v1/objects:delete", {"objects": [ref], "ignore_not_found": True})
    assert (status, answer["objects"]) == (200, [])


def test_what_is_stored_is_listed(api):
    api.apply("cart 80", "pay 81")
    _, answer = api.call("/v1/objects?kind=svc&name=cart")
    (row,) = answer["objects"]
    assert (row["summary"], row["origin"], row["object"]["port"]) == ("80", "shop.txt:1", 80)
    assert row["created"] == row["changed"]
    assert len(api.call("/v1/objects")[1]["objects"]) == 2
    assert api.call("/v1/objects?namespace=none")[1]["objects"] == []
    assert api.call("/v1/objects/svc/shop/pay")[1]["objects"][0]["name"] == "pay"
    assert api.call("/v1/objects/svc/shop/nope")[0] == 404


def test_a_kind_that_is_none_is_refused_with_those_like_it(api):
    status, problem = api.call("/v1/objects?kind=servise")
    assert status == 400
    assert "did you mean service" in problem["detail"]


def test_who_expects_another_revision_is_refused(api):
    api.apply("cart 80")
    status, problem = api.apply("cart 81", revision=0)
    assert status == 409
    assert "somebody changed it" in problem["detail"]


def test_changes_after_a_revision(api):
    first = api.apply("cart 80", "pay 81")[1]["revision"]
    api.call("/v1/objects:delete", {"sources": [source("pay")]})
    _, answer = api.call(f"/v1/changes?after={first}")
    assert [(one["name"], one["change"], one["object"]) for one in answer["changes"]] == [
        ("pay", "deleted", None)
    ]
    assert api.call(f"/v1/changes?after={answer['revision']}")[1]["changes"] == []
    assert api.call("/v1/changes")[1]["changes"] == []


def test_changes_too_long_ago_are_gone(api):
    api.apply("cart 80")
    api.store.compact()
    status, problem = api.call("/v1/changes?after=0")
    assert status == 410
    assert "GET /v1/objects" in problem["detail"]
    assert api.call("/v1/changes?after=1&follow=1x")[0] == 400


def test_changes_are_followed_as_they_are_made(api):
    async def once():
        async with api.served():
            reader, writer = await asyncio.open_unix_connection(str(api.place))
            writer.write(b"GET /v1/changes?after=0&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            raw = bytearray()

            async def read():
                while piece := await reader.read(4096):
                    raw.extend(piece)

            reading = asyncio.create_task(read())
            body = json.dumps({"sources": [source("cart 80")]}).encode()
            await ask(api.place, "/v1/objects:apply", method="POST", body=body)
            await until(lambda: b'"cart"' in raw)
            body = json.dumps({"sources": [source("cart 80")]}).encode()
            await ask(api.place, "/v1/objects:delete", method="POST", body=body)
            await until(lambda: b'"deleted"' in raw)
            writer.close()
            await reading
            await until(lambda: not api.store.followers)
            return bytes(raw)

    raw = run(once())
    rows = [json.loads(line) for line in raw.splitlines() if line.startswith(b"{")]
    assert [(row["change"], row["name"]) for row in rows] == [
        ("stored", "cart"),
        ("deleted", "cart"),
    ]


def test_a_stream_that_was_overtaken_ends_and_says_so(api):
    async def once():
        async with api.served():
            reader, writer = await asyncio.open_unix_connection(str(api.place))
            writer.write(b"GET /v1/changes?after=0&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            api.store.revision += 1
            api.store.compact()
            api.store.followers[0]()
            last = await asyncio.wait_for(reader.readuntil(b"}\n"), 5)
            writer.close()
            return last

    assert b'{"compacted":1}' in run(once())


def test_manifests_may_be_long_and_nothing_else(api, monkeypatch):
    monkeypatch.setattr("undermesh.wire.objects.BODY_LIMIT", 4 << 20)
    long = "# " + "x" * (3 << 20)
    status, _ = api.call("/v1/objects:apply", {"sources": [source(f"?{long}")]})
    assert status == 200
    assert api.call("/v1/workloads", {"name": long})[0] == 413
    assert api.call("/v1/objects:apply", {"sources": [source(f"?{long * 2}")]})[0] == 413


@pytest.mark.parametrize(
    "raw", [b"{", b"{}", b'{"sources":[{"name":"x"}]}', b'{"sources":[],"x":1}']
)
def test_what_is_no_request_is_refused(api, raw):
    assert api.call("/v1/objects:apply", raw=raw)[0] == 400
