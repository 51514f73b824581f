"""`python -m orchestrator.cli` is `whisper-flow`."""

import sys

from orchestrator.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
