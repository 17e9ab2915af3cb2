# SPDX-License-Identifier: Apache-2.0
"""What undermesh costs and whether it is right, measured beside what you would use instead.

`./run bench` lists the benchmarks. docs/benchmarks.md says how each figure is taken.
"""
