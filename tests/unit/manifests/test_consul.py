# SPDX-License-Identifier: Apache-2.0
"""Consul's service definitions."""

import json
from datetime import timedelta

import pytest

from undermesh import manifests
from undermesh.model.service import Check, GrpcCheck, HttpCheck, ServiceName, TcpCheck


@pytest.fixture
def define(read):
    """define(**fields) → Read of one definition."""

    def definition(**fields):
        given = {"name": "web", "port": 8080, "address": "10.0.0.5"} | fields
        return read(json.dumps({"service": given}, indent=1), "web.json")

    return definition


def test_a_definition_is_a_service_and_its_one_endpoint(define):
    found = define(
        id="web-1",
        tags=["v1"],
        meta={"team": "shop"},
        weights={"passing": 5, "warning": 1},
        locality={"region": "eu", "zone": "eu-1a"},
        enable_tag_override=False,
        tagged_addresses={"lan": {"address": "10.0.0.5", "port": 8080}},
    )
    assert not found.diagnostics
    (made,) = found.objects
    service, held = made.specs
    assert str(made.key) == "ConsulService/default/web-1"
    assert service.name == held.service == ServiceName("default", "web")
    assert [(port.port, port.target) for port in service.ports] == [(8080, 8080)]
    (endpoint,) = held.endpoints
    assert (str(endpoint.address), endpoint.ports) == ("10.0.0.5", {"": 8080})
    assert (endpoint.weight, endpoint.zone) == (5, "eu-1a")
    assert endpoint.labels == {"team": "shop", "tag.v1": "true"}


@pytest.mark.parametrize(
    ("check", "probe", "port"),
    [
        (
            {"http": "http://localhost:8080/up?x=1"},
            HttpCheck(path="/up?x=1", statuses=(200, 299)),
            0,
        ),
        (
            {"http": "http://web.test:9000", "method": "head"},
            HttpCheck(host="web.test", method="HEAD", statuses=(200, 299)),
            9000,
        ),
        ({"tcp": "10.0.0.5:8080"}, TcpCheck(), 0),
        ({"tcp": "[fd00::5]:8081"}, TcpCheck(), 8081),
        ({"grpc": "127.0.0.1:8080/cart"}, GrpcCheck(service="cart"), 0),
    ],
)
def test_checks_become_ours(define, check, probe, port):
    found = define(check=check | {"interval": "3s", "timeout": "1s"})
    assert not found.diagnostics
    assert found.objects[0].specs[0].check == Check(
        probe=probe,
        interval=timedelta(seconds=3),
        timeout=timedelta(seconds=1),
        healthy_after=1,
        unhealthy_after=1,
        port=port,
    )


def test_thresholds_of_checks_are_kept(define):
    found = define(
        check={"tcp": "a:8080", "success_before_passing": 3, "failures_before_critical": 4}
    )
    check = found.objects[0].specs[0].check
    assert (check.healthy_after, check.unhealthy_after) == (3, 4)


def test_checks_that_are_not_made_are_said(define):
    found = define(
        checks=[
            {"ttl": "10s"},
            {"args": ["/bin/true"], "interval": "1s"},
            {"http": "https://localhost/"},
            {"tcp": "localhost:8080"},
        ]
    )
    assert not found.errors
    assert {one.field for one in found.diagnostics} == {
        "service.checks[0]",
        "service.checks[1]",
        "service.checks[2]",
        "service.checks[3]",
    }
    check = found.objects[0].specs[0].check
    assert (check.probe, check.port) == (TcpCheck(), 443)


def test_names_may_be_written_as_the_api_does(read):
    text = json.dumps(
        {
            "Service": {
                "Name": "Web",
                "ID": "web-1",
                "Port": 80,
                "Address": "10.0.0.1",
                "EnableTagOverride": True,
                "Checks": [{"TCP": "10.0.0.1:80", "Interval": "5s"}],
                "Weights": {"Passing": 2},
            }
        }
    )
    found = read(text)
    assert not found.diagnostics
    service, held = found.objects[0].specs
    assert service.name == ServiceName("default", "web")
    assert service.check.interval == timedelta(seconds=5)
    assert held.endpoints[0].weight == 2


def test_several_definitions_are_objects_of_their_own_that_can_be_read_again(read):
    text = json.dumps(
        {"services": [{"name": "web", "id": f"w{n}", "port": 80 + n} for n in range(3)]}, indent=1
    )
    found = read(text)
    assert [(str(one.key), one.origin) for one in found.objects] == [
        ("ConsulService/default/w0", "f.yaml:3"),
        ("ConsulService/default/w1", "f.yaml:8"),
        ("ConsulService/default/w2", "f.yaml:13"),
    ]
    for one in found.objects:
        (again,) = read(one.document).objects
        assert again.key == one.key


def test_instances_of_one_name_are_one_service_and_ports_that_differ_are_said(read):
    text = json.dumps(
        {"services": [{"name": "web", "id": f"w{n}", "port": 80 + n} for n in (0, 1)]}
    )
    objects = read(text).objects
    world = manifests.gather(objects)
    assert list(world.services) == [ServiceName("default", "web")]
    assert len(world.endpoint_sets[ServiceName("default", "web")]) == 2
    (found,) = manifests.check(objects)
    assert found.severity == "warning"
    assert "served at 80, that of w0" in found.message


@pytest.mark.parametrize(
    ("fields", "field", "line"),
    [
        ({"port": 0}, "service.port", 4),
        ({"name": "my_web"}, "service.name", 3),
        ({"address": "host.example"}, "service.address", 5),
        ({"weights": {"passing": 0}}, "service.weights.passing", 7),
        ({"proxy": {"upstreams": []}}, "service.proxy", 6),
        ({"kind": "connect-proxy"}, "service.kind", 6),
        ({"prot": 1}, "service.prot", 6),
        ({"check": {"tcp": "x:y"}}, "service.check.tcp", 7),
        ({"check": {"http": "ftp://x/"}}, "service.check.http", 7),
        ({"check": {"tcp": "a:1", "interval": "soon"}}, "service.check.interval", 8),
        ({"checks": [{"htp": "a"}]}, "service.checks[0].htp", 8),
    ],
)
def test_what_a_definition_cannot_mean_is_an_error_there(define, fields, field, line):
    (found,) = define(**fields).errors
    assert (found.field, found.line) == (field, line)


def test_errors_within_several_definitions_have_their_place(read):
    found = read(json.dumps({"services": [{"name": "a", "port": 1}, {"name": "b", "port": "x"}]}))
    assert [one.field for one in found.errors] == ["services[1].port"]
    assert len(found.objects) == 1


def test_connect_is_said_to_have_no_meaning_here(define):
    (found,) = define(connect={"sidecar_service": {}}).diagnostics
    assert found.severity == "warning" and "Connect" in found.message


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('service {\n  name = "web"\n  port = 80\n}\n', "web.txt"),
        ('services = [{ name = "web" }]', "web.hcl"),
        ('service "web" {\n}\n', "-"),
    ],
)
def test_hcl_is_refused_by_name(read, text, name):
    (found,) = read(text, name).errors
    assert found.message == "is HCL, which is not read"
    assert "JSON" in found.allowed
