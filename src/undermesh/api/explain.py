# SPDX-License-Identifier: Apache-2.0
"""GET /v1/explain: the way of a name."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from undermesh.api.asked import Query
from undermesh.api.problems import Refused
from undermesh.api.service import Service
from undermesh.app import explaining
from undermesh.wire import explain as wire


class ExplainApi:
    """The handler over one agent's steering."""

    def __init__(self, service: Service) -> None:
        self._steering = service.steering

    async def explain(self, request: Request) -> Response:
        """GET /v1/explain?to=NAME[&port=N]"""
        query = Query(request.query_params)
        asked, port = query.text("to"), query.whole("port", 1, 65535)
        query.done()
        if asked is None:
            raise Refused(400, "Nothing to explain", "say which name: /v1/explain?to=cart")
        try:
            found = explaining.explain(self._steering, asked, port)
        except explaining.UnknownName as error:
            near = f"; did you mean {', '.join(error.near)}?" if error.near else ";"
            raise Refused(
                404, "No such service", f"{error}{near} `undermesh get svc -A` lists them"
            ) from error
        return Response(msgspec.json.encode(_answer(found)), media_type="application/json")


def routes(service: Service) -> list[Route]:
    """The routes."""
    api = ExplainApi(service)
    return [Route("/v1/explain", api.explain, methods=["GET"])]


def _answer(found: explaining.Explained) -> wire.Explained:
    return wire.Explained(
        service=str(found.service),
        namespace=found.service.namespace,
        name=found.service.name,
        answers=found.answers,
        addresses=[str(one) for one in found.addresses],
        names=list(found.names),
        balancing=found.balancing,
        locality=found.locality,
        headless=found.headless,
        external=list(found.external),
        ports=[_port(one) for one in found.ports],
        problems=list(found.problems),
        origin=found.origin,
    )


def _port(one: explaining.Port) -> wire.PortRow:
    return wire.PortRow(
        name=one.port.name,
        port=one.port.port,
        protocol=one.port.transport,
        target=str(one.port.target),
        usable=one.usable,
        refused=list(one.refused),
        elsewhere=list(one.elsewhere),
        backends=[_backend(backend) for backend in one.backends],
    )


def _backend(one: explaining.Backend) -> wire.BackendRow:
    load = one.load
    return wire.BackendRow(
        address=str(one.address),
        port=one.port,
        usable=one.usable,
        state=one.state,
        target=one.target,
        node=one.node,
        zone=one.zone,
        weight=one.weight,
        netns=one.netns,
        open=load.open,
        connects=load.connects,
        failures=load.failures,
        requests=load.requests,
        errors=load.errors,
        ewma_ms=round(load.ewma_ns / 1e6, 3),
    )
