"""Upsampling: layers that learn to make maps exactly `factor` times as large along every axis.

All take (N, C, T) or (N, C, H, W) and give (N, C', factor T) or (N, C', factor H, factor W).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn

from dlcat.layers.convs import Chain, full, require_centre
from dlcat.registry import Family

if TYPE_CHECKING:
    from collections.abc import Callable

upsample = Family("upsample", __name__)


@upsample
def transposed(channels_in: int, channels_out: int, kernel: int, factor: int, dimensions: int, bias: bool) -> nn.Module:
    """Every input position adds its k x k stamp to the output, `factor` apart (Zeiler et al. 2010; arXiv:1603.07285).

    It has C C' k^2 weights; an output position sums over (k / factor)^2 stamps on average. Where the factor does not
    divide the kernel, some positions lie under more stamps than others: checkerboards (Odena et al. 2016,
    doi:10.23915/distill.00003). The stamps stick out by k - factor positions, of which half are cut off at
    each end, and one more in front if they are odd.

    Raises:
        ValueError: the kernel is smaller than the factor, or even at factor 1.
    """
    if kernel < factor:
        raise ValueError(f"a kernel of {kernel} leaves gaps at factor {factor}; expected at least {factor}")
    if factor == 1:
        require_centre(kernel)
    surplus = kernel - factor
    deconvolution: Callable[..., nn.Module] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}[dimensions]
    return deconvolution(
        channels_in,
        channels_out,
        kernel,
        stride=factor,
        padding=(surplus + 1) // 2,  # cut off at both ends ...
        output_padding=surplus % 2,  # ... and given back at the last
        bias=bias,
    )


@upsample
def resize(
    channels_in: int,
    channels_out: int,
    kernel: int,
    factor: int,
    dimensions: int,
    bias: bool,
    *,
    interpolation: Literal["nearest", "linear"] = "nearest",
) -> nn.Module:
    """The map enlarged, then a convolution: no checkerboards (Odena et al. 2016, doi:10.23915/distill.00003).

    `nearest` repeats every position, `linear` draws lines between centres (bilinear in two dimensions). Each output
    position is under the whole window: C C' k^2 weights, and as many multiplications for each output, factor^2
    times those of `transposed`.

    Raises:
        ValueError: the kernel is even.
    """
    linear = {1: "linear", 2: "bilinear"}[dimensions]
    enlarge = nn.Upsample(scale_factor=factor, mode=linear if interpolation == "linear" else "nearest")
    return Chain(enlarge, full(channels_in, channels_out, kernel, 1, dimensions, bias))
