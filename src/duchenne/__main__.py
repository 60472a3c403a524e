"""``python -m duchenne``."""

from duchenne.cli import main

main()
