"""Products dealt out by columns are the same products, and are dealt out where it pays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from captioner.products import ROWS, linear

pytestmark = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="torch has no MKL here")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def batched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The batched products that were taken, by name."""
    taken = []
    for name in ("bmm", "baddbmm"):
        product = getattr(torch, name)
        monkeypatch.setattr(
            torch, name, lambda *x, name=name, product=product: taken.append(name) or product(*x)
        )
    return taken


def operands(rows: int, outputs: int, inputs: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)


@pytest.mark.parametrize("outputs", [256, 1024, 1027], ids=["narrowest", "even", "with some left over"])
def test_product_is_torchs(outputs: int, batched: list[str]) -> None:
    x, weight, bias = operands(60, outputs)
    torch.testing.assert_close(linear(x, weight), F.linear(x, weight))
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias))
    assert batched == ["bmm", "baddbmm"]


def test_weight_may_be_a_slice_or_transposed(batched: list[str]) -> None:
    x, weight, _ = operands(60, 512, inputs=600)
    torch.testing.assert_close(linear(x[:, :200], weight[:, 50:250]), x[:, :200] @ weight[:, 50:250].T)
    gradient = torch.randn(60, 512)
    torch.testing.assert_close(linear(gradient, weight.T), gradient @ weight)
    assert batched == ["bmm", "bmm"]


def test_gradients_are_torchs(batched: list[str]) -> None:
    given = [x.requires_grad_() for x in operands(60, 1027)]
    ours, wanted = (torch.autograd.grad(f(*given).square().sum(), given) for f in (linear, F.linear))
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)
    assert batched == ["baddbmm"]


@pytest.mark.parametrize(
    ("rows", "outputs"), [(ROWS[0] - 1, 1024), (ROWS[1] + 1, 1024), (60, 255), (60, 1)], ids=str
)
def test_other_shapes_are_left_to_torch(rows: int, outputs: int, batched: list[str]) -> None:
    x, weight, bias = operands(rows, outputs)
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))
    assert batched == []


def test_one_thread_and_half_precision_are_left_to_torch(batched: list[str]) -> None:
    x, weight, bias = operands(60, 1024)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight, bias).dtype == torch.bfloat16
    torch.set_num_threads(1)
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))
    assert batched == []
