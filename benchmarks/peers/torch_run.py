"""Trains or evaluates a network of the comparison in PyTorch, and prints one line of JSON.

    python -m benchmarks.peers.torch_run cifar_cnn --examples=3200 --bfloat16
    python -m benchmarks.peers.torch_run softmax --compile
    python -m benchmarks.peers.torch_run cifar_cnn --evaluate --bfloat16

The pictures stay in memory as uint8 and batches are gathered by index: the workers of a DataLoader are slower for data
that fits in memory. Optimizers are fused where PyTorch offers it. Convolutions use channels_last. bfloat16 is by
autocast: weights, optimizer and loss stay float32.
"""

import os
import shutil
import sys
from collections.abc import Callable

import torch
from torch.nn import functional

from benchmarks.peers import measuring, torch_models
from benchmarks.peers.measuring import Stopwatch, peak_bytes
from benchmarks.peers.torch_models import Case

Scores = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
LONGEST = 3.0  # the greatest norm of a row of the limited weights
COMPILER = os.environ.get("CXX", "g++")


class Trainer:
    """Trains one case, epoch by epoch.

    Args:
        case: model and optimizer.
        scores: see `scoring`.
        images: uint8 [N, H, W, C].
        labels: int64 [N].
    """

    def __init__(self, case: Case, scores: Scores, images: torch.Tensor, labels: torch.Tensor) -> None:
        self._case, self._scores, self._images, self._labels = case, scores, images, labels
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def epoch(self) -> None:
        """Shuffles the examples, and trains on each once."""
        loss_sum, hits = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for rows in torch.randperm(len(self._images)).split(self._case.batch_size):
            loss, batch_hits = self._step(rows)
            loss_sum += loss * len(rows)
            hits += batch_hits
        self.losses.append(loss_sum.item() / len(self._images))
        self.accuracies.append(hits.item() / len(self._images))

    def _step(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        loss, hits = self._scores(self._images.index_select(0, rows), self._labels.index_select(0, rows))
        self._case.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._case.optimizer.step()
        with torch.no_grad():
            for weight in self._case.limited:
                lengths = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
                weight.mul_((LONGEST / lengths).clamp_(max=1.0))
        return loss.detach(), hits


def scoring(model: torch.nn.Module, *, bfloat16: bool) -> Scores:
    """Returns the function (pictures as bytes, labels) → (mean loss, number of correct predictions)."""

    def scores(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = model(images.float() * (1 / 255))
        loss = functional.cross_entropy(logits.float(), labels)
        return loss, (logits.argmax(1) == labels).sum()

    return scores


@torch.no_grad()
def evaluate(scores: Scores, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Computes mean loss and accuracy."""
    loss_sum, hits = torch.zeros(()), torch.zeros((), dtype=torch.int64)
    batches = zip(images.split(measuring.EVAL_BATCH_SIZE), labels.split(measuring.EVAL_BATCH_SIZE), strict=True)
    for batch_images, batch_labels in batches:
        loss, batch_hits = scores(batch_images, batch_labels)
        loss_sum += loss * len(batch_labels)
        hits += batch_hits
    return loss_sum.item() / len(images), hits.item() / len(images)


def main() -> None:
    """Builds the model, then trains or evaluates it."""
    bare_bytes = peak_bytes()
    parser = measuring.parser(__doc__, torch_models.CASES)
    parser.add_argument("--evaluate", action="store_true", help="evaluate the test pictures instead of training")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--one_thread", action="store_true", help="within ops")
    arguments = parser.parse_args()
    if arguments.compile and not shutil.which(COMPILER):
        sys.exit(f"torch.compile needs a C++ compiler, and {COMPILER} was not found")
    if arguments.one_thread:
        torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    case = torch_models.CASES[arguments.case]()
    scores = scoring(case.model, bfloat16=arguments.bfloat16)
    if arguments.compile:
        torch._inductor.config.fallback_random = True  # the compiled dropout takes several times as long on a CPU
        torch._inductor.config.freezing = arguments.evaluate
        scores = torch.compile(scores)
    split = "test" if arguments.evaluate else "train"
    images, labels = map(torch.from_numpy, measuring.pictures(case.dataset, arguments.examples, split=split))
    labels, watch = labels.long(), Stopwatch(arguments.secs)
    if arguments.evaluate:
        case.model.eval()
    setting = {
        "precision": "bfloat16" if arguments.bfloat16 else "float32",
        "version": f"PyTorch {torch.__version__}",
    }
    if arguments.evaluate:
        evaluate(scores, images, labels)
        while not watch.is_over():
            evaluate(scores, images, labels)
        measuring.report("evaluation", len(images), watch, bare_bytes, **setting)
    else:
        trainer = Trainer(case, scores, images, labels)
        trainer.epoch()
        while not watch.is_over():
            trainer.epoch()
        steps = -(-len(images) // case.batch_size)
        measuring.report("steps_per_sec", steps, watch, bare_bytes, losses=trainer.losses, **setting)


if __name__ == "__main__":
    main()
