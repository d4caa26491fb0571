"""`python -m trainingjob_client`: the plugin where it is not installed."""

import sys

from trainingjob_client.cli import main

if __name__ == "__main__":
    sys.exit(main())
