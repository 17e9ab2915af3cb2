# SPDX-License-Identifier: Apache-2.0
"""The JSON of a request, up to a limit that is kept while it is read."""

from typing import TypeVar

import msgspec
from starlette.requests import Request

from undermesh.api.problems import Refused

LIMIT = 1 << 20
_HEARD_OUT = 64 << 20
"""Bytes beyond the limit that are read and thrown away: who is still sending hears no answer."""

Asked = TypeVar("Asked", bound=msgspec.Struct)


async def read(
    request: Request, kind: type[Asked], *, limit: int = LIMIT, empty: Asked | None = None
) -> Asked:
    """The request's body; `empty`, if given, where there is none. Raises Refused for what is too
    long or not `kind`."""
    raw = bytearray()
    length = 0
    async for piece in request.stream():
        length += len(piece)
        if length <= limit:
            raw += piece
        elif length > limit + _HEARD_OUT:
            break
    if length > limit:
        raise Refused(413, "Too large", f"a body may have {limit} bytes")
    if not raw and empty is not None:
        return empty
    try:
        return msgspec.json.decode(bytes(raw), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(400, "Not what was expected", f"{error}; docs/api.md") from error
