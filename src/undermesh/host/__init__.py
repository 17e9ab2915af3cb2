# SPDX-License-Identifier: Apache-2.0
"""Reads the host: cgroups and what they are called, processes, addresses; makes run cgroups."""

from undermesh.host.book import WorkloadBook
from undermesh.host.cgroups import CgroupScan, CgroupTree, cgroup_id, find_cgroup2
from undermesh.host.containers import NO_RUNTIMES, ContainerName, PodName, RuntimeNames
from undermesh.host.errors import BadName, CgroupRefused, HostError, NoCgroup2
from undermesh.host.local import LocalAddresses
from undermesh.host.naming import CgroupName, name_cgroup
from undermesh.host.processes import Process, ProcessReader
from undermesh.host.run import Cleared, RunCgroup, RunCgroups, validate_labels, validate_name
from undermesh.host.runtimes import RuntimeRoots, Runtimes

__all__ = [
    "NO_RUNTIMES",
    "BadName",
    "CgroupName",
    "CgroupRefused",
    "CgroupScan",
    "CgroupTree",
    "Cleared",
    "ContainerName",
    "HostError",
    "LocalAddresses",
    "NoCgroup2",
    "PodName",
    "Process",
    "ProcessReader",
    "RunCgroup",
    "RunCgroups",
    "RuntimeNames",
    "RuntimeRoots",
    "Runtimes",
    "WorkloadBook",
    "cgroup_id",
    "find_cgroup2",
    "name_cgroup",
    "validate_labels",
    "validate_name",
]
