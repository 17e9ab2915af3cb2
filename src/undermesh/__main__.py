# SPDX-License-Identifier: Apache-2.0
"""`python -m undermesh` is the command `undermesh`."""

import sys

from undermesh.cli import main

if __name__ == "__main__":
    sys.exit(main())
