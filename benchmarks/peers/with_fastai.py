"""Fastai: a Learner over torch's DataLoaders, without its vision part, which needs torchvision."""

from __future__ import annotations

from functools import partial
from time import perf_counter

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.metrics import accuracy
from fastai.optimizer import OptimWrapper
from work import answer, asked, weights


class Falling(Callback):
    """The schedule: fastai steps none of torch's."""

    def before_batch(self) -> None:
        if self.training:
            self.opt.set_hyper("lr", work.rule["lr"] * work.falling(self.train_iter))


work = asked()
train, test = work.loader("train"), work.loader("test")
rule = dict(work.rule)
learner = Learner(
    DataLoaders(train, test, device="cpu"),
    work.model(),
    loss_func=torch.nn.CrossEntropyLoss(),
    opt_func=partial(OptimWrapper, opt=partial(torch.optim.SGD, **{k: v for k, v in rule.items() if k != "lr"})),
    lr=rule["lr"],
    metrics=accuracy,
)

started = perf_counter()
with learner.no_logging():
    learner.fit(work.epochs, cbs=Falling())
fit_seconds = perf_counter() - started
answer(fit_seconds, float(learner.validate(dl=test)[1]), weights(learner.model))
