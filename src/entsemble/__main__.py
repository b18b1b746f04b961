"""`python -m entsemble`: the command line."""

from entsemble.cli import main

if __name__ == "__main__":
    main()
