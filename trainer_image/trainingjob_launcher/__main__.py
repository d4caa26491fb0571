"""`python -m trainingjob_launcher -- COMMAND ARGUMENT...`."""

import sys

from trainingjob_launcher.launcher import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
