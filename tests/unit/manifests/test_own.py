# SPDX-License-Identifier: Apache-2.0
"""Our own kinds: Service, Workload, Priority."""

from datetime import timedelta
from ipaddress import ip_address

import pytest

from undermesh.manifests import scalars
from undermesh.model.protocol import Transport
from undermesh.model.service import (
    Balancing,
    Check,
    Ejection,
    EndpointSet,
    External,
    GrpcCheck,
    HttpCheck,
    Level,
    Locality,
    ServiceName,
    ServicePort,
    Split,
    TcpCheck,
)

SERVICE = """
apiVersion: undermesh.io/v1alpha1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  ports: [{port: 80}]
"""


EVERYTHING = """
apiVersion: undermesh.io/v1alpha1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  addresses: [198.18.0.9, "fd00::9"]
  ports:
    - {name: http, port: 80, targetPort: web}
    - {name: dns, port: 53, protocol: UDP}
  selector: {app: cart}
  endpoints:
    - {address: 10.0.0.5, ports: {web: 8080, dns: 53}, weight: 3, zone: z1, node: n1}
    - {address: "fd00::5", port: 8081, ready: false, draining: true, labels: {v: "2"}}
  balancing: maglev
  locality: node
  affinity: 3h
  splits: [{weight: 90, labels: {v: "1"}}, {weight: 10, labels: {v: "2"}}]
  check:
    http: {path: /healthz, host: cart.test, method: HEAD, statuses: [200, 204]}
    interval: 1s
    timeout: 500ms
    healthyAfter: 1
    unhealthyAfter: 2
    port: 9000
  ejection: {interval: 1s, failures: 5, errors: 0.2, slowness: 3, base: 5s, most: 1m}
  drain: 1m30s
  fastpath: true
  publishNotReady: true
"""


def test_a_service_says_all_the_model_knows(specs):
    service, _ = specs(EVERYTHING)
    assert service.name == ServiceName("shop", "cart")
    assert service.addresses == (ip_address("198.18.0.9"), ip_address("fd00::9"))
    assert service.ports == (
        ServicePort(name="http", port=80, target="web"),
        ServicePort(name="dns", port=53, transport=Transport.UDP, target=53),
    )
    assert (service.balancing, service.locality) == (Balancing.MAGLEV, Locality.NODE)
    assert service.affinity == timedelta(hours=3)
    assert service.splits == (
        Split(weight=90, labels={"v": "1"}),
        Split(weight=10, labels={"v": "2"}),
    )
    assert service.check == Check(
        probe=HttpCheck(path="/healthz", host="cart.test", method="HEAD", statuses=(200, 204)),
        interval=timedelta(seconds=1),
        timeout=timedelta(milliseconds=500),
        healthy_after=1,
        unhealthy_after=2,
        port=9000,
    )
    assert service.ejection == Ejection(
        interval=timedelta(seconds=1),
        failures=5,
        errors=0.2,
        slowness=3.0,
        base=timedelta(seconds=5),
        most=timedelta(minutes=1),
    )
    assert (service.drain, service.fastpath) == (timedelta(seconds=90), True)
    assert service.publish_unready and service.origin == "f.yaml:1"


def test_endpoints_of_a_service_are_a_set_of_its_own(specs):
    _, held = specs(EVERYTHING)
    assert isinstance(held, EndpointSet)
    first, second = held.endpoints
    assert (first.ports, first.weight, first.zone, first.node) == (
        {"web": 8080, "dns": 53},
        3,
        "z1",
        "n1",
    )
    assert (second.ports, second.ready, second.draining) == ({"": 8081}, False, True)


def test_the_least_a_service_says_is_a_port(specs):
    (service,) = specs(SERVICE)
    assert service.ports == (ServicePort(port=80, target=80),)
    assert service.balancing is Balancing.RANDOM
    assert service.drain == timedelta(seconds=30)
    assert service.check is None and service.ejection is None


@pytest.mark.parametrize(
    ("text", "probe"),
    [
        ("tcp: {}", TcpCheck()),
        ("http: {}", HttpCheck()),
        ("grpc: {service: cart}", GrpcCheck(service="cart")),
    ],
)
def test_there_are_three_ways_to_check(specs, text, probe):
    (service,) = specs(SERVICE + f"  check: {{{text}}}\n")
    assert service.check == Check(probe=probe)


def test_an_endpoint_without_a_port_has_those_the_service_sends_to(specs):
    _, held = specs(
        SERVICE.replace("port: 80", "port: 80, targetPort: 8080")
        + "  endpoints: [{address: 10.0.0.1}]\n"
    )
    assert held.endpoints[0].ports == {"": 8080}


def test_an_endpoint_without_a_port_is_an_error_where_the_service_names_one(said):
    text = SERVICE.replace("port: 80", "port: 80, targetPort: web")
    (line,) = said(text + "  endpoints: [{address: 10.0.0.1}]\n")
    assert line == (
        "f.yaml:6:15: spec.endpoints[0]: endpoint 10.0.0.1 is without a port and targetPort "
        '"web" is a name; port: NUMBER, or ports: {NAME: NUMBER}'
    )


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        (
            "splits: [{weight: 0, labels: {v: a}}, {weight: 0, labels: {v: b}}]",
            "spec.splits",
            "weights that sum to zero",
        ),
        ("splits: [{weight: 1, labels: {}}]", "spec.splits[0].labels", "is empty"),
        ("splits: [{weight: -1, labels: {a: b}}]", "spec.splits[0].weight", "out of range"),
        (
            "endpoints: [{address: 10.0.0.1, weight: 0}]",
            "spec.endpoints",
            "weights that sum to zero",
        ),
        ("endpoints: [{address: 10.0.0.1%eth0}]", "spec.endpoints[0].address", "interface"),
        ("endpoints: [{address: 10.0.0.01}]", "spec.endpoints[0].address", "not an IP address"),
        (
            "endpoints: [{address: 10.0.0.1, port: 1, ports: {a: 1}}]",
            "spec.endpoints[0].port",
            "beside ports",
        ),
        ("check: {}", "spec.check", "neither"),
        ("check: {tcp: {}, http: {}}", "spec.check", "tcp and http"),
        (
            "check: {http: {statuses: [300, 200]}}",
            "spec.check.http.statuses",
            "not a first and a last",
        ),
        ("check: {http: {statuses: [200]}}", "spec.check.http.statuses", "has 1 items"),
        ('check: {http: {path: "/a b"}}', "spec.check.http.path", "not the path"),
        ("check: {tcp: {}, interval: 0s}", "spec.check.interval", "no time at all"),
        ("check: {tcp: {}, timeout: 5}", "spec.check.timeout", "5 is not text"),
        ("ejection: {base: 1m, most: 1s}", "spec.ejection.most", "shorter than"),
        ("ejection: {share: 2}", "spec.ejection.share", "out of range"),
        ("affinity: 400d", "spec.affinity", "longer than a year"),
        ("addresses: [a]", "spec.addresses[0]", "not an IP address"),
        ("externalName: x.example.com\n  selector: {a: b}", "spec.selector", "externalName"),
        ("headless: true\n  addresses: [10.0.0.1]", "spec.addresses", "headless"),
        ("selector: {a: 1}", "spec.selector.a", "1 is not text"),
        ("fastpath: yes", "spec.fastpath", '"yes" is not true or false'),
    ],
)
def test_what_a_service_cannot_mean_is_an_error_there(read, fields, field, message):
    (found,) = read(SERVICE + f"  {fields}\n").errors
    assert found.field == field
    assert message in found.message


def test_ports_are_told_apart(read):
    text = SERVICE.replace("[{port: 80}]", "[{port: 80}, {name: a, port: 80}, {name: a, port: 81}]")
    assert [(one.field, one.message.split(":")[0]) for one in read(text).errors] == [
        ("spec.ports[0].name", "is missing"),
        ("spec.ports[1].port", "80/tcp is ports[0] already"),
        ("spec.ports[2].name", '"a" is the name of ports[1] already'),
    ]


def test_a_service_needs_a_port_unless_it_is_only_a_name(specs, read):
    text = SERVICE.replace("  ports: [{port: 80}]", "  externalName: DB.example.com.")
    (service,) = specs(text)
    assert service.external == External(name="db.example.com")
    (found,) = read(SERVICE.replace("  ports: [{port: 80}]", "  drain: 0s")).errors
    assert (found.field, found.message) == ("spec.ports", "is missing")


def test_the_name_of_a_service_is_one_dns_can_say(read):
    for name in ("a.b", "Cart", "-a", "a" * 64, "a_b", "ü", '""'):
        first, *_ = read(SERVICE.replace("cart", name)).errors
        assert first.field == "metadata.name"


def test_a_workload_says_which_processes_it_is(specs):
    (workload,) = specs("""
        apiVersion: undermesh.io/v1alpha1
        kind: Workload
        metadata: {name: cart, labels: {app: cart}}
        spec:
          match: {unit: cart.service, exe: /usr/bin/cart}
          ports: {http: 8080}
          address: 127.0.0.1
        """)
    assert workload.match == {"unit": "cart.service", "exe": "/usr/bin/cart"}
    assert (workload.labels, workload.ports) == ({"app": "cart"}, {"http": 8080})
    assert workload.address == ip_address("127.0.0.1")


def test_a_workload_that_matches_nothing_is_an_error(read):
    for match in ("{}", '{unit: ""}'):
        text = "apiVersion: undermesh.io/v1alpha1\nkind: Workload\nmetadata: {name: a}\n"
        (found,) = read(text + f"spec: {{match: {match}}}").errors
        assert (found.field, found.message) == ("spec.match", "names no processes")


PRIORITY = """
apiVersion: undermesh.io/v1alpha1
kind: Priority
metadata: {name: p, namespace: shop}
spec:
  level: critical
"""


def test_a_priority_says_what_is_important(specs):
    (made,) = specs(
        PRIORITY
        + "  workloads: {app: cart}\n  services: [cart, other/db]\n  rate: 2.5mbit\n"
        + "  ceiling: 1gbit\n  dscp: ef\n  congestion: bbr\n  devices: [eth0]\n"
    )
    assert made.level is Level.CRITICAL
    assert made.services == (ServiceName("shop", "cart"), ServiceName("other", "db"))
    assert (made.rate, made.ceiling, made.dscp) == (2_500_000, 1_000_000_000, 46)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ("rate: 10mbit", "spec"),
        ("workloads: {a: b}\n  rate: 10", "spec.rate"),
        ("workloads: {a: b}\n  rate: 10 parsec", "spec.rate"),
        ("workloads: {a: b}\n  dscp: 64", "spec.dscp"),
        ("workloads: {a: b}\n  dscp: EFF", "spec.dscp"),
        ("workloads: {a: b}\n  rate: 2mbit\n  ceiling: 1mbit\n  devices: [e]", "spec.ceiling"),
        ("services: [a/b/c]", "spec.services[0]"),
    ],
)
def test_what_a_priority_cannot_mean_is_an_error_there(read, fields, field):
    assert [one.field for one in read(PRIORITY + f"  {fields}\n").errors] == [field]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("10s", 10), ("1m30s", 90), ("1.5h", 5400), ("0", 0), ("1d", 86400)],
)
def test_durations(text, seconds):
    assert scalars.duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1 s", "1s ", "1y", "1S", "9" * 30 + "s"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="is not a duration"):
        scalars.duration(text)


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "255.255.255.255", "0.0.0.0", "::1", "fd00::1", "::ffff:10.0.0.1"]
)
def test_addresses_are_those_of_the_standard_library(text):
    assert scalars.address(text) == ip_address(text)
