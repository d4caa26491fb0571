"""`python -m trainingjob_launcher -- COMMAND ARGUMENT...`.

In a foreign image any Python may come here. This file is read by all of them, and says so to those that can't go on.
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036
    sys.stderr.write(
        "trainingjob: this image has Python %d.%d, the launcher needs 3.9 or later: "  # noqa: UP031
        "set spec.image to an image with a newer python3\n" % sys.version_info[:2]
    )
    sys.exit(2)

from trainingjob_launcher.launcher import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
