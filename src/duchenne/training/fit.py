"""Training one network, with Lightning: an interrupted fit resumes at its last
epoch, to the same end.
"""

from __future__ import annotations

import copy
import logging
import math
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from duchenne import files
from duchenne.errors import ArgumentError, DivergedError, InputError
from duchenne.faces.preparation.augmentation import AUGMENTATIONS, OFF, augment
from duchenne.faces.preparation.normalisation import in_unit_range
from duchenne.faces.preparation.steps import Preparation
from duchenne.progress import Advance, progress
from duchenne.recipes import Training
from duchenne.training.batches import (
    EVALUATION,
    Examples,
    Shuffled,
    batched,
    epoch_seed,
    in_order,
)
from duchenne.training.machine import computing, devices, precision
from duchenne.training.machine.computing import Computing
from duchenne.training.machine.devices import Share
from duchenne.training.objectives import EXPRESSION, Objective

_MOST_PREPARED = 2**28  # numbers: a GiB
CHECKPOINTS = "checkpoints"
"""The folder of what is kept until a fit is forgotten."""

_BEST = "best.safetensors"
_LAST = "last.ckpt"
_CHATTY = (
    "lightning.pytorch",
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.distributed",
)
_PRECISION: dict[precision.Precision, Literal["32-true", "bf16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
}


def fit(
    network: nn.Module,
    prepare: Preparation,
    train: Examples,
    judge: Examples,
    settings: Training,
    seed: int,
    folder: Path,
    *,
    objective: Objective = EXPRESSION,
    on: Computing | None = None,
    turn: int = 0,
) -> list[dict[str, float]]:
    """Train a network in place to its best epoch.

    The best epoch is that of the highest mean mark for the pictures of
    ``judge``, the earliest of equals. The folder then holds ``history.json``
    and the log of ``settings.log``; until ``forget``, also checkpoints, from
    which a fit that was interrupted goes on. On several devices processes are
    started, so that a script's own calls must stand below
    ``if __name__ == "__main__":``.

    Args:
        network: Trained in place.
        prepare: From pictures (n, C, H, W), bytes or in 0 … 1, to the
            network's input.
        train: The pictures that are learned from.
        judge: The pictures by which the epoch is chosen.
        settings: Epochs, rate and the rest of the recipe's ``training``.
        seed: Of the order of the pictures and of augmentation.
        folder: Where the history, the log and checkpoints are written.
        objective: Loss and mark; by default what expression is read right.
        on: What to compute on; by default what this machine does fast.
        turn: Of more GPUs than ``on`` names, those are taken whose turn it is.

    Returns:
        The history, one entry an epoch.

    Raises:
        DivergedError: Where the loss leaves the numbers.
        InputError: For a log that nothing writes, for more devices than
            pictures in a batch, and where another process was lost.
    """
    on = on or computing.here(settings.precision)
    (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    _forget_damaged(folder / CHECKPOINTS)
    _refuse_too_many_devices(on.devices, settings, train, judge)
    judge, prepare_judge = _once(judge, prepare)
    prepare_train: nn.Module = prepare
    if settings.augment == "off":
        train, prepare_train = _once(train, prepare)
    work = _Fit(
        network=network,
        prepare_train=prepare_train,
        prepare_judge=prepare_judge,
        train=train,
        judge=judge,
        settings=settings,
        seed=seed,
        folder=folder,
        objective=objective,
        on=on,
        turn=turn,
    )
    history = devices.together(work, on.devices, on.threads)
    _take_best(network, folder / CHECKPOINTS / _BEST, settings)
    files.write_json(folder / "history.json", history)
    return history


def _take_best(network: nn.Module, best: Path, settings: Training) -> None:
    """Give the network the weights of its best epoch."""
    if not best.exists():
        none = "training diverged: no epoch could be judged"
        raise DivergedError(f"{none}; lower training.rate {settings.rate}")
    laid_out = _laid_out(network, torch.contiguous_format)
    laid_out.eval().load_state_dict(load_file(best))


def _refuse_too_many_devices(
    count: int, settings: Training, train: Examples, judge: Examples
) -> None:
    batch = settings.batch or len(train.classes)
    fewest = min(batch, len(train.classes), len(judge.classes))
    if count > fewest:
        raise ArgumentError(
            "devices",
            f"{count}: a batch, or the pictures to judge by, are only {fewest}",
        )


@dataclass(frozen=True)
class _Fit:
    """All that a fit is given; called, it does a share of it and returns the
    history.
    """

    network: nn.Module
    prepare_train: nn.Module
    prepare_judge: nn.Module
    train: Examples
    judge: Examples
    settings: Training
    seed: int
    folder: Path
    objective: Objective
    on: Computing
    turn: int

    def __call__(self, share: Share) -> list[dict[str, float]]:
        # processes share what memory they are given
        network = copy.deepcopy(self.network) if share.rank else self.network
        task = _Learner(self, network, share)
        last = self.folder / CHECKPOINTS / _LAST
        gpus = self.on.gpus(self.turn)
        with (
            progress("Training", task.steps) as advance,
            _quiet_lightning(),
            _interruptible(),
            torch.random.fork_rng(gpus[share.rank : share.rank + 1]),
        ):
            self._trainer(network, share, gpus, advance).fit(
                task,
                batched(self.train, task.order, share),
                in_order(self.judge, share),
                ckpt_path=last if last.exists() else None,
                weights_only=True,
            )
        task.cpu()
        return task.history

    def _trainer(
        self,
        network: nn.Module,
        share: Share,
        gpus: list[int],
        advance: Advance,
    ) -> L.Trainer:
        checkpoints = self.folder / CHECKPOINTS
        keeping = _Keeping(checkpoints, network, self.settings.patience)
        return L.Trainer(
            max_epochs=self.settings.epochs,
            accelerator=self.on.device,
            devices=gpus or self.on.devices,
            precision=_PRECISION[self.on.precision],
            callbacks=[keeping, _Advancing(advance)],
            enable_checkpointing=False,
            logger=_logger(self.settings, self.folder),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=checkpoints,
            **share.told_to_lightning(),
        )


def _forget_damaged(checkpoints: Path) -> None:
    """Begin anew where a checkpoint is not as it was written: the end is the
    same.
    """
    if not all(files.sound(checkpoints / name) for name in (_LAST, _BEST)):
        for name in (_LAST, _BEST):
            (checkpoints / name).unlink(missing_ok=True)


def forget(folder: Path) -> None:
    """Remove the checkpoints of a fit that has ended and will not be asked for
    again.

    Args:
        folder: That of the fit.
    """
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


@torch.no_grad()
def probabilities(
    network: nn.Module, prepare: Preparation, pictures: Tensor
) -> Tensor:
    """Probability of each class for pictures.

    Args:
        network: In evaluation mode.
        prepare: From pictures to its input.
        pictures: (n, C, H, W), bytes or in 0 … 1.

    Returns:
        (n, classes).
    """
    network.eval()
    return torch.cat(
        [
            F.softmax(network(prepare(batch)), 1)
            for batch in torch.split(pictures, EVALUATION)
        ]
    )


def _once(
    examples: Examples, prepare: nn.Module
) -> tuple[Examples, nn.Module]:
    """Prepare pictures once and for all, where memory holds them; what is then
    left to do is nothing.
    """
    if examples.pictures.numel() > _MOST_PREPARED:
        return examples, prepare
    prepared = torch.cat(
        [
            prepare(batch)
            for batch in torch.split(examples.pictures, EVALUATION)
        ]
    )
    return Examples(prepared, examples.classes), nn.Identity()


def _logger(settings: Training, folder: Path) -> Logger:
    if settings.log == "csv":
        return CSVLogger(folder, name="log", version="")
    try:
        return TensorBoardLogger(folder, name="log", version="")
    except ModuleNotFoundError:
        raise InputError(
            "recipe key 'training.log': 'tensorboard': install duchenne[tensorboard]"
        ) from None


def _laid_out(network: nn.Module, layout: torch.memory_format) -> nn.Module:
    return network.to(memory_format=layout)  # type: ignore[call-overload,no-any-return]


class _Learner(L.LightningModule):
    def __init__(self, given: _Fit, network: nn.Module, share: Share) -> None:
        super().__init__()
        self.network = _laid_out(network, torch.channels_last)
        self.prepare_train = given.prepare_train
        self.prepare_judge = given.prepare_judge
        self.settings = given.settings
        self.seed = given.seed
        self.objective = given.objective
        self.share = share
        self.order = Shuffled(
            len(given.train.classes),
            self.settings.batch,
            self.seed,
            lambda: self.current_epoch,
        )
        self.steps = self.settings.epochs * len(self.order)
        self.ranges = AUGMENTATIONS[self.settings.augment]
        self.history: list[dict[str, float]] = []
        self._losses: list[Tensor] = []
        self._marks: list[Tensor] = []

    def on_train_epoch_start(self) -> None:
        drawn = epoch_seed(self.seed, self.current_epoch, self.share.rank)
        torch.manual_seed(drawn)  # dropout
        self._chance = Generator().manual_seed(drawn)  # augmentation
        self._losses = []

    def training_step(
        self, batch: tuple[Tensor, Tensor], batch_idx: int
    ) -> Tensor:
        """Loss of the share, weighted such that its mean over all processes is
        that of the batch.
        """
        pictures, classes = batch
        if self.ranges != OFF:
            pictures = augment(
                in_unit_range(pictures), self.ranges, self._chance
            )
        prepared = self.prepare_train(pictures)
        weight = len(classes) * self.share.of / self.order.batch
        loss = weight * self.objective.loss(
            self._given(prepared), prepared, classes
        )
        self._losses.append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        self._marks = []

    def validation_step(
        self, batch: tuple[Tensor, Tensor], batch_idx: int
    ) -> None:
        pictures, classes = batch
        prepared = self.prepare_judge(pictures)
        self._marks.append(
            self.objective.mark(self._given(prepared), prepared, classes)
        )

    def on_validation_epoch_end(self) -> None:
        marks = torch.cat(self._marks)
        mark = (
            self._over_all(marks.sum())
            / self._over_all(torch.ones_like(marks).sum())
        ).item()
        loss = (
            self._over_all(torch.stack(self._losses).mean()) / self.share.of
        ).item()
        if not math.isfinite(loss):
            raise DivergedError(
                f"training diverged in epoch {self.current_epoch}: lower training.rate "
                f"{self.settings.rate}"
            )
        self.log("mark", mark, logger=False)
        self.history.append(
            {
                "epoch": self.current_epoch,
                "loss": loss,
                self.objective.name: mark,
            }
        )
        self._log(self.history[-1:])

    def configure_optimizers(self) -> Any:
        settings = self.settings
        optimiser = _optimiser(settings, self.network)
        if settings.schedule == "constant":
            return optimiser
        # a tenth of 10 steps is a rise of none, by which PyTorch divides
        rise = 0.1 if self.steps > 10 else 0.05
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            settings.rate,
            total_steps=self.steps,
            pct_start=rise,
            cycle_momentum=False,
        )
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = list(self.history)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint["history"])

    def on_train_start(self) -> None:
        self._log(self.history)  # a logger begins anew where a fit goes on

    def _log(self, entries: list[dict[str, float]]) -> None:
        for entry in entries:
            for logger in self.loggers:
                logger.log_metrics(
                    {k: v for k, v in entry.items() if k != "epoch"},
                    step=int(entry["epoch"]),
                )
                logger.save()

    def _over_all(self, number: Tensor) -> Tensor:
        """The sum over all processes."""
        total: Tensor = self.trainer.strategy.reduce(number, reduce_op="sum")
        return total

    def _given(self, prepared: Tensor) -> Tensor:
        given: Tensor = self.network(
            prepared.contiguous(memory_format=torch.channels_last)
        )
        return given.float()


def _optimiser(settings: Training, network: nn.Module) -> Optimizer:
    weights = network.parameters()
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(
            weights, settings.rate, weight_decay=settings.decay
        )
    if settings.optimiser == "rprop":
        return torch.optim.Rprop(weights, settings.rate)
    return torch.optim.SGD(
        weights,
        settings.rate,
        settings.momentum,
        weight_decay=settings.decay,
        nesterov=settings.nesterov,
        fused=True,  # a quarter faster for the 39 million weights of zhu
    )


class _Keeping(Callback):
    """Keeps the weights of the best epoch, and after every epoch all that it
    takes to go on; stops when patience ends.
    """

    def __init__(
        self, folder: Path, network: nn.Module, patience: int
    ) -> None:
        self.folder = folder
        self.network = network
        self.patience = patience
        self.best = -math.inf
        self.waited = 0

    def on_train_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> None:
        """Train no further where a fit was interrupted after its last epoch."""
        self._stop_where_patience_ends(trainer)

    def on_validation_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> None:
        """Save the best weights first: a kill between the two repeats the
        epoch to the same end.
        """
        mark = float(trainer.callback_metrics["mark"])
        self.waited += 1
        better = mark > self.best
        if better:
            self.best = mark
            self.waited = 0
        if better and trainer.is_global_zero:
            weights = {
                k: v.detach().cpu().contiguous()
                for k, v in self.network.state_dict().items()
            }
            with files.replacing(self.folder / _BEST, checked=True) as partial:
                save_file(weights, partial)
        if trainer.is_global_zero:
            with files.replacing(self.folder / _LAST, checked=True) as partial:
                trainer.save_checkpoint(partial)
        else:
            # writes nothing: the first process waits for all to come so far
            trainer.save_checkpoint(self.folder / _LAST)
        self._stop_where_patience_ends(trainer)

    def _stop_where_patience_ends(self, trainer: L.Trainer) -> None:
        if self.patience and self.waited >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]
        self.waited = state_dict["waited"]


class _Advancing(Callback):
    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def on_train_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> None:
        self._advance(trainer.global_step)

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self._advance(1)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` where Lightning would end the process, and
    heed the next one, too.
    """
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's hints on data loading and devices: data lie in
    memory and the device is chosen here.
    """
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*num_workers.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
