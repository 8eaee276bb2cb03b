"""`python -m kontext_lab` is `kontext-lab`."""

from kontext_lab.cli import main

if __name__ == "__main__":
    main()
