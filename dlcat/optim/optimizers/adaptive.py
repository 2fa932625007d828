"""Optimizers with a rate of its own for every weight, by the size of its gradients: Adagrad and what came of it.

torch computes their steps: fused, where it has that, else over lists of tensors (foreach).
"""

from __future__ import annotations

from torch import nn, optim

from dlcat.optim.optimizers import Betas, Decay, Fraction, Rate, groups, optimizer


@optimizer
def adagrad(
    model: nn.Module,
    *,
    lr: Rate = 0.01,
    eps: Rate = 1e-10,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Gradient over the root of the sum of all its squares so far: rare features learn fast (Duchi et al. 2011).

    u = u + g^2, w = w - lr * g / (sqrt(u) + eps): steps only ever shrink. `weight_decay` * w is added to g.
    """
    fused = all(parameter.is_cpu for parameter in model.parameters())  # torch has no fused Adagrad on a GPU
    parameters = groups(model, weight_decay, decay_norms)
    return optim.Adagrad(parameters, lr=lr, eps=eps, fused=fused, foreach=not fused)


@optimizer
def rmsprop(
    model: nn.Module,
    *,
    lr: Rate = 0.01,
    smoothing: Fraction = 0.99,
    momentum: Fraction = 0.0,
    centered: bool = False,
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Gradient over its root mean square of late (Tieleman & Hinton 2012, Coursera lecture 6.5).

    u = smoothing * u + (1 - smoothing) * g^2, w = w - lr * g / (sqrt(u) + eps). `centered` takes the square of the mean
    gradient off u, which leaves the variance (Graves 2013, arXiv:1308.0850). `weight_decay` * w is added to g.
    """
    return optim.RMSprop(
        groups(model, weight_decay, decay_norms),
        lr=lr,
        alpha=smoothing,
        eps=eps,
        momentum=momentum,
        centered=centered,
        foreach=True,
    )


@optimizer
def adadelta(
    model: nn.Module,
    *,
    lr: Rate = 1.0,
    smoothing: Fraction = 0.9,
    eps: Rate = 1e-6,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """RMSprop in the weights' own unit: times the root mean square of its steps (Zeiler 2012, arXiv:1212.5701).

    d = g * sqrt(s + eps) / sqrt(u + eps), w = w - lr * d; u, s are the running means of g^2, d^2. The paper has no
    rate (lr is 1); steps begin at about sqrt(eps). `weight_decay` * w is added to g.
    """
    parameters = groups(model, weight_decay, decay_norms)
    return optim.Adadelta(parameters, lr=lr, rho=smoothing, eps=eps, foreach=True)


@optimizer
def adam(
    model: nn.Module,
    *,
    lr: Rate = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Steps of about lr in every weight: mean gradient over its root mean square (Kingma & Ba 2014, arXiv:1412.6980).

    `weight_decay` * w is added to the gradient, so it is divided by the root mean square too; see adamw.
    """
    return optim.Adam(groups(model, weight_decay, decay_norms), lr=lr, betas=betas, eps=eps, fused=True)


@optimizer
def adamw(
    model: nn.Module,
    *,
    lr: Rate = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.01,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Adam, with lr * weight_decay * w taken off w itself (Loshchilov & Hutter 2017, arXiv:1711.05101)."""
    return optim.AdamW(groups(model, weight_decay, decay_norms), lr=lr, betas=betas, eps=eps, fused=True)


@optimizer
def amsgrad(
    model: nn.Module,
    *,
    lr: Rate = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Adam whose divisor never shrinks: the largest mean square so far (Reddi et al. 2018, arXiv:1904.09237).

    Both means are corrected for their start at 0 as in Adam, which the paper leaves out. `weight_decay` * w is added to
    the gradient.
    """
    parameters = groups(model, weight_decay, decay_norms)
    return optim.Adam(parameters, lr=lr, betas=betas, eps=eps, amsgrad=True, fused=True)


@optimizer
def adamax(
    model: nn.Module,
    *,
    lr: Rate = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Adam by the largest gradient of late instead of the root mean square (Kingma & Ba 2014, arXiv:1412.6980, 7.1).

    u = max(beta2 * u, |g| + eps), w = w - lr * mean gradient / u. `weight_decay` * w is added to the gradient.
    """
    return optim.Adamax(groups(model, weight_decay, decay_norms), lr=lr, betas=betas, eps=eps, foreach=True)


@optimizer
def nadam(
    model: nn.Module,
    *,
    lr: Rate = 2e-3,
    betas: Betas = (0.9, 0.999),
    momentum_decay: Decay = 4e-3,
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Adam with Nesterov's look ahead (Dozat 2016).

    The share of the mean gradient grows over the first steps, as betas[0] * (1 - 0.96^(t * momentum_decay) / 2).
    `weight_decay` * w is added to the gradient.
    """
    return optim.NAdam(
        groups(model, weight_decay, decay_norms),
        lr=lr,
        betas=betas,
        eps=eps,
        momentum_decay=momentum_decay,
        foreach=True,
    )


@optimizer
def radam(
    model: nn.Module,
    *,
    lr: Rate = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Rate = 1e-8,
    weight_decay: Decay = 0.0,
    decay_norms: bool = False,
) -> optim.Optimizer:
    """Adam that begins as momentum, until its mean square is worth something (Liu et al. 2019, arXiv:1908.03265).

    Once the mean square stands on more than five gradients its steps are Adam's, times a factor that rises to 1; a
    warmup of its own. `weight_decay` * w is added to the gradient.
    """
    return optim.RAdam(groups(model, weight_decay, decay_norms), lr=lr, betas=betas, eps=eps, foreach=True)
