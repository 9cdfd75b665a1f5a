"""The child process of `dashboard`: serves TensorBoard until its standard input ends.

Standard input is a pipe from the training process, so it ends with that process, even if that is killed.
"""

import sys

from tensorboard import program


def serve(flags: list[str]) -> None:
    """Prints TensorBoard's address once it can be reached, or the reason for a failure on standard error."""
    board = program.TensorBoard()
    board.configure(argv=["tensorboard", *flags])
    try:
        address = board.launch()
    except (program.TensorBoardServerException, OSError) as error:
        sys.exit(str(error))
    print(address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1:])
