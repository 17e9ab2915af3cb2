# SPDX-License-Identifier: Apache-2.0
"""Objects as people name them: `svc`, `svc/cart`, `svc cart`, `Service/shop/cart`."""

from __future__ import annotations

from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from undermesh.model.kinds import NAMES, UnknownKind, kinds_named
from undermesh.wire.objects import Ref


def complete_kind(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Kinds, for the shell."""
    begun = incomplete.lower()
    return [CompletionItem(name) for name in sorted(NAMES) if name.startswith(begun)]


def refs(arguments: Sequence[str], namespace: str | None) -> list[Ref]:
    """Every object that is named, "" for a namespace or name that is not said.

    Raises UsageError.
    """
    if not arguments:
        return []
    if any("/" in one for one in arguments):
        return [_ref(one, namespace) for one in arguments]
    kind, *names = arguments
    _known(kind)
    return [Ref(kind=kind, namespace=namespace or "", name=name) for name in names or [""]]


def _ref(text: str, namespace: str | None) -> Ref:
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise click.UsageError(f"{text!r} is not KIND/NAME or KIND/NAMESPACE/NAME")
    _known(parts[0])
    if len(parts) == 2:
        return Ref(kind=parts[0], namespace=namespace or "", name=parts[1])
    if namespace not in (None, parts[1]):
        raise click.UsageError(f"{text!r} is not in namespace {namespace}, which --namespace says")
    return Ref(kind=parts[0], namespace=parts[1], name=parts[2])


def _known(kind: str) -> None:
    try:
        kinds_named(kind)
    except UnknownKind as error:
        raise click.UsageError(str(error)) from error
