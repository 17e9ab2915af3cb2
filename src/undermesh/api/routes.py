# SPDX-License-Identifier: Apache-2.0
"""API v1, path by path."""

from collections.abc import Sequence

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from undermesh.api import bodies, explain, objects, problems, streams
from undermesh.api.asked import Query
from undermesh.api.problems import Refused
from undermesh.api.service import Service
from undermesh.app.runs import NoSuchRun
from undermesh.app.views import DropRows, EdgeFilter, EdgeView
from undermesh.model.flow import FlowState
from undermesh.model.protocol import Protocol
from undermesh.model.sample import SampleKind
from undermesh.telemetry.flows import FlowFilter
from undermesh.telemetry.samples import SampleFilter
from undermesh.wire import drops, edges, flows, graph, samples, status, workloads
from undermesh.wire.times import iso

WINDOW_SECONDS = 10.0
LIMIT = 100
LIMIT_HIGHEST = 100_000


class Api:
    """Handlers over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._views = service.observatory.views

    async def status(self, request: Request) -> Response:
        """GET /v1/status"""
        query = Query(request.query_params)
        with_config = query.flag("config")
        query.done()
        config = {table: dict(keys) for table, keys in self._service.config().items()}
        return _json(
            status.answer(self._service.status(), config if with_config else msgspec.UNSET)
        )

    async def edges(self, request: Request) -> Response:
        """GET /v1/edges"""
        view = self._edges(request)
        return _json(
            edges.Edges(
                since=iso(view.since_ns),
                until=iso(view.until_ns),
                edges=[edges.row(edge) for edge in view.edges],
            )
        )

    async def graph(self, request: Request) -> Response:
        """GET /v1/graph"""
        view = self._edges(request)
        return _json(
            graph.Graph(
                since=iso(view.since_ns),
                until=iso(view.until_ns),
                nodes=graph.nodes(view.edges),
                edges=[edges.row(edge) for edge in view.edges],
            )
        )

    async def flows(self, request: Request) -> Response:
        """GET /v1/flows"""
        query = Query(request.query_params)
        asked = FlowFilter(
            workload=query.text("workload"),
            port=query.whole("port", 0, 65535),
            protocol=query.word("protocol", Protocol),
            peer=query.text("peer"),
            state=query.word("state", FlowState),
        )
        limit = query.whole("limit", 0, LIMIT_HIGHEST)
        follow = query.flag("follow")
        query.done()
        clock = self._service.clock()
        if follow:
            feed = self._service.observatory.recorder.new_flows
            lines = streams.following(
                feed,
                lambda batch: [
                    flows.row(one, clock) for one in self._views.follow_flows(batch, asked)
                ],
                self._service.ending,
            )
            return streams.response(lines)
        found = self._views.flows(asked, limit=LIMIT if limit is None else limit)
        return _json(flows.Flows(flows=[flows.row(flow, clock) for flow in found]))

    async def samples(self, request: Request) -> Response:
        """GET /v1/samples"""
        query = Query(request.query_params)
        asked = SampleFilter(
            workload=query.text("workload"),
            port=query.whole("port", 0, 65535),
            peer=query.text("peer"),
            kind=query.word("kind", SampleKind),
        )
        limit = query.whole("limit", 0, LIMIT_HIGHEST)
        follow = query.flag("follow")
        query.done()
        clock = self._service.clock()
        if follow:
            lines = streams.following(
                self._service.observatory.recorder.new_samples,
                lambda batch: [
                    samples.row(one, clock) for one in self._views.follow_samples(batch, asked)
                ],
                self._service.ending,
            )
            return streams.response(lines)
        found = self._views.samples(asked, limit=LIMIT if limit is None else limit)
        return _json(samples.Samples(samples=[samples.row(one, clock) for one in found]))

    async def drops(self, request: Request) -> Response:
        """GET /v1/drops"""
        query = Query(request.query_params)
        reason, workload = query.text("reason"), query.text("workload")
        limit = query.whole("limit", 0, LIMIT_HIGHEST)
        follow = query.flag("follow")
        query.done()
        clock = self._service.clock()
        if follow:
            before: DropRows | None = None

            def grown() -> list[drops.DropRow]:
                nonlocal before
                rows, before = self._views.drops_since(before, reason=reason, workload=workload)
                return [drops.row(row, clock) for row in rows]

            return streams.response(streams.polling(grown, self._service.ending))
        found = self._views.drops(reason=reason, workload=workload)
        return _json(drops.Drops(drops=[drops.row(drop, clock) for drop in found[:limit]]))

    async def workloads(self, request: Request) -> Response:
        """GET /v1/workloads"""
        Query(request.query_params).done()
        at, clock = self._service.now(), self._service.clock()
        found = self._views.workloads(now_ns=at.monotonic_ns)
        return _json(workloads.Workloads(workloads=[workloads.row(one, clock) for one in found]))

    async def register(self, request: Request) -> Response:
        """POST /v1/workloads"""
        asked = await bodies.read(request, workloads.Register)
        try:
            run = self._service.observatory.runs.register(
                namespace=asked.namespace,
                name=asked.name,
                labels=asked.labels,
                pid=asked.pid,
                now_ns=self._service.now().monotonic_ns,
            )
        except ValueError as error:
            raise Refused(400, "This name will not do", str(error)) from error
        except OSError as error:
            raise Refused(409, "The host refused", str(error)) from error
        registered = workloads.Registered(
            id=run.id, namespace=run.namespace, name=run.name, cgroup=str(run.cgroup)
        )
        return _json(registered, status=201)

    async def unregister(self, request: Request) -> Response:
        """DELETE /v1/workloads/{id}"""
        run_id = request.path_params["id"]
        try:
            self._service.observatory.runs.end(run_id)
        except NoSuchRun as error:
            detail = f"no run {run_id} has a cgroup; it may have ended already"
            raise Refused(404, "No such run", detail) from error
        return Response(status_code=204)

    async def shutdown(self, request: Request) -> Response:
        """POST /v1/shutdown"""
        asked = await bodies.read(request, _Shutdown, empty=_Shutdown())
        self._service.shut_down(asked.remove)
        return _json(asked, status=202)

    def _edges(self, request: Request) -> EdgeView:
        query = Query(request.query_params)
        total = query.flag("total")
        window = query.seconds("window", 0.1, self._service.window_seconds)
        asked = EdgeFilter(
            workload=query.text("workload"),
            namespace=query.text("namespace"),
            protocol=query.word("protocol", Protocol),
            port=query.whole("port", 0, 65535),
        )
        query.done()
        at = self._service.now()
        if total:
            since_ns = self._service.observatory.since_ns()
            return self._views.edges_total(asked, since_ns=since_ns, at=at)
        window_ns = int((window or WINDOW_SECONDS) * 1e9)
        return self._views.edges_lately(window_ns, asked, at=at)


class _Shutdown(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`remove`: take the data plane out of the kernel too."""

    remove: bool = False


def application(service: Service) -> Starlette:
    """The API as an ASGI application, without its door."""
    api = Api(service)
    routes: Sequence[Route] = [
        Route("/v1/status", api.status),
        Route("/v1/edges", api.edges),
        Route("/v1/graph", api.graph),
        Route("/v1/flows", api.flows),
        Route("/v1/samples", api.samples),
        Route("/v1/drops", api.drops),
        Route("/v1/workloads", api.workloads, methods=["GET"]),
        Route("/v1/workloads", api.register, methods=["POST"]),
        Route("/v1/workloads/{id}", api.unregister, methods=["DELETE"]),
        Route("/v1/shutdown", api.shutdown, methods=["POST"]),
        *objects.routes(service),
        *explain.routes(service),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: problems.on_refusal, Exception: problems.on_fault},
    )


def _json(answer: msgspec.Struct, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status_code=status, media_type="application/json")
