"""`python -m shifter`: the command line."""

from shifter.cli.main import main

if __name__ == "__main__":
    main()
