"""`python -m nmf_scratch`: the command line."""

from nmf_scratch.cli import main

if __name__ == "__main__":
    main()
