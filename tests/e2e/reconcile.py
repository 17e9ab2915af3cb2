# SPDX-License-Identifier: Apache-2.0
"""Our count beside the server's and the client's."""

from tests.e2e.agents import Agent, Row
from tests.e2e.load import Wrk
from tests.e2e.servers import Nginx


def reconcile(agent: Agent, server: Nginx, load: Wrk, *, client: str = "wrk") -> Row:
    """Ends the load and holds the three accounts together; answers our row.

    The server has every request that was sent: those answered, and at most one a connection that
    wrk left unanswered when its time was over. The client counts what it had read by then.
    """
    report = load.stop()
    assert report.trouble == ""
    row = agent.row(client, "nginx", port=server.port)
    assert row["protocol"] == "http"
    assert row["requests"] + row["cut"] == server.counted(), (row, report)
    assert row["cut"] <= load.connections
    assert report.answers <= row["requests"] <= report.answers + load.connections
    assert row["by_status"] == {"200": row["requests"]}
    assert row["connections"] == load.connections + 1  # wrk tries the address first
    assert row["open"] == 0 and row["desync"] == 0
    assert agent.lost() == {}
    return row
