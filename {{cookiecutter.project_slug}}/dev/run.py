"""`make run`.

WORKERS="default io_heavy" PORT=8000 python -m dev.run
"""

import sys

INTERRUPTED = 130  # what a shell reports after Ctrl-C

if __name__ == "__main__":
    try:
        # Imported here, so that Ctrl-C is answered from the first moment on.
        from dev.service import main

        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
