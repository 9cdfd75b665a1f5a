"""`python -m tfcore COMMAND …` is `tfcore COMMAND …`."""

from tfcore.cli.main import console

if __name__ == "__main__":
    console()
