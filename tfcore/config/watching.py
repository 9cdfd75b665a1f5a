"""Settings of what a run shows and keeps, and of the machine."""

from dataclasses import dataclass

from tfcore import checks
from tfcore.config_fields import Settings, watch

SUMMARIES = ("norms", "histograms", "images", "pr_curves", "graph", "hparams", "text")


@dataclass(frozen=True)
class WatchingSettings(Settings):
    """How a run is observed."""

    data_dir: str = watch("", "Folder of the data sets. Default: $TFCORE_DATA_DIR, else a cache folder in your home.")
    eval_batch_size: int = watch(
        500, "Examples per evaluation batch; scores depend on it by rounding alone.", checks.positive_integer
    )
    print_every_epochs: int = watch(1, "Epochs between lines on the terminal.", checks.positive_integer)
    prefetch_bytes: int = watch(
        256 * 2**20,
        "Decoded images in files that are kept ready for the next steps, at most; at least one batch is.",
        checks.positive_integer,
    )
    cache_bytes: int = watch(
        64 * 2**30,
        "Shards of remote data that are kept on the disk, at most, besides those that are being downloaded.",
        checks.positive_integer,
    )
    log_every_steps: int = watch(100, "Steps between points of the training curves.", checks.positive_integer)
    summaries: str = watch(
        "all",
        "TensorBoard summaries beside the curves: all, none, or some of norms, histograms, images, pr_curves, graph, "
        "hparams and text, with commas between.",
        lambda name, value: checks.some_of(name, value, SUMMARIES),
    )
    observe_every_steps: int = watch(
        2000, "Steps between norms and histograms; images are written every fifth time, predictions with the next "
        "evaluation.", checks.positive_integer,
    )  # fmt: skip
    batch_accuracy_every_steps: int | None = watch(
        None, "Steps between prints of a batch's accuracy before its update. Default: never.", checks.positive_integer
    )
    checkpoint_every_epochs: float = watch(1.0, "Epochs between checkpoints.", checks.positive)
    keep_checkpoints: int = watch(
        3, "Number of newest checkpoints to keep, in addition to the best. 0: all.", checks.not_negative
    )
    keep_best: int = watch(1, "Number of best checkpoints to keep, by validation score.", checks.positive_integer)
    intra_op_threads: int = watch(0, "Threads within one op. 0: by a fixed rule for the model.", checks.not_negative)
    inter_op_threads: int = watch(
        0, "Ops that may run in parallel. 0: chosen by a fixed rule for the model.", checks.not_negative
    )
    report: bool = watch(True, "Write report.html and its images into the run folder at the end.")
    require_gpu: bool = watch(False, "Refuse to run where TensorFlow sees no GPU.")
