"""Accelerate: the plain loop with its objects prepared."""

from __future__ import annotations

from time import perf_counter

import torch
from accelerate import Accelerator
from torch.nn import functional
from work import answer, asked, weights

work = asked()
accelerator = Accelerator()
model = work.model()
optimizer = work.optimizer(model)
model, optimizer, train, test, schedule = accelerator.prepare(
    model, optimizer, work.loader("train"), work.loader("test"), work.schedule(optimizer)
)

started = perf_counter()
for _ in range(work.epochs):
    model.train()
    for inputs, targets in train:
        optimizer.zero_grad()
        accelerator.backward(functional.cross_entropy(model(inputs), targets))
        optimizer.step()
        schedule.step()
fit_seconds = perf_counter() - started

model.eval()
with torch.no_grad():
    hits = sum(int((model(inputs).argmax(1) == targets).sum()) for inputs, targets in test)
answer(fit_seconds, hits / len(test.dataset), weights(model))
