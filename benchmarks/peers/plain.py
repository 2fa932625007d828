"""A training loop as torch's tutorials write it: DataLoader, model, optimizer."""

from __future__ import annotations

from time import perf_counter

import torch
from torch.nn import functional
from work import answer, asked, weights

work = asked()
model = work.model()
optimizer = work.optimizer(model)
schedule = work.schedule(optimizer)
train, test = work.loader("train"), work.loader("test")

started = perf_counter()
for _ in range(work.epochs):
    model.train()
    for inputs, targets in train:
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
        schedule.step()
fit_seconds = perf_counter() - started

model.eval()
with torch.no_grad():
    hits = sum(int((model(inputs).argmax(1) == targets).sum()) for inputs, targets in test)
answer(fit_seconds, hits / len(test.dataset), weights(model))
