# SPDX-License-Identifier: Apache-2.0
"""State that survives the agent: keys with revisions, and totals of what is gone. SQLite."""

from undermesh.store.changes import Change
from undermesh.store.columns import Field, Layout
from undermesh.store.database import Database
from undermesh.store.errors import Compacted, NewerSchema, StoreError, StoreUnusable
from undermesh.store.keys import Committed, Entry, KeyStore, Swap, Write
from undermesh.store.ledger import FoldId, Ledger, LedgerTable, Pending

__all__ = [
    "Change",
    "Committed",
    "Compacted",
    "Database",
    "Entry",
    "Field",
    "FoldId",
    "KeyStore",
    "Layout",
    "Ledger",
    "LedgerTable",
    "NewerSchema",
    "Pending",
    "StoreError",
    "StoreUnusable",
    "Swap",
    "Write",
]
