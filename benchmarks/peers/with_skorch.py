"""Skorch: a NeuralNetClassifier at its defaults, but for the fifth of the examples that it would hold out."""

from __future__ import annotations

from time import perf_counter

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import LambdaLR
from work import BATCH_SIZE, EVALUATION_BATCH_SIZE, answer, asked, weights

work = asked()
train, test = work.loader("train").dataset, work.loader("test").dataset
classifier = NeuralNetClassifier(
    work.model(),
    criterion=torch.nn.CrossEntropyLoss,
    optimizer=torch.optim.SGD,
    **{f"optimizer__{key}": value for key, value in work.rule.items()},
    max_epochs=work.epochs,
    batch_size=BATCH_SIZE,
    iterator_train__shuffle=True,
    iterator_train__drop_last=True,
    iterator_valid__batch_size=EVALUATION_BATCH_SIZE,
    train_split=None,
    callbacks=[LRScheduler(LambdaLR, lr_lambda=work.falling, step_every="batch")],
    classes=list(range(10)),
)

started = perf_counter()
classifier.fit(train, y=None)
fit_seconds = perf_counter() - started
targets = work.stored("test")[1].numpy()
answer(fit_seconds, float((classifier.predict(test) == targets).mean()), weights(classifier.module_))
