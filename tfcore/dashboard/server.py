"""The process that `dashboard` starts: serves TensorBoard until its standard input ends.

Standard input is a pipe whose other end the training process holds, so it ends with that process, however that does.
"""

import sys

from tensorboard import program


def serve(flags: list[str]) -> None:
    """Prints TensorBoard's address once it can be reached; says on standard error why it cannot."""
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
