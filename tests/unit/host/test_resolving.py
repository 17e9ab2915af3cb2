# SPDX-License-Identifier: Apache-2.0
"""Who asks for names past port 53."""

from pathlib import Path

import pytest

from undermesh.host.doctor import resolving
from undermesh.host.doctor.checks import fit


def host(tmp_path: Path, *, nsswitch="", resolv="", resolved_conf="", running=()):
    """The checks of a host with these files, by name."""
    for name, text in {
        "etc/nsswitch.conf": nsswitch,
        "etc/resolv.conf": resolv,
        "etc/systemd/resolved.conf": "[Resolve]\n#DNSOverTLS=no\n",
        "etc/systemd/resolved.conf.d/50-tls.conf": resolved_conf,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for pid, name in enumerate(running, 100):
        (tmp_path / f"proc/{pid}").mkdir(parents=True)
        (tmp_path / f"proc/{pid}/comm").write_text(f"{name}\n")
    found = {check.name: check for check in resolving.bypasses(resolving.gather(root=tmp_path))}
    assert fit(tuple(found.values())), "a host without service names is fit for the rest"
    return found


UBUNTU = (
    "passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns\n"
)


def test_the_stub_at_127_0_0_53_is_fine(tmp_path):
    found = host(
        tmp_path,
        nsswitch="hosts: files dns\n",
        resolv="# by systemd\nnameserver 127.0.0.53\noptions edns0\n",
        running=["systemd-resolve"],
    )
    assert found["service names"].ok == "yes"
    assert "127.0.0.53" in found["service names"].found


def test_nss_resolve_goes_past(tmp_path):
    found = host(tmp_path, nsswitch=UBUNTU, running=["systemd-resolve"])
    assert "service names" not in found
    assert found["nss-resolve"].ok == "no"
    assert "nsswitch.conf" in found["nss-resolve"].remedy


@pytest.mark.parametrize(
    ("nsswitch", "running"),
    [
        (UBUNTU, []),
        ("hosts: files dns resolve\n", ["systemd-resolve"]),
        ("hosts: files dns # resolve\n", ["systemd-resolve"]),
        ("", ["systemd-resolve"]),
    ],
    ids=["resolved does not run", "after dns", "a comment", "no file"],
)
def test_nss_resolve_that_is_not_asked(tmp_path, nsswitch, running):
    assert host(tmp_path, nsswitch=nsswitch, running=running)["service names"].ok == "yes"


@pytest.mark.parametrize("name", ["cloudflared", "dnscrypt-proxy", "https_dns_proxy", "stubby"])
def test_encrypting_proxies_are_named(tmp_path, name):
    assert "left alone" in host(tmp_path, running=[name])[name].found


def test_dns_over_tls_of_systemd_resolved(tmp_path):
    assert "DNS over TLS" not in host(tmp_path / "a", resolved_conf="[Resolve]\nDNSOverTLS=no\n")
    found = host(tmp_path / "b", resolved_conf="[Resolve]\nDNSOverTLS = opportunistic\n")
    assert "opportunistic" in found["DNS over TLS"].found


def test_a_link_local_resolver(tmp_path):
    found = host(tmp_path, resolv="nameserver FE80::1%eth0\nnameserver 10.0.0.1\n")
    assert found["link-local resolver"].ok == "no"


def test_caches_and_what_nobody_can_tell(tmp_path):
    found = host(tmp_path, running=["nscd"])
    assert "nscd" in found["name caches"].found
    assert found["programs of their own"].ok == "unknown"
