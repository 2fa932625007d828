"""Keras 3 on torch: the same networks out of its own layers, in its own order of memory."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"

from functools import partial
from time import perf_counter
from typing import Any

import keras
from keras import layers
from work import answer, asked

convolution = partial(layers.Conv2D, padding="same", kernel_initializer="he_normal")


def small_cnn() -> keras.Model:
    steps = [
        keras.Input((1, 28, 28)),
        layers.Permute((2, 3, 1)),
        convolution(16, 3),
        layers.MaxPooling2D(),
        layers.ReLU(),
        convolution(32, 3),
        layers.MaxPooling2D(),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(128, "relu"),
        layers.Dense(10),
    ]
    return keras.Sequential(steps)


def resnet20(norm: str) -> keras.Model:
    make = partial(layers.BatchNormalization, momentum=0.9, epsilon=1e-5)
    if norm == "group":
        make = partial(layers.GroupNormalization, groups=8, epsilon=1e-5)

    def normed(inputs: Any, width: int, kernel: int, stride: int = 1) -> Any:
        # Where an image is halved, torch pads both sides and Keras would pad one.
        if stride > 1 and kernel > 1:
            inputs = layers.ZeroPadding2D(1)(inputs)
        padding = "valid" if stride > 1 else "same"
        return make()(convolution(width, kernel, stride, padding=padding, use_bias=False)(inputs))

    inputs = keras.Input((3, 32, 32))
    outputs = layers.ReLU()(normed(layers.Permute((2, 3, 1))(inputs), 16, 3))
    for width in (16, 32, 64):
        for _ in range(3):
            stride = 1 if outputs.shape[-1] == width else 2
            past = outputs if stride == 1 else normed(outputs, width, 1, stride)
            branch = normed(layers.ReLU()(normed(outputs, width, 3, stride)), width, 3)
            outputs = layers.ReLU()(branch + past)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(outputs)))


work = asked()
keras.utils.set_random_seed(work.seed)
model = small_cnn() if work.network == "small_cnn" else resnet20(work.norm)
momentum = work.rule["momentum"]
rate = keras.optimizers.schedules.PolynomialDecay(work.rule["lr"], work.steps, end_learning_rate=0.0)
# Keras takes the decay off the weights, past the momentum, which would have made it so many times as large.
decay = work.rule["weight_decay"] / (1 - momentum) if work.augments else None
model.compile(
    keras.optimizers.SGD(rate, momentum, nesterov=True, weight_decay=decay),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
train, test = work.loader("train"), work.loader("test")

started = perf_counter()
model.fit(train, epochs=work.epochs)
fit_seconds = perf_counter() - started
parameters = sum(weight.numpy().size for weight in model.trainable_weights)
answer(fit_seconds, model.evaluate(test)[1], parameters)
