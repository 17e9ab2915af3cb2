# SPDX-License-Identifier: Apache-2.0
"""The only room with libbpf and BPF descriptors.

Generic part, each usable alone: `objects` (open → configure → load → attach), `btf` (C layouts as
numpy dtypes), `maps`, `ring`, `iterators`, `testrun`, `probes`, `inventory`, `pins`. On top of it
`plane`: the programs of undermesh, loaded, attached and pinned as one thing.
"""
