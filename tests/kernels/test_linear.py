"""Products with weights that were laid out for them are the same linear, and are taken where it pays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from captioner.kernels import linear
from captioner.kernels.linear import ROWS, SMALLEST, Products
from captioner.kernels.onednn import has_onednn
from captioner.kernels.precision import has_bf16

needs_onednn = pytest.mark.skipif(not has_onednn(), reason="torch has no oneDNN for this processor")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def laid_out(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the weights that were laid out."""
    shapes: list[tuple[int, ...]] = []
    gains = linear._gains

    def watch(x: Tensor, weight: Tensor) -> bool:
        found = gains(x, weight)
        if found:
            shapes.append(tuple(weight.shape))
        return found

    monkeypatch.setattr(linear, "_gains", watch)
    return shapes


def operands(rows: int, outputs: int = 1027, inputs: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)


@needs_onednn
@torch.no_grad()
def test_product_is_torchs_and_its_weight_laid_out_once(laid_out: list[tuple[int, ...]]) -> None:
    product, (x, weight, bias) = Products(), operands(60)
    for rows in (60, ROWS, 3):
        torch.testing.assert_close(product(x[:rows], weight), F.linear(x[:rows], weight))
        torch.testing.assert_close(product(x[:rows], weight, bias), F.linear(x[:rows], weight, bias))
    assert laid_out == [(1027, 40)]


@needs_onednn
@torch.no_grad()
def test_weight_may_be_a_slice_or_transposed(laid_out: list[tuple[int, ...]]) -> None:
    """Slices and transposes of one weight are weights of their own, also where their shapes are the same."""
    product, x, square = Products(), torch.randn(60, 400), torch.randn(400, 400)
    check = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)
    for _ in range(2):
        check(product(x, square), x @ square.T)
        check(product(x, square.T), x @ square)
        check(product(x[:, :200], square[:, 100:300]), x[:, :200] @ square[:, 100:300].T)
    assert laid_out == [(400, 400), (400, 400), (400, 200)]


def test_gradients_are_torchs() -> None:
    product, given = Products(), [x.requires_grad_() for x in operands(60)]
    ours, wanted = (torch.autograd.grad(f(*given).square().sum(), given) for f in (product, F.linear))
    assert all(map(torch.equal, ours, wanted))


@torch.no_grad()
@pytest.mark.parametrize(
    ("rows", "outputs"), [(ROWS - 1, 1027), (60, SMALLEST // 40), (60, 1)], ids=["rows", "outputs", "one"]
)
def test_small_products_are_left_to_torch(rows: int, outputs: int, laid_out: list[tuple[int, ...]]) -> None:
    x, weight, bias = operands(rows, outputs)
    assert torch.equal(Products()(x, weight, bias), F.linear(x, weight, bias))
    assert laid_out == []


@torch.no_grad()
def test_one_thread_is_left_to_torch(laid_out: list[tuple[int, ...]]) -> None:
    torch.set_num_threads(1)
    x, weight, bias = operands(60)
    assert torch.equal(Products()(x, weight, bias), F.linear(x, weight, bias))
    assert laid_out == []


@torch.no_grad()
def test_half_precision_is_autocasts(laid_out: list[tuple[int, ...]]) -> None:
    x, weight, bias = operands(60)
    with torch.autocast("cpu", torch.bfloat16):
        product, wanted = Products(), F.linear(x, weight, bias)
        for _ in range(2):
            torch.testing.assert_close(product(x, weight, bias), wanted, rtol=0.01, atol=0.01)
    assert wanted.dtype == torch.bfloat16
    assert laid_out == ([(1027, 40)] if has_bf16(x.device) and has_onednn() else [])


@torch.no_grad()
def test_half_precision_is_left_to_torch_where_it_is_emulated(
    laid_out: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("captioner.kernels.onednn.has_bf16", lambda device: False)
    x, weight, bias = operands(60)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Products()(x, weight, bias), F.linear(x, weight, bias))
    assert laid_out == []


@torch.no_grad()
def test_other_precisions_are_kept(laid_out: list[tuple[int, ...]]) -> None:
    x, weight, bias = (part.double() for part in operands(60))
    assert torch.equal(Products()(x, weight, bias), F.linear(x, weight, bias))
    assert laid_out == []
