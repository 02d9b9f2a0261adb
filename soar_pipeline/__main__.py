"""`python -m soar_pipeline`: the same as the command `soar-pipeline`."""

import sys

from soar_pipeline.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
