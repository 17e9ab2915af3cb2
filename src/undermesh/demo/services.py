# SPDX-License-Identifier: Apache-2.0
"""The shop's five services: `python -m undermesh.demo.services NAME PORT [PEER=PORT]…`."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections.abc import Mapping

from undermesh.demo import http1
from undermesh.demo.http1 import Handler, Pool, Request, Response
from undermesh.demo.redis import Redis

PAYMENT_FAILS_EVERY = 20
RECOMMEND_MEDIAN_S = 0.045
PRODUCTS = 40


def catalog(peers: Mapping[str, int]) -> Handler:
    """Products, kept in Redis."""
    redis = Redis(peers["redis"])

    async def handle(request: Request) -> Response:
        await _work(0.002)
        number = int(random.random() * PRODUCTS)
        found = await redis.command("GET", f"product:{number}")
        if found is None:
            text = json.dumps({"id": number, "name": f"Thing {number}", "about": "x" * 400})
            await redis.command("SET", f"product:{number}", text)
            found = text.encode()
        assert isinstance(found, bytes)
        return Response(200, found)

    return handle


def cart(peers: Mapping[str, int]) -> Handler:
    """A cart in Redis; what is put in is looked up in the catalog."""
    redis, products = Redis(peers["redis"]), Pool(peers["catalog"])

    async def handle(request: Request) -> Response:
        await _work(0.001)
        if request.method == "POST":
            product = await products.request("GET", "/api/products/1")
            if product.status != 200:
                return Response(502)
            size = await redis.command("INCR", "cart:size")
            return _json(200, {"items": size})
        size = await redis.command("GET", "cart:size")
        return _json(200, {"items": int(size or 0)})

    return handle


def checkout(peers: Mapping[str, int]) -> Handler:
    """Asks the cart, then takes the money; says 502 when payment fails."""
    carts, money = Pool(peers["cart"]), Pool(peers["payment"])

    async def handle(request: Request) -> Response:
        await _work(0.002)
        await carts.request("GET", "/api/cart")
        paid = await money.request("POST", "/api/payments", b'{"amount": 4200}')
        return _json(200 if paid.status == 200 else 502, {"paid": paid.status == 200})

    return handle


def payment(peers: Mapping[str, int]) -> Handler:
    """Fails exactly every 20th request."""
    count = 0

    async def handle(request: Request) -> Response:
        nonlocal count
        count += 1
        mine = count
        await _work(0.008)
        if mine % PAYMENT_FAILS_EVERY == 0:
            return _json(500, {"error": "the bank did not answer"})
        return _json(200, {"receipt": mine})

    return handle


def recommend(peers: Mapping[str, int]) -> Handler:
    """Slow, with a tail that is slower still."""
    products = Pool(peers["catalog"])

    async def handle(request: Request) -> Response:
        await asyncio.sleep(random.lognormvariate(0.0, 0.6) * RECOMMEND_MEDIAN_S)
        product = await products.request("GET", "/api/products/2")
        return Response(product.status, product.body)

    return handle


SERVICES = {
    "catalog": catalog,
    "cart": cart,
    "checkout": checkout,
    "payment": payment,
    "recommend": recommend,
}


async def _work(mean_s: float) -> None:
    await asyncio.sleep(random.expovariate(1 / mean_s))


def _json(status: int, value: object) -> Response:
    return Response(status, json.dumps(value).encode())


async def _serve(name: str, port: int, peers: Mapping[str, int]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await http1.serve(port, SERVICES[name](peers))
    await stop.wait()


def main() -> None:
    name, port, *rest = sys.argv[1:]
    peers = {peer: int(number) for peer, _, number in (entry.partition("=") for entry in rest)}
    asyncio.run(_serve(name, int(port), peers))


if __name__ == "__main__":
    main()
