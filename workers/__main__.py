"""`python -m workers` runs the `sagas` command, for environments without scripts on the PATH."""

from ._cli.main import main

if __name__ == "__main__":
    main()
