# SPDX-License-Identifier: Apache-2.0
"""What is wrong between objects that are each right by themselves."""

import time
from ipaddress import IPv4Address

import pytest

from undermesh import manifests
from undermesh.model.objects import Object, ObjectKey
from undermesh.model.service import Endpoint, EndpointSet, Service, ServiceName, ServicePort


def service(name, spec="ports: [{port: 80}], endpoints: [{address: 10.0.0.1}]", namespace="shop"):
    return (
        "---\napiVersion: undermesh.io/v1alpha1\nkind: Service\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )


def endpoint_slice(name, ports="[{name: http, port: 8080}]"):
    return (
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
        f"metadata: {{name: {name}-1, namespace: shop, labels: "
        f"{{kubernetes.io/service-name: {name}}}}}\n"
        f"addressType: IPv4\nports: {ports}\nendpoints: [{{addresses: [10.0.0.1]}}]\n"
    )


def workload(name, ports="{http: 8080}"):
    return (
        "---\napiVersion: undermesh.io/v1alpha1\nkind: Workload\n"
        f"metadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}}}\n"
        f"spec: {{match: {{unit: a.service}}, ports: {ports}}}\n"
    )


def external(name, target):
    return service(name, f"externalName: {target}")


def test_nothing_is_wrong_with_what_is_right(checked):
    text = service("a") + external("db", "db.example.com") + workload("b")
    assert checked(text + service("b", "selector: {app: b}, ports: [{port: 80}]")) == ()


def test_two_services_at_one_address_are_an_error(checked):
    both = "addresses: [198.18.0.5], ports: [{port: 80}], endpoints: [{address: 10.0.0.1}]"
    (found,) = checked(service("a", both) + service("b", both))
    assert (found.severity, found.line) == ("error", 7)
    assert (
        found.message == "shop/b claims 198.18.0.5, which shop/a (f.yaml:2) has for 80/tcp already"
    )


def test_two_services_at_one_address_share_it_by_ports(checked):
    text = "addresses: [198.18.0.5], endpoints: [{{address: 10.0.0.1}}], ports: [{{port: {}}}]"
    assert checked(service("a", text.format(80)) + service("b", text.format(81))) == ()


def test_one_service_in_two_dialects_is_an_error(checked):
    (found, _) = checked(
        service("a")
        + "---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: shop}\n"
        + "spec: {ports: [{port: 80}]}\n"
        + external("b", "x")
        + service("c", "ports: [{port: 80}]")
    )
    assert found.severity == "error"
    assert found.message.endswith("are both the service shop/a")


def test_a_service_that_selects_nothing_is_a_warning(checked):
    (found,) = checked(service("a", "selector: {app: b}, ports: [{port: 80}]"))
    assert (found.severity, found.field) == ("warning", "spec.selector")
    assert "selects nothing yet" in found.message


def test_workloads_are_selected_within_their_namespace(checked):
    text = workload("a") + service("a", "selector: {app: a}, ports: [{port: 80}]", "other")
    assert "selects nothing yet" in checked(text)[0].message


def test_a_service_nobody_lists_endpoints_for_is_a_warning(checked):
    (found,) = checked(service("a", "ports: [{port: 80}]"))
    assert found.severity == "warning" and "nobody lists endpoints" in found.message


def test_endpoints_of_no_service_are_a_warning(checked):
    (found,) = checked(endpoint_slice("a"))
    assert found.severity == "warning"
    assert found.message == "there is no Service shop/a for these endpoints"


def test_a_port_name_that_nobody_has_is_an_error(checked):
    for text in (
        workload("a") + service("a", "selector: {app: a}, ports: [{port: 80, targetPort: web}]"),
        service(
            "a",
            "ports: [{port: 80, targetPort: web}], "
            "endpoints: [{address: 10.0.0.1, ports: {http: 8080}}]",
        ),
    ):
        (found,) = checked(text)
        assert (found.severity, found.field) == ("error", "spec.ports[0].targetPort")
        assert found.message == 'nobody who answers for shop/a has a port "web"'
        assert found.allowed == "they have http"


def test_ports_of_slices_have_the_names_of_the_services_ports(checked):
    text = "---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: shop}\n"
    text += "spec: {ports: [{name: http, port: 80, targetPort: web}]}\n"
    assert checked(text + endpoint_slice("a")) == ()
    (found,) = checked(text.replace("name: http", "name: grpc") + endpoint_slice("a"))
    assert found.severity == "error" and found.field == "spec.ports[0].targetPort"


def test_endpoints_without_a_port_are_an_error_unless_headless(checked):
    (found,) = checked(service("a", "ports: [{port: 80}]") + endpoint_slice("a", "[]"))
    assert (found.severity, found.line) == ("error", 7)
    assert found.message == "endpoint 10.0.0.1 of shop/a is without a port"
    assert checked(service("a", "headless: true") + endpoint_slice("a", "[]")) == ()


@pytest.mark.parametrize(
    ("names", "circle"),
    [
        ({"a": "a.shop.svc.mesh"}, "shop/a → shop/a"),
        ({"a": "b", "b": "a.shop"}, "shop/a → shop/b → shop/a"),
        (
            {"z": "a", "a": "b.shop.svc", "b": "c.shop.svc.cluster.local", "c": "a"},
            "shop/a → shop/b → shop/c → shop/a",
        ),
    ],
)
def test_a_circle_of_external_names_is_an_error_of_each_in_it(checked, names, circle):
    found = checked("".join(external(name, target) for name, target in names.items()))
    assert {one.severity for one in found} == {"error"}
    assert len(found) == circle.count("→")
    assert all(one.message.endswith(circle) for one in found)


def test_external_names_that_lead_to_a_service_are_right(checked):
    assert checked(external("a", "b") + external("b", "c.shop") + service("c")) == ()


def test_weights_that_sum_to_zero_over_several_sets_are_an_error():
    name = ServiceName("shop", "a")
    held = EndpointSet(
        service=name,
        source="s",
        endpoints=(Endpoint(address=IPv4Address(1), ports={"": 1}, weight=0),),
    )
    made = Service(name=name, ports=(ServicePort(port=80, target=80),), origin="f:1")
    key = ObjectKey("Service", "shop", "a")
    (found,) = manifests.check([Object(key=key, specs=(made, held), document="", origin="f:1")])
    assert found.severity == "error" and "would be chosen" in found.message


def test_a_hundred_thousand_endpoints_in_one_service_are_an_error_and_soon(checked):
    listed = "".join(
        f"  - {{address: 10.{n >> 16}.{n >> 8 & 255}.{n & 255}}}\n" for n in range(100_000)
    )
    begun = time.monotonic()
    (found,) = checked(
        "apiVersion: undermesh.io/v1alpha1\nkind: Service\nmetadata: {name: a}\n"
        "spec:\n  ports: [{port: 80}]\n  endpoints:\n" + listed
    )
    assert found.severity == "error"
    assert found.message == "a has 100000 endpoints, more than one service can have"
    assert found.allowed.startswith("at most 65535")
    assert time.monotonic() - begun < 20


def test_a_share_nobody_has_is_a_warning(checked):
    (found,) = checked(
        service(
            "a",
            "ports: [{port: 80}], endpoints: [{address: 10.0.0.1, labels: {v: a}}], "
            "splits: [{weight: 1, labels: {v: a}}, {weight: 1, labels: {v: b}}]",
        )
    )
    assert (found.severity, found.field) == ("warning", "spec.splits[1].labels")
