"""`python -m lmdm_adapter` is the command `lmdm`."""

from lmdm_adapter.cli import main

main()
