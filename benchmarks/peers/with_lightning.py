"""Lightning: a LightningModule and a Trainer at its defaults; with --precision and --layout, set by hand."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import lightning
import torch
from torch.nn import functional
from work import Work, answer, asked, weights


class Module(lightning.LightningModule):
    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work
        self.order = torch.channels_last if work.layout == "channels_last" else torch.contiguous_format
        self.model = work.model().to(memory_format=self.order)

    def training_step(self, batch: Any) -> torch.Tensor:
        inputs, targets = batch
        return functional.cross_entropy(self.model(inputs.to(memory_format=self.order)), targets)

    def test_step(self, batch: Any) -> None:
        inputs, targets = batch
        hits = self.model(inputs.to(memory_format=self.order)).argmax(1) == targets
        self.log("accuracy", hits.float().mean(), batch_size=len(targets))

    def configure_optimizers(self) -> Any:
        optimizer = self.work.optimizer(self)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.work.schedule(optimizer), "interval": "step"},
        }


work = asked()
module = Module(work)
precision = {"precision": "bf16-mixed"} if work.precision == "bf16" else {}
trainer = lightning.Trainer(max_epochs=work.epochs, accelerator="cpu", **precision)
train, test = work.loader("train"), work.loader("test")

started = perf_counter()
trainer.fit(module, train)
fit_seconds = perf_counter() - started
answer(fit_seconds, trainer.test(module, test)[0]["accuracy"], weights(module.model))
