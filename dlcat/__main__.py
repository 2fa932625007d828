"""The command line, for `python -m dlcat`."""

from dlcat.cli import main

if __name__ == "__main__":
    main()
