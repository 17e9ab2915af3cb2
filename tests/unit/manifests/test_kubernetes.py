# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' Service, Endpoints and EndpointSlice as a cluster writes them."""

from datetime import timedelta
from ipaddress import ip_address

import pytest

from undermesh.model.service import (
    Balancing,
    External,
    HttpCheck,
    Locality,
    ServiceName,
    ServicePort,
    Split,
)

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  ports: [{port: 80}]
"""

SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart-1, namespace: shop, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
"""


CLUSTER = """
apiVersion: v1
kind: Service
metadata:
  name: cart
  namespace: shop
  uid: 0d3c7a52-7f6e-4a07-b1ce-1e4f4f3b3d52
  resourceVersion: "812"
  creationTimestamp: "2026-01-01T00:00:00Z"
  labels: {app: cart}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
  ownerReferences: [{apiVersion: apps/v1, kind: X, name: y, uid: z, controller: true}]
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
  managedFields: [{manager: kubectl, operation: Update, fieldsV1: {f:spec: {}}}]
spec:
  type: ClusterIP
  clusterIP: 10.96.0.9
  clusterIPs: [10.96.0.9, "fd00::9"]
  externalIPs: [203.0.113.9]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: PreferDualStack
  internalTrafficPolicy: Cluster
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
  trafficDistribution: PreferClose
  publishNotReadyAddresses: true
  selector: {app: cart}
  ports:
    - {name: http, port: 80, targetPort: web, protocol: TCP, appProtocol: http}
    - {name: admin, port: 81, targetPort: 9000, nodePort: 30001}
status: {loadBalancer: {}}
"""


def test_a_service_as_a_cluster_gives_it(specs):
    (service,) = specs(CLUSTER)
    assert [str(address) for address in service.addresses] == [
        "10.96.0.9",
        "fd00::9",
        "203.0.113.9",
    ]
    assert service.ports == (
        ServicePort(name="http", port=80, target="web"),
        ServicePort(name="admin", port=81, target=9000),
    )
    assert service.affinity == timedelta(seconds=60)
    assert service.locality is Locality.ZONE
    assert service.publish_unready and not service.headless
    assert service.selector == {"app": "cart"}


@pytest.mark.parametrize(
    ("fields", "locality"),
    [
        ("internalTrafficPolicy: Local", Locality.NODE_ONLY),
        ("trafficDistribution: PreferSameZone", Locality.ZONE),
        ("trafficDistribution: PreferSameNode", Locality.NODE),
        ("internalTrafficPolicy: Cluster", Locality.ANY),
    ],
)
def test_where_traffic_stays(specs, fields, locality):
    (service,) = specs(SERVICE + f"  {fields}\n")
    assert service.locality is locality


def test_affinity_lasts_three_hours_unless_it_is_said(specs):
    (service,) = specs(SERVICE + "  sessionAffinity: ClientIP\n")
    assert service.affinity == timedelta(hours=3)


def test_headless_and_external_services(specs):
    (service,) = specs(SERVICE + "  clusterIP: None\n  clusterIPs: [None]\n")
    assert service.headless and service.addresses == ()
    (service,) = specs(SERVICE + "  type: ExternalName\n  externalName: Db.Example.com\n")
    assert service.external == External(name="db.example.com")


def test_annotations_say_what_kubernetes_cannot(specs):
    (service,) = specs("""
        apiVersion: v1
        kind: Service
        metadata:
          name: cart
          annotations:
            undermesh.io/balancing: least-loaded
            undermesh.io/locality: node
            undermesh.io/drain: 5s
            undermesh.io/affinity: 1m
            undermesh.io/fastpath: "true"
            undermesh.io/check: '{"http": {"path": "/up"}}'
            undermesh.io/splits: '[{"weight": 1, "labels": {"v": "1"}}]'
            another.example/balancing: none of ours
        spec: {ports: [{port: 80}]}
        """)
    assert service.balancing is Balancing.LEAST_LOADED
    assert service.locality is Locality.NODE
    assert (service.drain, service.affinity) == (timedelta(seconds=5), timedelta(minutes=1))
    assert service.fastpath
    assert service.check.probe == HttpCheck(path="/up")
    assert service.splits == (Split(weight=1, labels={"v": "1"}),)


@pytest.mark.parametrize(
    ("name", "text", "rest", "message"),
    [
        ("ballancing", "maglev", "", "did you mean balancing?"),
        ("balancing", "best", "", "is not known"),
        ("drain", "10", "", "is not a duration"),
        ("check", "http", "", "is not JSON"),
        ("check", '{"htp": {}}', ".htp", "did you mean http?"),
        ("fastpath", '"yes"', "", "is not true or false"),
        ("splits", '[{"weight": 0, "labels": {"a": "b"}}]', "", "sum to zero"),
    ],
)
def test_wrong_annotations_are_errors_where_they_stand(read, name, text, rest, message):
    meta = f"metadata:\n  name: a\n  annotations:\n    undermesh.io/{name}: '{text}'\n"
    (found,) = read(f"apiVersion: v1\nkind: Service\n{meta}spec: {{ports: [{{port: 80}}]}}").errors
    assert found.field == f'metadata.annotations["undermesh.io/{name}"]{rest}'
    assert found.line == 6
    assert message in found.message


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ("type: External", "spec.type"),
        ("type: ExternalName", "spec.externalName"),
        ("clusterIP: none", "spec.clusterIP"),
        ("clusterIP: 10.0.0.1\n  clusterIPs: [10.0.0.2]", "spec.clusterIPs[0]"),
        ("sessionAffinity: Cookie", "spec.sessionAffinity"),
        (
            "sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}",
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
        ),
        ("trafficDistribution: Prefer", "spec.trafficDistribution"),
        ("externalIPs: [10.0.0]", "spec.externalIPs[0]"),
        ("loadBalancerSourceRanges: [10.0.0.0/33]", "spec.loadBalancerSourceRanges[0]"),
        ("topologyKeys: [a]", "spec.topologyKeys"),
    ],
)
def test_what_kubernetes_would_refuse_is_refused(read, fields, field):
    (found,) = read(SERVICE + f"  {fields}\n").errors
    assert found.field == field


def test_sctp_is_refused(read):
    (found,) = read(SERVICE.replace("port: 80", "port: 80, protocol: SCTP")).errors
    assert (found.field, found.message) == ("spec.ports[0].protocol", "SCTP is not balanced")


def test_what_is_not_honoured_is_said_and_keeps_nothing_from_being_applied(read):
    found = read(SERVICE + "  type: LoadBalancer\n  loadBalancerSourceRanges: [10.0.0.0/8]\n")
    assert len(found.objects) == 1
    assert [(one.severity, one.field) for one in found.diagnostics] == [
        ("warning", "spec.type"),
        ("warning", "spec.loadBalancerSourceRanges"),
    ]


def test_a_slice_lists_endpoints_of_its_service(specs):
    (held,) = specs(
        SLICE
        + """\
- addresses: [10.244.0.5]
  conditions: {ready: true, serving: true, terminating: false}
  hostname: cart-0
  nodeName: node-a
  zone: z1
  hints: {forZones: [{name: z1}], forNodes: [{name: node-a}]}
  targetRef: {kind: Pod, namespace: shop, name: cart-0, uid: u}
- addresses: [10.244.0.6]
- addresses: [10.244.0.7]
  conditions: {ready: false}
- addresses: [10.244.0.8]
  conditions: {ready: false, serving: true, terminating: true}
- addresses: [10.244.0.9]
  conditions: {ready: false, serving: false, terminating: true}
"""
    )
    assert held.service == ServiceName("shop", "cart")
    assert held.source == "EndpointSlice/shop/cart-1"
    first = held.endpoints[0]
    assert first.address == ip_address("10.244.0.5")
    assert (first.ports, first.node, first.zone) == ({"http": 8080}, "node-a", "z1")
    assert first.target == "pod shop/cart-0"
    assert [(one.ready, one.draining) for one in held.endpoints] == [
        (True, False),
        (True, False),
        (False, False),
        (True, True),
        (False, True),
    ]


def test_labels_of_a_slice_that_are_ones_own_are_those_of_its_endpoints(specs):
    (held,) = specs(
        SLICE.replace("name: cart}", "name: cart, version: v2}") + "- addresses: [10.0.0.1]\n"
    )
    assert held.endpoints[0].labels == {"version": "v2"}


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("kubernetes.io/service-name: cart", "a: b", "metadata.labels"),
        ("IPv4", "FQDN", "addressType"),
        ("IPv4", "ipv4", "addressType"),
        ("[10.0.0.1]", '["fd00::1"]', "endpoints[0].addresses[0]"),
        ("[10.0.0.1]", "[]", "endpoints[0].addresses"),
        ("[10.0.0.1]", "[web-0.example]", "endpoints[0].addresses[0]"),
        ("port: 8080", "port: 8080, protocol: SCTP", "ports[0].protocol"),
        ("{name: http, port: 8080}", "{port: 1}, {port: 2}", "ports[1].name"),
        ("addresses: [10.0.0.1]", "addresses: [10.0.0.1], ready: true", "endpoints[0].ready"),
    ],
)
def test_what_a_slice_cannot_mean_is_an_error_there(read, old, new, field):
    text = (SLICE + "- {addresses: [10.0.0.1]}\n").replace(old, new)
    assert [one.field for one in read(text).errors] == [field]


def test_endpoints_are_those_of_the_service_of_their_name(specs):
    (held,) = specs("""
        apiVersion: v1
        kind: Endpoints
        metadata: {name: cart, namespace: shop}
        subsets:
          - addresses: [{ip: 10.0.0.1, nodeName: n, targetRef: {kind: Pod, name: p}}]
            notReadyAddresses: [{ip: 10.0.0.2}]
            ports: [{name: http, port: 8080}, {name: admin, port: 9000}]
          - addresses: [{ip: 10.0.0.3}]
            ports: [{name: http, port: 8081}]
        """)
    assert held.service == ServiceName("shop", "cart")
    assert [(str(one.address), one.ready, one.ports["http"]) for one in held.endpoints] == [
        ("10.0.0.1", True, 8080),
        ("10.0.0.2", False, 8080),
        ("10.0.0.3", True, 8081),
    ]
