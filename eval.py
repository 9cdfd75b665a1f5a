"""Scores a trained model: `python eval.py --run_dir=runs/NAME`."""

from tfcore.cli.main import console

if __name__ == "__main__":
    console("eval")
