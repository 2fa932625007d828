"""Ignite: a supervised trainer and evaluator, the schedule as a handler."""

from __future__ import annotations

from time import perf_counter

from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy
from torch.nn import functional
from work import answer, asked, weights

work = asked()
model = work.model()
optimizer = work.optimizer(model)
schedule = work.schedule(optimizer)
trainer = create_supervised_trainer(model, optimizer, functional.cross_entropy)
trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: schedule.step())
evaluator = create_supervised_evaluator(model, metrics={"accuracy": Accuracy()})
train, test = work.loader("train"), work.loader("test")

started = perf_counter()
trainer.run(train, max_epochs=work.epochs)
fit_seconds = perf_counter() - started
evaluator.run(test)
answer(fit_seconds, evaluator.state.metrics["accuracy"], weights(model))
