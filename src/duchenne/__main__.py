"""``python -m duchenne``."""

from duchenne.cli.main import main

main()
