"""`python -m workers` is the `sagas` command, for where scripts are not on the PATH."""

from ._cli.main import main

if __name__ == "__main__":
    main()
