#!/usr/bin/env python3
"""Tries what issue 21 names, item by item, on running servers of one or two binaries, and prints a table.

usage: scripts/hardening.py --after target/release/mcvn [--models models]
                            [--before OLD_BINARY [--before-models FOLDER]] [--only 1,3,13] [--quick]

Exit status 1 where something of "after" does not hold. Everything happens on loopback and in temporary folders.
"""

import sys

from hardening.main import main

if __name__ == "__main__":
    sys.exit(main())
