"""`python -m tests.wire` writes the golden files anew; by hand only, when the wire is meant to change."""

from .golden import write

if __name__ == "__main__":
    write()
