"""`python -m vshdr`: the command line where the script `vshdr` is not on the path."""

import sys

from vshdr.cli.main import main

sys.exit(main())
