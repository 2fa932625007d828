"""Attention: every position reads from all others what agrees with what it asks for."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Means over the values of a text, weighed by the softmax of query times key, in several heads side by side.

    With queries, keys and values of D channels in each head: softmax(scale * query . key) . value, summed over the
    positions that are read, where the scale is 1 / sqrt(D) unless another is given (Vaswani et al. 2017,
    arXiv:1706.03762). The softmax is taken in float32, whatever the maps are in.

    Args:
        query: (N, C, T) to (N, heads * D, T): what each position asks for.
        key: the same, of each position that can be read.
        value: (N, C, T) to (N, heads * D', T): what is read there.
        output: (N, heads * D', T) to (N, C', T): joins the heads.
        heads: how many.
        scale: of the products.
    """

    def __init__(
        self,
        query: nn.Module,
        key: nn.Module,
        value: nn.Module,
        output: nn.Module,
        *,
        heads: int = 1,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = query, key, value, output
        self.heads = heads
        self.scale = scale

    def forward(self, asking: Tensor, read: Tensor, real: Tensor) -> Tensor:
        """What the positions of `asking` (N, C, S) find in those of `read` (N, C, T) that are `real` (N, T): (N, C', S)."""
        query = self._in_heads(self.query(asking))
        key, value = self._in_heads(self.key(read)), self._in_heads(self.value(read))
        found = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=real[:, None, None, :], scale=self.scale
        )  # (N, heads, S, D')
        outputs: Tensor = self.output(found.transpose(2, 3).flatten(1, 2))
        return outputs

    def _in_heads(self, maps: Tensor) -> Tensor:
        """(N, heads * D, T) to (N, heads, T, D)."""
        examples, channels, positions = maps.shape
        in_heads = maps.reshape(examples, self.heads, channels // self.heads, positions)
        return in_heads.transpose(2, 3).contiguous()  # torch's fast kernels are for channels that lie side by side
